"""The public feed."""

from dataclasses import dataclass

from application.posts.pages import page, place
from application.posts.ports import PostReader
from application.posts.views import PostPageView
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class ListFeedQuery:
    page: PageRequest
    viewer: UserId | None
    author: UserId | None = None


class ListFeed:
    """List everybody's posts, or one author's, newest first."""

    def __init__(self, *, reader: PostReader, cursors: CursorCodec) -> None:
        self._reader = reader
        self._cursors = cursors

    async def execute(self, query: ListFeedQuery) -> PostPageView:
        scope = scope_of("feed", {"author": str(query.author) if query.author else None})
        before = place(self._cursors, scope, query.page)
        limit = query.page.limit
        if query.author is None:
            found = await self._reader.newest(limit=limit, before=before, viewer=query.viewer)
        else:
            found = await self._reader.by_author(query.author, limit=limit, before=before, viewer=query.viewer)
        return page(self._cursors, scope, found)
