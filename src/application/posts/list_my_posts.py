"""The caller's own posts: the list that is served from the cache."""

from typing import NamedTuple

from application.posts.pages import decode_position, page
from application.posts.ports import MyPostsReader, PostReader
from application.posts.views import encoded_page
from application.shared.paging import CursorCodec, PageRequest, scope_of
from application.shared.pending import Pending
from application.shared.threads import INLINE_THREADS, Threads
from application.shared.views import EncodedPage
from domain.shared.actor import Actor
from domain.shared.ids import UserId


class ListMyPostsQuery(NamedTuple):
    actor: Actor
    page: PageRequest


class ListMyPosts:
    """List the caller's own posts, newest first.

    Served from a cache for up to five minutes; the caller's own acknowledged writes are always in it.
    """

    def __init__(self, *, my_posts: MyPostsReader) -> None:
        self._my_posts = my_posts

    def execute(self, query: ListMyPostsQuery) -> Pending[EncodedPage]:
        return self._my_posts.page(query.actor.user_id, query.page)


class StoredMyPosts(MyPostsReader):
    """Reads the page from storage each time: what a cache stands in front of."""

    def __init__(self, *, reader: PostReader, cursors: CursorCodec, threads: Threads = INLINE_THREADS) -> None:
        self._reader = reader
        self._cursors = cursors
        self._threads = threads

    async def page(self, owner: UserId, request: PageRequest) -> EncodedPage:
        scope = scope_of("mine", {"owner": str(owner)})
        before = decode_position(self._cursors, scope, request)
        found = await self._reader.by_author(owner, limit=request.limit, before=before, viewer=owner)
        return await encoded_page(page(self._cursors, scope, found), self._threads)
