"""Value objects of posts."""

from dataclasses import dataclass
from typing import Self

from domain.shared.errors import FieldError, Invalid
from domain.shared.text import demand_stream_safe, demand_visible

TEXT_MAX_BYTES = 1_048_576
"""1 MiB of UTF-8."""


@dataclass(frozen=True, slots=True)
class PostText:
    """What a post says: trimmed, with something in it that can be seen, at most 1 MiB of UTF-8.

    Without NUL, which PostgreSQL does not store, without lone surrogates, which no UTF-8 can carry, and without more
    combining marks in a row than `NON_STARTERS_MAX`.
    """

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        value = raw.strip()
        if not value:
            raise Invalid([FieldError("text", "blank", "must say something")])
        if "\x00" in value:
            raise Invalid([FieldError("text", "format", "must not hold the character U+0000")])
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise Invalid([FieldError("text", "format", "must not hold lone surrogates")]) from None
        if size > TEXT_MAX_BYTES:
            raise Invalid([FieldError("text", "length", "takes at most 1 MiB of UTF-8")])
        demand_stream_safe(value, field="text")
        demand_visible(value, field="text")
        return cls(value)
