"""Posts in memory."""

from msgspec import UNSET

from adapters.memory.store import MemoryStore, PostRecord, SortedIds, Transaction, detached_post
from application.posts.ports import AuthorDirectory, AuthorRevisions, PostReader, PostRepository, PostSlice
from application.posts.views import AuthorView, PostView
from application.shared.errors import VersionConflict
from application.shared.paging import PAGE_TEXT_BUDGET
from application.shared.views import timestamp
from domain.identity.user import User
from domain.posts.errors import AuthorGone, PostNotFound
from domain.posts.post import Post
from domain.shared.ids import PostId, UserId


class MemoryPostRepository(PostRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, post: Post) -> None:
        await self._transaction.lock()
        if self._transaction.posts.get(post.id) is not None:
            raise ValueError(f"there is a post {post.id} already")
        if self._transaction.users.get(post.author_id) is None:
            raise AuthorGone
        self._transaction.posts.put(post.id, PostRecord(detached_post(post), len(post.text.value.encode())))
        self._transaction.touch(post)

    async def get(self, post_id: PostId) -> Post:
        await self._transaction.lock()
        record = self._transaction.posts.get(post_id)
        if record is None:
            raise PostNotFound
        return detached_post(record.post)

    async def save(self, post: Post, *, owner: UserId) -> None:
        record = await self._as_loaded(post, owner)
        post.version += 1
        changed = PostRecord(detached_post(post), len(post.text.value.encode()), record.upvotes, record.downvotes)
        self._transaction.posts.put(post.id, changed)
        self._transaction.touch(post)

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        await self._as_loaded(post, owner)
        self._transaction.posts.remove(post.id)
        self._transaction.touch(post)

    async def _as_loaded(self, post: Post, owner: UserId | None) -> PostRecord:
        """Return what is stored, if it still is what `post` was made from and belongs to `owner`."""
        await self._transaction.lock()
        record = self._transaction.posts.get(post.id)
        if record is None or record.post.version != post.version or owner not in (None, record.post.author_id):
            raise VersionConflict
        return record


class MemoryPostReader(PostReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        record = self._store.posts.get(post_id)
        return None if record is None else self._view(record, viewer)

    async def newest(self, *, limit: int, before: PostId | None, viewer: UserId | None) -> PostSlice:
        return self._slice(self._store.feed, limit, before, viewer)

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None
    ) -> PostSlice:
        return self._slice(self._store.feeds.get(author_id, SortedIds()), limit, before, viewer)

    def _slice(self, ids: SortedIds, limit: int, before: PostId | None, viewer: UserId | None) -> PostSlice:
        items: list[PostView] = []
        budget = PAGE_TEXT_BUDGET
        for post_id in ids.newest_first(before):
            record = self._store.posts[post_id]
            budget -= record.text_bytes
            if len(items) == limit or (items and budget < 0):
                return PostSlice(items, more=True)
            items.append(self._view(record, viewer))
        return PostSlice(items, more=False)

    def _view(self, record: PostRecord, viewer: UserId | None) -> PostView:
        post = record.post
        return PostView(
            id=str(post.id),
            author=_author_view(self._store.users[post.author_id]),
            text=post.text.value,
            score=record.upvotes - record.downvotes,
            upvotes=record.upvotes,
            downvotes=record.downvotes,
            my_vote=UNSET if viewer is None else 0,  # Nobody can vote yet.
            created_at=timestamp(post.created_at),
            updated_at=timestamp(post.updated_at),
            version=post.version,
        )


class MemoryAuthorDirectory(AuthorDirectory):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def find(self, author_id: UserId) -> AuthorView | None:
        user = self._store.users.get(author_id)
        return None if user is None else _author_view(user)


class MemoryAuthorRevisions(AuthorRevisions):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def current(self, author_id: UserId) -> int | None:
        return self._store.revisions.get(author_id, 0)

    async def close(self) -> None:
        """Do nothing: there is nothing to give back. It is here because the other revisions hold connections."""


def _author_view(user: User) -> AuthorView:
    return AuthorView(str(user.id), user.username.value, user.name.value if user.name else None)
