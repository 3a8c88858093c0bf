"""Turning slices of posts into pages with a cursor."""

from uuid import UUID

from application.posts.ports import PostSlice
from application.posts.views import PostPageView
from application.shared.paging import CursorCodec, PageRequest
from domain.shared.ids import PostId


def place(codec: CursorCodec, scope: str, request: PageRequest) -> PostId | None:
    """Return the post before which the page begins; None: at the newest. Raises `InvalidCursor`."""
    return None if request.cursor is None else PostId(codec.decode(scope, request.cursor))


def page(codec: CursorCodec, scope: str, slice_: PostSlice) -> PostPageView:
    """Close the slice with the cursor of its last post, where the list goes on."""
    last = slice_.items[-1].id if slice_.more else None
    return PostPageView(slice_.items, None if last is None else codec.encode(scope, UUID(last)))
