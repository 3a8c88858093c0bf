"""Passwords that are tried first: those of leaked lists, and those that follow a pattern.

`common_passwords.bin` holds a digest of each known one, and none in the clear; `tools/common_passwords.py` makes it and
tells where the lists come from.
"""

from functools import cached_property
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from application.identity.ports import CommonPasswords

DIGEST_BYTES: Final = 6
"""With 100,000 entries, one uncommon password in three thousand million is taken for a common one."""

_DATA: Final = "common_passwords.bin"
_LONGEST_UNIT: Final = 4
_RUNS: Final = tuple(
    run
    for row in (
        "0123456789",
        "1234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop",
        "asdfghjkl",
        "zxcvbnm",
        "qwertyuiopasdfghjklzxcvbnm",
        "qwertzuiopasdfghjklyxcvbnm",
        "azertyuiopqsdfghjklmwxcvbn",
        "1234567890qwertyuiop",
        "1q2w3e4r5t6y7u8i9o0p",
        "q1w2e3r4t5y6u7i8o9p0",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
        "qazwsxedcrfvtgbyhnujm",
    )
    for run in (row, row[::-1])
)


def digest(key: str) -> bytes:
    """Return what the data keeps of a password's canonical key."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def is_pattern(key: str) -> bool:
    """Tell whether a password is one short unit over and over (`abcabcabcabc`), or a run along the keys.

    A password of blanks alone has an empty key, and is one too.
    """
    if any(key == (key[:n] * (len(key) // n + 1))[: len(key)] for n in range(1, _LONGEST_UNIT + 1)):
        return True
    return any(key in run * (len(key) // len(run) + 2) for run in _RUNS)


class PackagedCommonPasswords(CommonPasswords):
    """Looks passwords up in data that comes with the package: no network, half a megabyte, read on first use.

    Holds what is at least `PASSWORD_MIN_LENGTH` characters long; anything shorter is refused before it gets here.
    """

    def __contains__(self, key: object, /) -> bool:
        return isinstance(key, str) and (is_pattern(key) or self._holds(digest(key)))

    @cached_property
    def _digests(self) -> bytes:
        return files("adapters.security").joinpath(_DATA).read_bytes()

    def _holds(self, wanted: bytes) -> bool:
        # Bisection over the sorted digests where they lie: as Python objects they would take ten times the memory.
        digests = self._digests
        low, high = 0, len(digests) // DIGEST_BYTES
        while low < high:
            middle = (low + high) // 2
            found = digests[middle * DIGEST_BYTES : (middle + 1) * DIGEST_BYTES]
            if found == wanted:
                return True
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return False
