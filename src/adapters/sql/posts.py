"""Posts in a database."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import UNSET
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CursorResult,
    FromClause,
    Integer,
    Select,
    UnaryExpression,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.sql.operators import custom_op

from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.errors import Named
from adapters.sql.mapping import new_post_values, post_from, post_values
from adapters.sql.models import PastRankRow, PostRow, UserRow, VoteRow, table_of
from adapters.sql.threads import DELETE_VOTES, TOMBSTONE, uncount_answers
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id, IdText, MomentText
from adapters.sql.words import add_words, change_words, remove_words
from application.posts.ports import (
    ALWAYS,
    AuthorDirectory,
    Period,
    PostReader,
    PostRepository,
    PostSlice,
    RankedPlace,
    RankedSlice,
)
from application.posts.views import AuthorView, PostView
from application.shared.paging import MAX_LIMIT, PAGE_TEXT_BUDGET
from domain.posts.errors import AuthorGone, PostNotFound, ReplyTargetGone
from domain.posts.post import Post
from domain.posts.ranking import Sort, microseconds
from domain.shared.ids import PostId, UserId, smallest_id_at

_POSTS = table_of(PostRow)
_USERS = table_of(UserRow)
_VOTES = table_of(VoteRow)
_PAST = table_of(PastRankRow)

_OF_AN_AUTHOR: Named = {"fk_posts_author_id_users": AuthorGone}

_LOAD = (
    select(PostRow)
    .where(PostRow.id == bindparam("at_id"), PostRow.author_id.is_not(None))
    .with_for_update()
    .execution_options(populate_existing=True)
)
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
_BURY = update(_POSTS).where(_AS_LOADED, _POSTS.c.replies > 0).values(TOMBSTONE)
_BURY_OWN = _BURY.where(_OWNED)

_TEXT_BYTES, _TEXT, _ID = 0, 1, 2
"""Where these are in a row of `_views`."""

_LAST = UUID(int=(1 << 128) - 1)
"""No id is above it: a list that begins at the newest post is one before this."""
_FIRST = UUID(int=0)
_VOTE = 14
"""Where the viewer's vote is in a row of `_views`, when it is there."""


