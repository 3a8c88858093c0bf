"""Where a page of a keyset list begins, and the cursor with which the list goes on."""

from uuid import UUID

from application.shared.paging import CursorCodec, PageRequest


def decode_position(codec: CursorCodec, scope: str, request: PageRequest) -> UUID | None:
    """Return the id before which the page begins; None: at the newest. Raises `InvalidCursor`."""
    return None if request.cursor is None else codec.decode(scope, request.cursor)


def next_cursor(codec: CursorCodec, scope: str, last: str | None) -> str | None:
    """Return the cursor that goes on after the item `last`; None ends the list."""
    return None if last is None else codec.encode(scope, UUID(last))
