"""Posts in a database."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import UNSET
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    tuple_,
    type_coerce,
    update,
)

from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.errors import Named
from adapters.sql.mapping import post_from, post_values
from adapters.sql.models import PostRow, UserRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id, IdText, MomentText
from application.posts.ports import AuthorDirectory, PostReader, PostRepository, PostSlice
from application.posts.views import AuthorView, PostView
from application.shared.paging import MAX_LIMIT, PAGE_TEXT_BUDGET
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

_TEXT_BYTES, _TEXT, _ID = 0, 1, 2
"""Where these are in a row of `_views`."""

_LAST = UUID(int=(1 << 128) - 1)
"""No id is above it: a list that begins at the newest post is one before this."""


def _views(posts: FromClause, text: ColumnElement[Any], *, my_vote: bool) -> Select[Any]:
    """Select what `PostView` shows, in one fixed order of columns: with the viewer's vote or without.

    `posts` is the table, or a part of it with the same columns.
    """
    columns: list[ColumnElement[Any]] = [
        posts.c.text_bytes,
        text,
        type_coerce(posts.c.id, IdText),
        type_coerce(posts.c.author_id, IdText),
        _USERS.c.username,
        _USERS.c.name,
        posts.c.score,
        posts.c.upvotes,
        posts.c.downvotes,
        type_coerce(posts.c.created_at, MomentText),
        type_coerce(posts.c.updated_at, MomentText),
        posts.c.version,
    ]
    tables = posts.join(_USERS, _USERS.c.id == posts.c.author_id)
    if my_vote:
        of_viewer = and_(_VOTES.c.post_id == posts.c.id, _VOTES.c.user_id == bindparam("viewer", type_=Id))
        tables = tables.outerjoin(_VOTES, of_viewer)
        columns.append(func.coalesce(_VOTES.c.direction, 0))
    # Without it MariaDB starts from `users`, and sorts all their posts, whenever it believes that users are few.
    return select(*columns).select_from(tables).prefix_with("STRAIGHT_JOIN", dialect="mysql")


@lru_cache(maxsize=16 * MAX_LIMIT)
def _page(limit: int, *, by_author: bool, my_vote: bool, keyset_by_rows: bool) -> Select[Any]:
    """Build the statement for a page: once each, since there are few limits.

    The limit stands in the statement, not in a parameter, because PostgreSQL plans a prepared statement without its
    parameters after a while, and takes an unknown limit for a tenth of the table.
    """
    # One row more than asked for says whether the list goes on.
    rows = literal_column(str(limit + 1), Integer)
    before, author = bindparam("before", type_=Id), bindparam("author", type_=Id)
    # A page of 100 posts of 1 MiB each would load 100 MiB to show 4. So what is larger than its share stays away at
    # first; the shares add up to the budget.
    share = literal_column(str(PAGE_TEXT_BUDGET // limit), Integer)
    short = case((_POSTS.c.text_bytes <= share, _POSTS.c.text), else_=null()).label("text")
    if not (by_author and keyset_by_rows):
        page = _views(_POSTS, short, my_vote=my_vote).where(_POSTS.c.id < before).order_by(_POSTS.c.id.desc())
        return (page.where(_POSTS.c.author_id == author) if by_author else page).limit(rows)
    # After an equality, PostgreSQL takes the order by `id` for one that the primary key gives as well, and may walk
    # everybody's posts backwards in search of an author who has many, all of them old. This says the same in a way
    # that only the index by author and id gives the order, and the pair finds the place in it. It takes a range of
    # one author for one post, so the page is cut before it is joined: joining first, it would sort the author's posts.
    place = tuple_(_POSTS.c.author_id, _POSTS.c.id) < tuple_(author, before)
    cut = (
        select(*(column for column in _POSTS.c if column.name != "text"), short)
        .where(place, _POSTS.c.author_id >= author)
        .order_by(_POSTS.c.author_id.desc(), _POSTS.c.id.desc())
        .limit(rows)
        .subquery("posts")
    )
    return _views(cut, cut.c.text, my_vote=my_vote).order_by(cut.c.id.desc())


def _one(*, my_vote: bool) -> Select[Any]:
    return _views(_POSTS, _POSTS.c.text, my_vote=my_vote).where(_POSTS.c.id == bindparam("at_id"))


def _some(*, my_vote: bool) -> Select[Any]:
    return _views(_POSTS, _POSTS.c.text, my_vote=my_vote).where(
        _POSTS.c.id.in_(bindparam("ids", expanding=True, type_=Id))
    )


# By whether the caller is somebody, with a vote of their own.
_ONE = {my_vote: _one(my_vote=my_vote) for my_vote in (False, True)}
_SOME = {my_vote: _some(my_vote=my_vote) for my_vote in (False, True)}

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
        self._keyset_by_rows = database.dialect.keyset_by_rows

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        row = await self._database.fetch_one(_ONE[viewer is not None], {"at_id": post_id, **_of(viewer)})
        return None if row is None else _view(row)

    async def newest(self, *, limit: int, before: PostId | None, viewer: UserId | None) -> PostSlice:
        return await self._slice(limit, before, viewer, {})

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None
    ) -> PostSlice:
        return await self._slice(limit, before, viewer, {"author": author_id})

    async def _slice(self, limit: int, before: UUID | None, viewer: UserId | None, author: Parameters) -> PostSlice:
        my_vote = viewer is not None
        page = _page(limit, by_author=bool(author), my_vote=my_vote, keyset_by_rows=self._keyset_by_rows)
        rows = await self._database.fetch_all(page, {"before": before or _LAST, **author, **_of(viewer)})
        shown = _within_budget(rows[:limit])
        more = len(shown) < len(rows)
        missing = [UUID(row[_ID]) for row in shown if row[_TEXT] is None]
        if not missing:
            return PostSlice([_view(row) for row in shown], more)
        # Read whole, not just the texts: an edit in between would put a new text under an old version.
        whole = await self._database.fetch_all(_SOME[my_vote], {"ids": missing, **_of(viewer)})
        known = {row[_ID]: row for row in whole}
        there = [row for row in (known.get(row[_ID], row) for row in shown) if row[_TEXT] is not None]
        final = _within_budget(there)
        if not final and more:
            # All of them were deleted in between, so the page after them is this one.
            return await self._slice(limit, UUID(shown[-1][_ID]), viewer, author)
        return PostSlice([_view(row) for row in final], more or len(final) < len(there))


class SqlAuthorDirectory(AuthorDirectory):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, author_id: UserId) -> AuthorView | None:
        row = await self._database.fetch_one(_AUTHOR, {"at_id": author_id})
        return None if row is None else AuthorView(*row)


def _of(viewer: UserId | None) -> Parameters:
    return {} if viewer is None else {"viewer": viewer}


def _within_budget(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Return the first rows whose texts fit a page together; the first one always does."""
    fitting: list[AnyRow] = []
    budget = PAGE_TEXT_BUDGET
    for row in rows:
        budget -= row[_TEXT_BYTES]
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
