"""One author's posts."""

from dataclasses import dataclass

from application.posts.pages import decode_position, page
from application.posts.ports import AuthorDirectory, PostReader
from application.posts.views import PostPageView
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.posts.errors import AuthorNotFound
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class ListAuthorPostsQuery:
    author: UserId
    page: PageRequest
    viewer: UserId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAuthorPosts:
    """List one author's posts, newest first."""

    reader: PostReader
    authors: AuthorDirectory
    cursors: CursorCodec

    async def execute(self, query: ListAuthorPostsQuery) -> PostPageView:
        scope = scope_of("author", {"id": str(query.author)})
        before = decode_position(self.cursors, scope, query.page)
        found = await self.reader.by_author(query.author, limit=query.page.limit, before=before, viewer=query.viewer)
        # Only an empty first page leaves open whether there is an author at all.
        if not found.items and await self.authors.find(query.author) is None:
            raise AuthorNotFound
        return page(self.cursors, scope, found)
