"""Posts in a database."""

from typing import Any
from uuid import UUID

from msgspec import UNSET
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    null,
    select,
    type_coerce,
    update,
)

from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.errors import Named
from adapters.sql.mapping import post_from, post_values
from adapters.sql.models import PostRow, UserRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import LONG_TEXT, Id, IdText, MomentText
from application.posts.ports import AuthorDirectory, PostReader, PostRepository, PostSlice
from application.posts.views import AuthorView, PostView
from application.shared.paging import PAGE_TEXT_BUDGET
from domain.posts.errors import AuthorGone, PostNotFound
from domain.posts.post import Post
from domain.shared.ids import PostId, UserId

_POSTS = table_of(PostRow)
_USERS = table_of(UserRow)
_VOTES = table_of(VoteRow)

_OF_AN_AUTHOR: Named = {"fk_posts_author_id_users": AuthorGone}

_LOAD = (
    select(PostRow).where(PostRow.id == bindparam("at_id")).with_for_update().execution_options(populate_existing=True)
)
_AS_LOADED = and_(_POSTS.c.id == bindparam("at_id"), _POSTS.c.version == bindparam("at_version"))
_OWNED = _POSTS.c.author_id == bindparam("owner")
_INSERT = insert(_POSTS).values(score=0, upvotes=0, downvotes=0)
_UPDATE = update(_POSTS).where(_AS_LOADED, _OWNED)
_DELETE = delete(_POSTS).where(_AS_LOADED)
_DELETE_OWN = delete(_POSTS).where(_AS_LOADED, _OWNED)

_LAST = UUID(int=(1 << 128) - 1)
"""No id is above it: a list that begins at the newest post is one before this."""


def _views(text: ColumnElement[Any], *, my_vote: bool) -> Select[Any]:
    """Select what `PostView` shows, in one fixed order of columns: with the viewer's vote or without."""
    columns: list[ColumnElement[Any]] = [
        _POSTS.c.text_bytes,
        text,
        type_coerce(_POSTS.c.id, IdText),
        type_coerce(_POSTS.c.author_id, IdText),
        _USERS.c.username,
        _USERS.c.name,
        _POSTS.c.score,
        _POSTS.c.upvotes,
        _POSTS.c.downvotes,
        type_coerce(_POSTS.c.created_at, MomentText),
        type_coerce(_POSTS.c.updated_at, MomentText),
        _POSTS.c.version,
    ]
    tables = _POSTS.join(_USERS, _USERS.c.id == _POSTS.c.author_id)
    if my_vote:
        of_viewer = and_(_VOTES.c.post_id == _POSTS.c.id, _VOTES.c.user_id == bindparam("viewer"))
        tables = tables.outerjoin(_VOTES, of_viewer)
        columns.append(func.coalesce(_VOTES.c.direction, 0))
    # Without it MariaDB starts from `users`, and sorts all their posts, whenever it believes that users are few.
    return select(*columns).select_from(tables).prefix_with("STRAIGHT_JOIN", dialect="mysql")


def _page(*, my_vote: bool) -> Select[Any]:
    # A page of 100 posts of 1 MiB each would load 100 MiB to show 4. So what is larger than its share stays away at
    # first; the shares add up to the budget.
    short = case(
        (_POSTS.c.text_bytes <= bindparam("share", type_=Integer), _POSTS.c.text), else_=type_coerce(null(), LONG_TEXT)
    )
    return (
        _views(short, my_vote=my_vote)
        .where(_POSTS.c.id < bindparam("before", type_=Id))
        .order_by(_POSTS.c.id.desc())
        .limit(bindparam("rows", type_=Integer))
    )


class _Statements:
    """The statements of one kind of caller: with a vote of their own, or anonymous. Built once, at import."""

    def __init__(self, *, my_vote: bool) -> None:
        self.one = _views(_POSTS.c.text, my_vote=my_vote).where(_POSTS.c.id == bindparam("at_id"))
        self.some = _views(_POSTS.c.text, my_vote=my_vote).where(
            _POSTS.c.id.in_(bindparam("ids", expanding=True, type_=Id))
        )
        self.newest = _page(my_vote=my_vote)
        self.by_author = self.newest.where(_POSTS.c.author_id == bindparam("author"))


_ANONYMOUS = _Statements(my_vote=False)
_SIGNED_IN = _Statements(my_vote=True)

