"""Reading one post."""

from typing import NamedTuple

from application.posts.ports import PostReader
from application.posts.views import PostView
from domain.posts.errors import PostNotFound
from domain.shared.ids import PostId, UserId


class GetPostQuery(NamedTuple):
    post_id: PostId
    viewer: UserId | None


class GetPost:
    """Read one post; anybody may."""

    def __init__(self, *, reader: PostReader) -> None:
        self._reader = reader

    async def execute(self, query: GetPostQuery) -> PostView:
        view = await self._reader.get(query.post_id, viewer=query.viewer)
        if view is None:
            raise PostNotFound
        return view
