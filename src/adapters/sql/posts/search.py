"""Full-text search in a database: the engine's own index finds the posts, and plain arithmetic ranks them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from adapters.sql.database import Database
from adapters.sql.dialects.base import Dialect
from adapters.sql.posts.reader import SqlPostReader
from adapters.sql.tables import PostRow, table_of
from adapters.sql.types import Id, Timestamp
from application.posts.search import PostSearch, SearchCriteria, SearchHit, SearchPosition
from application.posts.views import PostView
from domain.posts.search import as_run
from domain.shared.ids import PostId, UserId

_POSTS = table_of(PostRow)

_STATEMENTS = 512
"""Statements kept: limits, shapes of queries and filters, of which few are in use at a time."""


@lru_cache(maxsize=_STATEMENTS)
def _ranked(
    dialect: Dialect, runs: tuple[bool, ...], *, author: bool, since: bool, until: bool, after: bool, limit: int
) -> Select[Any]:
    """Build the statement for queries of one shape: `runs` says of each phrase whether it has several words."""
    rows = dialect.rows_with_words(len(runs))
    words = rows.c.words
    whole = dialect.quotient
    k = literal(1, Integer) + whole(rows.c.word_count, literal_column("100", Integer))
    score: ColumnElement[Any] = literal_column("0", Integer)
    # A tombstone has no text, whatever was found of it a moment before it became one.
    conditions = [_POSTS.c.text_bytes > literal_column("0", Integer)]
    for index, has_several_words in enumerate(runs):
        run = bindparam(f"run{index}", type_=String)
        without = func.length(func.replace(words, run, literal_column("''", String)), type_=Integer)
        n = whole(func.length(words, type_=Integer) - without, bindparam(f"length{index}", type_=Integer))
        score = score + (literal_column("1000", Integer) - whole(literal_column("1000", Integer) * k, n + k))
        if has_several_words:
            # The index has found the words; whether they stand in this order is seen in the text.
            conditions.append(dialect.position(words, run) > literal_column("0", Integer))
    if author:
        conditions.append(_POSTS.c.author_id == bindparam("author", type_=Id))
    if since:
        conditions.append(_POSTS.c.created_at >= bindparam("since", type_=Timestamp))
    if until:
        conditions.append(_POSTS.c.created_at < bindparam("until", type_=Timestamp))
    found = (
        select(_POSTS.c.id, score.label("score"), _POSTS.c.text_bytes)
        .select_from(rows.join(_POSTS, _POSTS.c.id == rows.c.post_id))
        .where(*conditions)
        .subquery("found")
    )
    page: Select[Any] = select(*found.c)
    page = page.order_by(found.c.score.desc(), found.c.id.desc())
    if after:
        at, before = bindparam("score", type_=Integer), bindparam("before", type_=Id)
        page = page.where(or_(found.c.score < at, and_(found.c.score == at, found.c.id < before)))
    return page.limit(literal_column(str(limit), Integer))


class SqlPostSearch(PostSearch):
    def __init__(self, database: Database, reader: SqlPostReader) -> None:
        self._database = database
        self._reader = reader

    async def find(self, criteria: SearchCriteria, *, limit: int, after: SearchPosition | None) -> list[SearchHit]:
        query = criteria.query
        parameters: dict[str, Any] = {"match": self._database.dialect.all_of(query.words)}
        for index, phrase in enumerate(query.phrases):
            run = as_run(phrase)
            parameters |= {f"run{index}": run, f"length{index}": len(run)}
        since, until = criteria.period.since, criteria.period.until
        filters = {"author": criteria.author, "since": since, "until": until}
        parameters |= {name: value for name, value in filters.items() if value is not None}
        if after is not None:
            parameters |= {"score": after.score, "before": after.post_id}
        statement = _ranked(
            self._database.dialect,
            tuple(len(phrase) > 1 for phrase in query.phrases),
            author=criteria.author is not None,
            since=since is not None,
            until=until is not None,
            after=after is not None,
            limit=limit,
        )
        rows = await self._database.fetch_all(statement, parameters)
        return [SearchHit(SearchPosition(int(row.score), PostId(row.id)), row.text_bytes) for row in rows]

    async def show(self, ids: Sequence[PostId], *, viewer: UserId | None) -> list[PostView]:
        return await self._reader.by_ids(ids, viewer=viewer)
