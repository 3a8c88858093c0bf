"""Value objects of posts."""

from dataclasses import dataclass
from typing import Self

from domain.shared.errors import FieldError, Invalid

TEXT_MAX_BYTES = 1_048_576
"""1 MiB of UTF-8."""


@dataclass(frozen=True, slots=True)
class PostText:
    """What a post says: trimmed, not blank, at most 1 MiB of UTF-8, without NUL (PostgreSQL stores none)."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        value = raw.strip()
        if not value:
            raise Invalid([FieldError("text", "blank", "must say something")])
        if "\x00" in value:
            raise Invalid([FieldError("text", "format", "must not hold the character U+0000")])
        # A character takes 4 bytes at the most, so most texts are cleared without being encoded.
        if len(value) * 4 > TEXT_MAX_BYTES and len(value.encode()) > TEXT_MAX_BYTES:
            raise Invalid([FieldError("text", "length", "takes at most 1 MiB of UTF-8")])
        return cls(value)
