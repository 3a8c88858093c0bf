"""The statements that read posts, as views: one, some, and pages of lists; each is built once.

A list runs along an index, in the order of ids or of ranks. What keeps each database on its index is said here, and
`tests/integration/sql/test_plans.py` reads the plans.
"""

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    UnaryExpression,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.sql.operators import custom_op

from adapters.sql.keyset import BEFORE
from adapters.sql.rows import PLAIN
from adapters.sql.tables import PostRow, RankHistoryRow, UserRow, VoteRow, table_of
from adapters.sql.types import Id, StoredId, TimestampText
from application.shared.paging import MAX_LIMIT, PAGE_TEXT_BUDGET
from domain.posts.ranking import Sort

_POSTS = table_of(PostRow)
_USERS = table_of(UserRow)
_VOTES = table_of(VoteRow)
_PAST = table_of(RankHistoryRow)


def _views(
    posts: FromClause, text: ColumnElement[Any], *, my_vote: bool, joined: FromClause | None = None
) -> Select[Any]:
    """Select what `PostView` shows, in one fixed order of columns, the viewer's vote last, or NULL without a viewer.

    `posts` is the table, or a part of it with the same columns; `joined` is what it is found through.
    """
    columns: list[ColumnElement[Any]] = [
        posts.c.text_bytes,
        text,
        type_coerce(posts.c.id, StoredId),
        type_coerce(posts.c.author_id, StoredId),
        _USERS.c.username,
        _USERS.c.name,
        posts.c.score,
        posts.c.upvotes,
        posts.c.downvotes,
        type_coerce(posts.c.created_at, TimestampText),
        type_coerce(posts.c.updated_at, TimestampText),
        posts.c.version,
        type_coerce(posts.c.reply_to, StoredId),
        posts.c.replies,
    ]
    # Outer: a tombstone has no author.
    tables = (posts if joined is None else joined).outerjoin(_USERS, _USERS.c.id == posts.c.author_id)
    if my_vote:
        of_viewer = and_(_VOTES.c.post_id == posts.c.id, _VOTES.c.user_id == bindparam("viewer", type_=Id))
        tables = tables.outerjoin(_VOTES, of_viewer)
        columns.append(func.coalesce(_VOTES.c.direction, literal_column("0", Integer)).label("my_vote"))
    else:
        columns.append(null().label("my_vote"))
    # Without it MariaDB starts from `users`, and sorts all their posts, whenever it believes that users are few.
    views = select(*columns).select_from(tables).prefix_with("STRAIGHT_JOIN", dialect="mysql")
    return views.execution_options(**{PLAIN: True})


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
def page_by_id(
    limit: int,
    *,
    of: str,
    my_vote: bool,
    keyset_by_rows: bool,
    author_first: bool,
    since: bool = False,
    ascending: bool = False,
) -> Select[Any]:
    """Build the statement for a page in the order of ids: once each, since there are few limits.

    `of` is the column that all posts of the list have in common: `author_id`, `reply_to`, or `listed` for the feed.
    """
    short = _short(limit)
    common, own = _common(of)
    bounds = [_POSTS.c.id >= bindparam("since", type_=Id)] if since else []
    order = _ascending if ascending else _descending
    if not keyset_by_rows:
        after = _POSTS.c.id > BEFORE if ascending else _POSTS.c.id < BEFORE
        page = _by_index(_views(_POSTS, short, my_vote=my_vote), f"ix_posts_{of}_id")
        page = page.where(common == own, after, *bounds, *_author_of(of, own, first=author_first))
        return page.order_by(order(_POSTS.c.id)).limit(_rows(limit))
    # After an equality, PostgreSQL takes the order by `id` for one that the primary key gives as well, and may walk
    # everybody's posts backwards in search of an author who has many, all of them old. This says the same in a way
    # that only the index by author and id gives the order, and the pair finds the place in it. It takes a range of
    # one author for one post, so the page is cut before it is joined: joining first, it would sort the author's posts.
    pair = tuple_(common, _POSTS.c.id)
    found = (pair > tuple_(own, BEFORE), common <= own) if ascending else (pair < tuple_(own, BEFORE), common >= own)
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


def _author_of(of: str, own: ColumnElement[Any], *, first: bool) -> list[ColumnElement[bool]]:
    """Say that all posts of one author have the same, who can be looked up before them, and once."""
    return [_USERS.c.id == own] if first and of == "author_id" else []


# Not `true()`, which takes no part in a comparison of pairs.
_TRUE: ColumnElement[bool] = literal_column("true", Boolean)
_RANKS = {Sort.TOP: "score", Sort.HOT: "hot"}


def _below(rank: ColumnElement[Any], id: ColumnElement[Any], *, by_pairs: bool) -> ColumnElement[bool]:
    """Return what is true of all that stands after a place in the order by rank and id, both descending."""
    at_rank = bindparam("rank", type_=BigInteger)
    if by_pairs:
        return tuple_(rank, id) < tuple_(at_rank, BEFORE)
    # MySQL finds a place by a pair only when all of it is equal; this it takes for two ranges of one index.
    return or_(rank < at_rank, and_(rank == at_rank, id < BEFORE))


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
def page_by_rank(
    sort: Sort,
    limit: int,
    *,
    of: str,
    placed: bool,
    since: bool,
    until: bool,
    my_vote: bool,
    keyset_by_rows: bool,
    author_first: bool,
    by_pairs: bool,
    sorts_for_bounds: bool,
) -> Select[Any]:
    """Build the statement for posts in the order of their rank that no vote has moved since `as_of`.

    Besides the columns of every view each row has its rank, and `moved`: whether a vote has moved any post since.
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
        page = page.where(*_author_of(of, own, first=author_first))
        return page.where(*found).order_by(*order).limit(_rows(limit))
    part: Select[Any] = select(*_PART, short)
    part = part.where(*found).order_by(*order).limit(_rows(limit))
    views, cut = _cut(part, "text", my_vote=my_vote)
    cut_rank = cut.c[_RANKS[sort]]
    return views.add_columns(cut_rank.label("rank"), moved.label("moved")).order_by(cut_rank.desc(), cut.c.id.desc())


@lru_cache(maxsize=64 * MAX_LIMIT)
def moved_since(
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
ONE = {my_vote: _one(my_vote=my_vote) for my_vote in (False, True)}
SOME = {my_vote: _some(my_vote=my_vote) for my_vote in (False, True)}

COLUMNS: Final = tuple(ONE[True].selected_columns.keys())
"""Rows are plain tuples, which the hot paths read by position: these are the names, as the statements have them."""
RANKED_COLUMNS: Final = (*COLUMNS, "rank", "moved")
TEXT_BYTES, TEXT, ID, RANK, MOVED = map(RANKED_COLUMNS.index, ("text_bytes", "text", "id", "rank", "moved"))
