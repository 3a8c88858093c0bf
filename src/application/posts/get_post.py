"""Reading one post."""

from dataclasses import dataclass
from typing import NamedTuple

from application.posts.ports import PostReader
from application.posts.views import PostView
from domain.posts.errors import PostNotFound
from domain.shared.ids import PostId, UserId


class GetPostQuery(NamedTuple):
    post_id: PostId
    viewer: UserId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPost:
    """Read one post; anybody may."""

    reader: PostReader

    async def execute(self, query: GetPostQuery) -> PostView:
        view = await self.reader.get(query.post_id, viewer=query.viewer)
        if view is None:
            raise PostNotFound
        return view
