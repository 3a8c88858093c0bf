"""Turning slices of posts into pages with a cursor."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from application.posts.ports import RANKS_KEPT, PostSlice, RankedPosition, RankedSlice
from application.posts.views import PostPageView
from application.shared.paging import CursorCodec, InvalidCursor, PageRequest
from domain.shared.ids import PostId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RANKED_BYTES = 32
"""8 of the rank, 8 of the moment that ranks are as of (microseconds since 1970), 16 of the post."""


def decode_position(codec: CursorCodec, scope: str, request: PageRequest) -> PostId | None:
    """Return the post that the page begins behind; None: at the start. Raises `InvalidCursor`."""
    return None if request.cursor is None else PostId(codec.decode(scope, request.cursor))


def page(codec: CursorCodec, scope: str, slice_: PostSlice) -> PostPageView:
    """Close the slice with the cursor of its last post, where the list goes on."""
    last = slice_.items[-1].id if slice_.more else None
    return PostPageView(slice_.items, None if last is None else codec.encode(scope, UUID(last)))


def decode_ranked_position(
    codec: CursorCodec, scope: str, request: PageRequest, *, now: datetime
) -> tuple[RankedPosition | None, datetime]:
    """Return where the page of a ranked list begins, and as of when the ranks are. Raises `InvalidCursor`.

    The first page is as of now, and those that follow it are as of the first. Once ranks that old are no longer kept,
    the list goes on at the same place, as of now.
    """
    if request.cursor is None:
        return None, now
    octets = codec.unseal(scope, request.cursor)
    if len(octets) != _RANKED_BYTES:
        raise InvalidCursor
    rank = int.from_bytes(octets[:8], "big", signed=True)
    as_of = _EPOCH + int.from_bytes(octets[8:16], "big") * _MICROSECOND
    after = RankedPosition(rank, PostId(UUID(bytes=octets[16:])))
    return after, now if as_of < now - RANKS_KEPT else as_of


def ranked_page(codec: CursorCodec, scope: str, slice_: RankedSlice, as_of: datetime) -> PostPageView:
    """Close the slice with the cursor of its last post, where the list goes on."""
    last = slice_.last if slice_.more else None
    if last is None:
        return PostPageView(slice_.items, None)
    timestamp = (as_of - _EPOCH) // _MICROSECOND
    octets = last.rank.to_bytes(8, "big", signed=True) + timestamp.to_bytes(8, "big") + last.post_id.bytes
    return PostPageView(slice_.items, codec.seal(scope, octets))
