"""Value objects of posts."""

from dataclasses import dataclass, field, replace
from typing import Self

from domain.posts.search import SearchableText
from domain.shared.errors import FieldError, Invalid
from domain.shared.text import require_stream_safe, require_visible

TEXT_MAX_BYTES = 1_048_576
"""1 MiB of UTF-8."""


@dataclass(frozen=True, slots=True)
class PostText:
    """What a post says: trimmed, with something in it that can be seen, at most 1 MiB of UTF-8.

    Without NUL, which PostgreSQL does not store, without lone surrogates, which no UTF-8 can carry, and without more
    combining marks in a row than `NON_STARTERS_MAX`.
    """

    value: str
    words: SearchableText | None = field(default=None, compare=False, repr=False)
    """What it is found by, where that was made before; see `indexed`."""

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
        if not (
            value.isascii() and "!" <= value[0] <= "~"
        ):  # What is ASCII and begins with a letter or a sign is both.
            require_stream_safe(value, field="text")
            require_visible(value, field="text")
        return cls(value)

    def indexed(self) -> Self:
        """Return the same text with its words: for who has the time now, and none when it is stored."""
        return replace(self, words=SearchableText.of(self.value))
