"""Identifiers of the machine's making: UUIDv7 (RFC 9562) and generated usernames."""

import secrets
from datetime import UTC, datetime, timedelta
from threading import Lock
from uuid import UUID

from application.shared.ids import IdGenerator, UsernameGenerator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_TAIL_BITS = 62
_STEP_BITS = 32

_HANDLE_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"
"""27 characters: no vowels, so that chance spells no words; no `l`, `0`, `1`, which are misread."""
_HANDLE_LENGTH = 10


def _head(at: datetime) -> int:
    """Return the 128-bit value of a UUIDv7 of this moment whose random tail is zero.

    48 bits of Unix milliseconds, then the microseconds within the millisecond as a fraction of 4096 in `rand_a`
    (section 6.2, method 3). A microsecond is 4.096 such units, so different microseconds make different heads, in
    their order.
    """
    milliseconds, microseconds = divmod((at - _EPOCH) // _MICROSECOND, 1000)
    return milliseconds << 80 | _VERSION | (microseconds * 4096 // 1000) << 64 | _VARIANT


def smallest_id_at(at: datetime) -> UUID:
    """Return the least UUIDv7 of this moment, for time bounds: an id is not below it just if it is not older.

    `since` is `id >= smallest_id_at(since)`, and `until`, exclusive, is `id < smallest_id_at(until)`.
    """
    return UUID(int=_head(at))


class Uuid7Generator(IdGenerator):
    """Makes UUIDv7s that sort by the moment they were made at, to the microsecond.

    Ids of one and the same microsecond from one generator keep their order too: each adds a random step of up to
    2**32 to the one before (section 6.2, method 2), so that neighbours can't be guessed. The first tail of a
    microsecond is drawn from the lower half of its 62 bits, which leaves room for 2**29 more. Safe to share between
    threads.
    """

    __slots__ = ("_last", "_last_head", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        self._last_head = -1
        self._last = 0

    def new(self, at: datetime) -> UUID:
        head = _head(at)
        with self._lock:
            if head == self._last_head:
                self._last += 1 + secrets.randbits(_STEP_BITS)
            else:
                self._last_head = head
                self._last = head | secrets.randbits(_TAIL_BITS - 1)
            return UUID(int=self._last)


class RandomUsernames(UsernameGenerator):
    """Suggests handles such as `user_k7tq3mzd9x`: 47 random bits, derived from nothing about the person."""

    def suggest(self) -> str:
        return "user_" + "".join(secrets.choice(_HANDLE_ALPHABET) for _ in range(_HANDLE_LENGTH))
