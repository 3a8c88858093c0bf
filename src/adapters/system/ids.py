"""Identifiers of the machine's making: UUIDv7 (RFC 9562) and generated usernames."""

import secrets
from datetime import datetime, timedelta
from threading import Lock
from uuid import UUID

from application.shared.ids import IdGenerator, UsernameGenerator
from domain.shared.ids import smallest_number_at, timestamp_of

_TAIL_BITS = 62
_STEP_BITS = 32
_VERSION = 7
_MICROSECOND = timedelta(microseconds=1)

_HANDLE_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"
"""27 characters: no vowels, so that chance spells no words; no `l`, `0`, `1`, which are misread."""
_HANDLE_LENGTH = 10


class Uuid7Generator(IdGenerator):
    """Makes UUIDv7s that sort by the moment they were made at, to the microsecond, and never below one made before.

    Ids of one and the same microsecond from one generator keep their order too: each adds a random step of up to
    2**32 to the one before (section 6.2, method 2), so that neighbours can't be guessed. So does an id for a moment
    that is past by then, whether a clock was set back or a slow request comes late with its moment: what is made later
    sorts later. The first tail of a microsecond is drawn from the lower half of its 62 bits, which leaves room for
    2**29 more; after those the next microsecond begins. Safe to share between threads.
    """

    __slots__ = ("_last", "_last_head", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        self._last_head = -1
        self._last = 0

    def new(self, at: datetime) -> UUID:
        head = smallest_number_at(at)
        with self._lock:
            if head <= self._last_head:
                self._last += 1 + secrets.randbits(_STEP_BITS)
                if self._last >> _TAIL_BITS == self._last_head >> _TAIL_BITS:
                    return UUID(int=self._last)
                head = smallest_number_at(timestamp_of(UUID(int=self._last_head)) + _MICROSECOND)
            self._last_head = head
            self._last = head | secrets.randbits(_TAIL_BITS - 1)
            return UUID(int=self._last)

    def raise_floor(self, id: UUID) -> None:
        """Make no id below this one, which another process made."""
        if id.version != _VERSION:
            return
        with self._lock:
            if id.int > self._last:
                self._last = id.int
                self._last_head = id.int >> _TAIL_BITS << _TAIL_BITS


class RandomUsernames(UsernameGenerator):
    """Suggests handles such as `user_k7tq3mzd9x`: 47 random bits, derived from nothing about the person."""

    def suggest(self) -> str:
        return "user_" + "".join(secrets.choice(_HANDLE_ALPHABET) for _ in range(_HANDLE_LENGTH))