def _views(
    posts: FromClause, text: ColumnElement[Any], *, my_vote: bool, joined: FromClause | None = None
) -> Select[Any]:
    """Select what `PostView` shows, in one fixed order of columns: with the viewer's vote or without.

    `posts` is the table, or a part of it with the same columns; `joined` is what it is found through.
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
        type_coerce(posts.c.reply_to, IdText),
        posts.c.replies,
    ]
    # Outer: a tombstone has no author.
    tables = (posts if joined is None else joined).outerjoin(_USERS, _USERS.c.id == posts.c.author_id)
    if my_vote:
        of_viewer = and_(_VOTES.c.post_id == posts.c.id, _VOTES.c.user_id == bindparam("viewer", type_=Id))
        tables = tables.outerjoin(_VOTES, of_viewer)
        columns.append(func.coalesce(_VOTES.c.direction, 0))
    # Without it MariaDB starts from `users`, and sorts all their posts, whenever it believes that users are few.
    return select(*columns).select_from(tables).prefix_with("STRAIGHT_JOIN", dialect="mysql")


def _short(limit: int) -> ColumnElement[Any]:
    """Return the text where it is no longer than its share of a page of `limit`, else NULL.

    A page of 100 posts of 1 MiB each would load 100 MiB to show 4. So what is larger than its share stays away at
    first; the shares add up to the budget.
    """
    share = literal_column(str(PAGE_TEXT_BUDGET // limit), Integer)
    return case((_POSTS.c.text_bytes <= share, _POSTS.c.text), else_=null()).label("text")


def _rows(limit: int) -> ColumnElement[int]:
    """Return how many rows to read: one more than asked for, which says whether the list goes on.

    It stands in the statement, not in a parameter, because PostgreSQL plans a prepared statement without its
    parameters after a while, and takes an unknown limit for a tenth of the table.
    """
    return literal_column(str(limit + 1), Integer)


def _cut(page: Select[Any], text: str, *, my_vote: bool) -> tuple[Select[Any], FromClause]:
    """Join a page to authors and votes after it was cut, and return it with its part of the posts."""
    cut = page.subquery("posts")
    return _views(cut, cut.c[text], my_vote=my_vote), cut


_PART = [column for column in _POSTS.c if column.name != "text"]


@lru_cache(maxsize=16 * MAX_LIMIT)
def _page(
    limit: int, *, of: str, my_vote: bool, keyset_by_rows: bool, since: bool = False, ascending: bool = False
) -> Select[Any]:
    """Build the statement for a page in the order of ids: once each, since there are few limits.

    `of` is the column that all posts of the list have in common: `author_id`, `reply_to`, or `listed` for the feed.
    """
    short = _short(limit)
    common, own = _common(of)
    place = bindparam("before", type_=Id)
    bounds = [_POSTS.c.id >= bindparam("since", type_=Id)] if since else []
    order = _ascending if ascending else _descending
    if not keyset_by_rows:
        after = _POSTS.c.id > place if ascending else _POSTS.c.id < place
        page = _by_index(_views(_POSTS, short, my_vote=my_vote), f"ix_posts_{of}_id")
        page = page.where(common == own, after, *bounds)
        return page.order_by(order(_POSTS.c.id)).limit(_rows(limit))
    # After an equality, PostgreSQL takes the order by `id` for one that the primary key gives as well, and may walk
    # everybody's posts backwards in search of an author who has many, all of them old. This says the same in a way
    # that only the index by author and id gives the order, and the pair finds the place in it. It takes a range of
    # one author for one post, so the page is cut before it is joined: joining first, it would sort the author's posts.
    pair = tuple_(common, _POSTS.c.id)
    found = (pair > tuple_(own, place), common <= own) if ascending else (pair < tuple_(own, place), common >= own)
    part: Select[Any] = select(*_PART, short)
    part = part.where(*found, *bounds).order_by(order(common), order(_POSTS.c.id)).limit(_rows(limit))
    views, cut = _cut(part, "text", my_vote=my_vote)
    return views.order_by(order(cut.c.id))


def _by_index(page: Select[Any], index: str) -> Select[Any]:
    """Say which index the page runs along.

    MariaDB takes the order by `id` from the primary key and looks for what is listed, or answers one post, among all
    there is.
    """
    return page.with_hint(_POSTS, f"FORCE INDEX ({index})", "mysql")


def _ascending(column: ColumnElement[Any]) -> UnaryExpression[Any]:
    return column.asc()


def _descending(column: ColumnElement[Any]) -> UnaryExpression[Any]:
    return column.desc()


def _common(of: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    column = _POSTS.c[of]
    return column, (_TRUE if of == "listed" else bindparam("common", type_=Id))


# Not `true()`, which takes no part in a comparison of pairs.
_TRUE: ColumnElement[bool] = literal_column("true", Boolean)
_RANKS = {Sort.TOP: "score", Sort.HOT: "hot"}


def _below(rank: ColumnElement[Any], id: ColumnElement[Any], *, by_pairs: bool) -> ColumnElement[bool]:
    """Return what is true of all that stands after a place in the order by rank and id, both descending."""
    at_rank, at_id = bindparam("rank", type_=BigInteger), bindparam("before", type_=Id)
    if by_pairs:
        return tuple_(rank, id) < tuple_(at_rank, at_id)
    # MySQL finds a place by a pair only when all of it is equal; this it takes for two ranges of one index.
    return or_(rank < at_rank, and_(rank == at_rank, id < at_id))


def _within(*, since: bool, until: bool, sorts_for_bounds: bool) -> list[ColumnElement[bool]]:
    """Return the bounds of time, which a ranked list checks on its way along the index by rank."""
    # `+id` says to SQLite: do not look for an index to answer this by.
    plus = UnaryExpression(_POSTS.c.id, operator=custom_op("+"), type_=_POSTS.c.id.type)
    id = plus if sorts_for_bounds else _POSTS.c.id
    bounds: list[ColumnElement[bool]] = []
    if since:
        bounds.append(id >= bindparam("since", type_=Id))
    if until:
        bounds.append(id < bindparam("until", type_=Id))
    return bounds


@lru_cache(maxsize=64 * MAX_LIMIT)
def _ranked(
    sort: Sort,
    limit: int,
    *,
    of: str,
    placed: bool,
    since: bool,
    until: bool,
    my_vote: bool,
    keyset_by_rows: bool,
    by_pairs: bool,
    sorts_for_bounds: bool,
) -> Select[Any]:
    """Build the statement for posts in the order of their rank that no vote has moved since `as_of`.

    The last column but one is the rank; the last one says whether there are posts that a vote has moved.
    """
    short = _short(limit)
    common, own = _common(of)
    moved = exists(select(_PAST.c.post_id).where(_PAST.c.valid_until > bindparam("as_of", type_=BigInteger)))
    rank = _POSTS.c[_RANKS[sort]]
    found = [
        common == own,
        _POSTS.c.ranked_at <= bindparam("as_of", type_=BigInteger),
        *_within(since=since, until=until, sorts_for_bounds=sorts_for_bounds),
    ]
    if placed:
        found.append(_below(rank, _POSTS.c.id, by_pairs=by_pairs))
    order = (rank.desc(), _POSTS.c.id.desc())
    if not keyset_by_rows:
        page = _by_index(_views(_POSTS, short, my_vote=my_vote), f"ix_posts_{of}_{_RANKS[sort]}_id")
        page = page.add_columns(rank.label("rank"), moved.label("moved"))
        return page.where(*found).order_by(*order).limit(_rows(limit))
    part: Select[Any] = select(*_PART, short)
    part = part.where(*found).order_by(*order).limit(_rows(limit))
    views, cut = _cut(part, "text", my_vote=my_vote)
    cut_rank = cut.c[_RANKS[sort]]
    return views.add_columns(cut_rank.label("rank"), moved.label("moved")).order_by(cut_rank.desc(), cut.c.id.desc())


@lru_cache(maxsize=64 * MAX_LIMIT)
def _moved(
    sort: Sort,
    limit: int,
    *,
    of: str,
    placed: bool,
    since: bool,
    until: bool,
    my_vote: bool,
    by_pairs: bool,
    sorts_for_bounds: bool,
) -> Select[Any]:
    """Build the statement for posts in the order of the rank that they had at `as_of`, moved by votes since."""
    as_of = bindparam("as_of", type_=BigInteger)
    common, own = _common(of)
    rank = _PAST.c[_RANKS[sort]]
    # Of all the ranks that ended since, the one that had begun by then.
    found = [
        common == own,
        _PAST.c.valid_until > as_of,
        _PAST.c.valid_from <= as_of,
        *_within(since=since, until=until, sorts_for_bounds=sorts_for_bounds),
    ]
    if placed:
        found.append(_below(rank, _PAST.c.post_id, by_pairs=by_pairs))
    joined = _PAST.join(_POSTS, _POSTS.c.id == _PAST.c.post_id)
    page = _views(_POSTS, _short(limit), my_vote=my_vote, joined=joined)
    page = page.add_columns(rank.label("rank"), true().label("moved"))
    return page.where(*found).order_by(rank.desc(), _PAST.c.post_id.desc()).limit(_rows(limit))


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
        if post.reply_to is not None:
            counted = await self._transaction.execute(_COUNT_ANSWER, {"at_id": post.reply_to})
            if not isinstance(counted, CursorResult) or counted.rowcount != 1:
                raise ReplyTargetGone
        await self._transaction.execute(_INSERT, new_post_values(post), _OF_AN_AUTHOR)
        await add_words(self._transaction, post)
        self._transaction.touch(post)

    async def get(self, post_id: PostId) -> Post:
        row = (await self._transaction.execute(_LOAD, {"at_id": post_id})).scalar_one_or_none()
        if row is None:
            raise PostNotFound
        return post_from(row)

    async def save(self, post: Post, *, owner: UserId) -> None:
        moved = {"version": post.version + 1, "at_id": post.id, "at_version": post.version, "owner": owner}
        await self._transaction.execute_guarded(_UPDATE, {**post_values(post), **moved})
        await change_words(self._transaction, post)
        post.version += 1
        self._transaction.touch(post)

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        as_loaded = {"at_id": post.id, "at_version": post.version}
        if owner is not None:
            as_loaded["owner"] = owner
        if post.is_answered:
            buried = {**as_loaded, "version": post.version + 1}
            await self._transaction.execute_guarded(_BURY if owner is None else _BURY_OWN, buried)
            await self._transaction.execute(DELETE_VOTES, {"at_id": post.id})
            await remove_words(self._transaction, post.id)
        else:
            await self._transaction.execute_guarded(_DELETE if owner is None else _DELETE_OWN, as_loaded)
            await uncount_answers(self._transaction, post.reply_to, 1)
        self._transaction.touch(post)


class SqlPostReader(PostReader):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._keyset_by_rows = database.dialect.keyset_by_rows
        self._by_pairs = database.dialect.ranges_by_pairs
        self._sorts_for_bounds = database.dialect.sorts_for_bounds

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        row = await self._database.fetch_one(_ONE[viewer is not None], {"at_id": post_id, **_of(viewer)})
        return None if row is None else _view(row, viewer)

    async def some(self, ids: Sequence[PostId], *, viewer: UserId | None) -> list[PostView]:
        """Read these posts, in the order given, without those that are gone."""
        if not ids:
            return []
        rows = await self._database.fetch_all(_SOME[viewer is not None], {"ids": ids, **_of(viewer)})
        known = {row[_ID]: row for row in rows}
        return [_view(row, viewer) for id in ids if (row := known.get(str(id))) is not None]

    async def newest(
        self, *, limit: int, before: PostId | None, viewer: UserId | None, period: Period = ALWAYS
    ) -> PostSlice:
        return await self._newest(limit, before, viewer, period, "listed", common={})

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None, period: Period = ALWAYS
    ) -> PostSlice:
        return await self._newest(limit, before, viewer, period, "author_id", common={"common": author_id})

    async def _newest(
        self, limit: int, before: UUID | None, viewer: UserId | None, period: Period, of: str, *, common: Parameters
    ) -> PostSlice:
        before = _LAST if before is None else before
        if period.until is not None:
            before = min(before, smallest_id_at(period.until))
        parameters = {**common, "before": before}
        if period.since is not None:
            parameters["since"] = smallest_id_at(period.since)
        return await self._slice(limit, viewer, of, parameters, ascending=False)

    async def replies(self, post_id: PostId, *, limit: int, after: PostId | None, viewer: UserId | None) -> PostSlice:
        parameters = {"common": post_id, "before": _FIRST if after is None else after}
        return await self._slice(limit, viewer, "reply_to", parameters, ascending=True)

    async def _slice(
        self, limit: int, viewer: UserId | None, of: str, parameters: Parameters, *, ascending: bool
    ) -> PostSlice:
        statement = _page(
            limit,
            of=of,
            my_vote=viewer is not None,
            keyset_by_rows=self._keyset_by_rows,
            since="since" in parameters,
            ascending=ascending,
        )
        rows = await self._database.fetch_all(statement, {**parameters, **_of(viewer)})
        shown = _within_budget(rows[:limit])
        more = len(shown) < len(rows)
        final, complete = await self._completed(shown, viewer)
        if not final and more:
            # All of them were deleted in between, so the page after them is this one.
            further = {**parameters, "before": UUID(shown[-1][_ID])}
            return await self._slice(limit, viewer, of, further, ascending=ascending)
        return PostSlice([_view(row, viewer) for row in final], more or not complete)

    async def ranked(
        self,
        sort: Sort,
        *,
        limit: int,
        after: RankedPlace | None,
        as_of: datetime,
        viewer: UserId | None,
        author_id: UserId | None = None,
        period: Period = ALWAYS,
    ) -> RankedSlice:
        parameters: dict[str, Any] = {"as_of": microseconds(as_of), **_of(viewer)}
        if author_id is not None:
            parameters["common"] = author_id
        if after is not None:
            parameters |= {"rank": after.rank, "before": after.post_id}
        if period.since is not None:
            parameters["since"] = smallest_id_at(period.since)
        if period.until is not None:
            parameters["until"] = smallest_id_at(period.until)
        shape: dict[str, Any] = {
            "of": "listed" if author_id is None else "author_id",
            "placed": after is not None,
            "since": period.since is not None,
            "until": period.until is not None,
            "my_vote": viewer is not None,
            "by_pairs": self._by_pairs,
            "sorts_for_bounds": self._sorts_for_bounds,
        }
        unmoved = _ranked(sort, limit, keyset_by_rows=self._keyset_by_rows, **shape)
        rows = list(await self._database.fetch_all(unmoved, parameters))
        if not rows or rows[0][-1]:
            # A post whose vote was committed between the two statements is in both; the first is as of before.
            seen = {row[_ID] for row in rows}
            moved = await self._database.fetch_all(_moved(sort, limit, **shape), parameters)
            rows += [row for row in moved if row[_ID] not in seen]
            rows.sort(key=lambda row: (row[-2], row[_ID]), reverse=True)
            rows = rows[: limit + 1]
        shown = _within_budget(rows[:limit])
        more = len(shown) < len(rows)
        final, complete = await self._completed(shown, viewer)
        if not final and more:
            last = RankedPlace(shown[-1][-2], PostId(UUID(shown[-1][_ID])))
            return await self.ranked(
                sort, limit=limit, after=last, as_of=as_of, viewer=viewer, author_id=author_id, period=period
            )
        ranks = {row[_ID]: row[-2] for row in shown}
        last_id = final[-1][_ID] if final else None
        return RankedSlice(
            [_view(row, viewer) for row in final],
            more or not complete,
            None if last_id is None else RankedPlace(ranks[last_id], PostId(UUID(last_id))),
        )

    async def _completed(self, shown: Sequence[AnyRow], viewer: UserId | None) -> tuple[Sequence[AnyRow], bool]:
        """Load what was left away for its length; return what fits a page then, and whether that is all of it."""
        missing = [UUID(row[_ID]) for row in shown if row[_TEXT] is None]
        if not missing:
            return shown, True
        # Read whole, not just the texts: an edit in between would put a new text under an old version.
        whole = await self._database.fetch_all(_SOME[viewer is not None], {"ids": missing, **_of(viewer)})
        known = {row[_ID]: row for row in whole}
        there = [row for row in (known.get(row[_ID], row) for row in shown) if row[_TEXT] is not None]
        final = _within_budget(there)
        return final, len(final) == len(there)


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


def _view(row: AnyRow, viewer: UserId | None) -> PostView:
    (
        _,
        text,
        id,
        author_id,
        username,
        name,
        score,
        upvotes,
        downvotes,
        created_at,
        updated_at,
        version,
        reply_to,
        replies,
    ) = row[:_VOTE]
    return PostView(
        id=id,
        author=None if author_id is None else AuthorView(author_id, username, name),
        text=None if author_id is None else text,
        score=score,
        upvotes=upvotes,
        downvotes=downvotes,
        my_vote=UNSET if viewer is None else row[_VOTE],
        created_at=created_at,
        updated_at=updated_at,
        version=version,
        reply_to=reply_to,
        replies=replies,
        deleted=author_id is None,
    )
