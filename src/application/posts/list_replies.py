"""The answers to a post."""

from dataclasses import dataclass

from application.posts.pages import decode_position, page
from application.posts.ports import PostReader
from application.posts.views import PostPageView
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.posts.errors import PostNotFound
from domain.shared.ids import PostId, UserId


@dataclass(frozen=True, slots=True)
class ListRepliesQuery:
    post_id: PostId
    page: PageRequest
    viewer: UserId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReplies:
    """List the direct answers to a post, oldest first, as a conversation is read.

    An answer that was deleted while it had answers of its own is among them, with `deleted` set. Each says in
    `replies` how many answer it in turn.
    """

    reader: PostReader
    cursors: CursorCodec

    async def execute(self, query: ListRepliesQuery) -> PostPageView:
        scope = scope_of("replies", {"to": str(query.post_id)})
        after = decode_position(self.cursors, scope, query.page)
        found = await self.reader.replies(query.post_id, limit=query.page.limit, after=after, viewer=query.viewer)
        # Only an empty first page leaves open whether there is a post at all.
        if not found.items and await self.reader.get(query.post_id, viewer=None) is None:
            raise PostNotFound
        return page(self.cursors, scope, found)