_AUTHOR = select(type_coerce(_USERS.c.id, IdText), _USERS.c.username, _USERS.c.name).where(
    _USERS.c.id == bindparam("at_id")
)


class SqlPostRepository(PostRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, post: Post) -> None:
        values = {**post_values(post), "version": post.version}
        await self._transaction.execute(_INSERT, values, _OF_AN_AUTHOR)
        self._transaction.touch(post)

    async def get(self, post_id: PostId) -> Post:
        row = (await self._transaction.execute(_LOAD, {"at_id": post_id})).scalar_one_or_none()
        if row is None:
            raise PostNotFound
        return post_from(row)

    async def save(self, post: Post, *, owner: UserId) -> None:
        moved = {"version": post.version + 1, "at_id": post.id, "at_version": post.version, "owner": owner}
        await self._transaction.execute_guarded(_UPDATE, {**post_values(post), **moved})
        post.version += 1
        self._transaction.touch(post)

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        as_loaded = {"at_id": post.id, "at_version": post.version}
        if owner is None:
            await self._transaction.execute_guarded(_DELETE, as_loaded)
        else:
            await self._transaction.execute_guarded(_DELETE_OWN, {**as_loaded, "owner": owner})
        self._transaction.touch(post)


class SqlPostReader(PostReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        statements, parameters = _for(viewer)
        row = await self._database.fetch_one(statements.one, {**parameters, "at_id": post_id})
        return None if row is None else _view(row)

    async def newest(self, *, limit: int, before: PostId | None, viewer: UserId | None) -> PostSlice:
        statements, parameters = _for(viewer)
        return await self._slice(statements.newest, statements, parameters, limit, before)

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None
    ) -> PostSlice:
        statements, parameters = _for(viewer)
        return await self._slice(statements.by_author, statements, {**parameters, "author": author_id}, limit, before)

    async def _slice(
        self, page: Select[Any], statements: _Statements, parameters: Parameters, limit: int, before: UUID | None
    ) -> PostSlice:
        # One row more than asked for says whether the list goes on.
        place = {"before": before or _LAST, "rows": limit + 1, "share": PAGE_TEXT_BUDGET // limit}
        rows = await self._database.fetch_all(page, {**parameters, **place})
        shown = _within_budget(rows[:limit])
        more = len(shown) < len(rows)
        missing = [UUID(row[2]) for row in shown if row[1] is None]
        if not missing:
            return PostSlice([_view(row) for row in shown], more)
        # Read whole, not just the texts: an edit in between would put a new text under an old version.
        whole = await self._database.fetch_all(statements.some, {**parameters, "ids": missing})
        known = {row[2]: row for row in whole}
        found = [known.get(row[2], row) for row in shown]
        there = [row for row in found if row[1] is not None]
        final = _within_budget(there)
        if not final and more:
            # All were deleted in between; the page after them is this one now.
            return await self._slice(page, statements, parameters, limit, UUID(shown[-1][2]))
        return PostSlice([_view(row) for row in final], more or len(final) < len(there))


class SqlAuthorDirectory(AuthorDirectory):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, author_id: UserId) -> AuthorView | None:
        row = await self._database.fetch_one(_AUTHOR, {"at_id": author_id})
        return None if row is None else AuthorView(*row)


def _for(viewer: UserId | None) -> tuple[_Statements, Parameters]:
    return (_ANONYMOUS, {}) if viewer is None else (_SIGNED_IN, {"viewer": viewer})


def _within_budget(rows: Any) -> list[AnyRow]:
    """Return the first rows whose texts fit a page together; the first one always does."""
    fitting: list[AnyRow] = []
    budget = PAGE_TEXT_BUDGET
    for row in rows:
        budget -= row[0]
        if fitting and budget < 0:
            break
        fitting.append(row)
    return fitting


def _view(row: AnyRow) -> PostView:
    _, text, id, author_id, username, name, score, upvotes, downvotes, created_at, updated_at, version, *vote = row
    return PostView(
        id=id,
        author=AuthorView(author_id, username, name),
        text=text,
        score=score,
        upvotes=upvotes,
        downvotes=downvotes,
        my_vote=vote[0] if vote else UNSET,
        created_at=created_at,
        updated_at=updated_at,
        version=version,
    )
