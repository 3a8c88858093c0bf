"""Posts in a database: the repository, which writes them."""

from sqlalchemy import and_, bindparam, delete, insert, select, update

from adapters.sql.errors import ConstraintErrors
from adapters.sql.mapping import new_post_values, post_from, post_values
from adapters.sql.posts.threads import DELETE_VOTES, TOMBSTONE, decrement_reply_counts
from adapters.sql.posts.words import add_words, change_words, remove_words
from adapters.sql.tables import PostRow, table_of
from adapters.sql.transaction import SqlRepository
from application.posts.ports import PostRepository
from domain.posts.errors import AuthorGone, PostNotFound, ReplyTargetGone
from domain.posts.post import Post
from domain.shared.ids import PostId, UserId

_POSTS = table_of(PostRow)

_OF_AN_AUTHOR: ConstraintErrors = {"fk_posts_author_id_users": AuthorGone}

_LOAD = select(_POSTS).where(_POSTS.c.id == bindparam("at_id"), _POSTS.c.author_id.is_not(None)).with_for_update()
_AS_LOADED = and_(_POSTS.c.id == bindparam("at_id"), _POSTS.c.version == bindparam("at_version"))
_OWNED = _POSTS.c.author_id == bindparam("owner")
_INSERT = insert(_POSTS)
_UPDATE = update(_POSTS).where(_AS_LOADED, _OWNED)

# Threads. Whoever answers a post or deletes it changes its row first, so the two take turns.
_COUNT_ANSWER = (
    update(_POSTS)
    .where(_POSTS.c.id == bindparam("at_id"), _POSTS.c.author_id.is_not(None))
    .values(replies=_POSTS.c.replies + 1)
)
_DELETE = delete(_POSTS).where(_AS_LOADED, _POSTS.c.replies == 0, _POSTS.c.author_id.is_not(None))
_DELETE_OWN = _DELETE.where(_OWNED)
_MAKE_TOMBSTONE = update(_POSTS).where(_AS_LOADED, _POSTS.c.replies > 0).values(TOMBSTONE)
_MAKE_OWN_TOMBSTONE = _MAKE_TOMBSTONE.where(_OWNED)


class SqlPostRepository(SqlRepository, PostRepository):
    async def add(self, post: Post) -> None:
        if post.reply_to is not None:
            counted = await self._transaction.run(_COUNT_ANSWER, {"at_id": post.reply_to})
            if counted.count != 1:
                raise ReplyTargetGone
        await self._transaction.enqueue(_INSERT, new_post_values(post), _OF_AN_AUTHOR)
        await add_words(self._transaction, post)
        self._track(post)

    async def get(self, post_id: PostId) -> Post:
        row = (await self._transaction.run(_LOAD, {"at_id": post_id})).one_or_none()
        if row is None:
            raise PostNotFound
        return post_from(row)

    async def save(self, post: Post, *, owner: UserId) -> None:
        moved = {"version": post.version + 1, "at_id": post.id, "at_version": post.version, "owner": owner}
        await self._transaction.run_guarded(_UPDATE, {**post_values(post), **moved})
        await change_words(self._transaction, post)
        post.version += 1
        self._track(post)

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        as_loaded = {"at_id": post.id, "at_version": post.version}
        if owner is not None:
            as_loaded["owner"] = owner
        if post.has_replies:
            tombstones = {**as_loaded, "version": post.version + 1}
            await self._transaction.run_guarded(_MAKE_TOMBSTONE if owner is None else _MAKE_OWN_TOMBSTONE, tombstones)
            await self._transaction.enqueue(DELETE_VOTES, {"at_id": post.id})
            await remove_words(self._transaction, post.id)
        else:
            await self._transaction.run_guarded(_DELETE if owner is None else _DELETE_OWN, as_loaded)
            await decrement_reply_counts(self._transaction, post.reply_to, 1)
        self._track(post)
