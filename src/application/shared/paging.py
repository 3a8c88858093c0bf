"""Keyset paging: a page goes on where the last item of the one before ended, never at a count."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.shared.errors import FieldError, Invalid

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
PAGE_TEXT_BUDGET = 4 * 1_048_576
"""Bytes of text (UTF-8) in one page: it closes early, with one item at the least."""


class InvalidCursor(Invalid):
    slug = "invalid-cursor"
    title = "The cursor is not one that this list gave out"

    def __init__(self) -> None:
        super().__init__([FieldError("?cursor", "cursor", "must come from `next_cursor` of the same list")])


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a caller asks of a list: how many items, after which place (an opaque cursor; None: from the start)."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


class CursorCodec(Protocol):
    """Turns a place in a list into opaque text and back."""

    def encode(self, scope: str, position: UUID) -> str:
        """Return URL-safe text that names `position`, sealed so that no other list and no other server takes it."""
        ...

    def decode(self, scope: str, cursor: str) -> UUID:
        """Return the position. Raises `InvalidCursor` for text that `encode` did not make for this `scope`."""
        ...

    def seal(self, scope: str, position: bytes) -> str:
        """Return URL-safe text that names a place in a list which takes more than an id; up to 64 bytes."""
        ...

    def unseal(self, scope: str, cursor: str) -> bytes:
        """Return the place. Raises `InvalidCursor` for text that `seal` did not make for this `scope`."""
        ...


def scope_of(name: str, filters: Mapping[str, str | None]) -> str:
    """Return the scope of a list: its name and its filters, so that a cursor fits just the list it came from."""
    return name + "".join(f"&{key}={value}" for key, value in sorted(filters.items()) if value is not None)
