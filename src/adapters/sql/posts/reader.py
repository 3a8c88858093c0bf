"""Posts in a database: the reader, which shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET

from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.keyset import FIRST, LAST
from adapters.sql.posts.statements import (
    COLUMNS,
    ID,
    MOVED,
    ONE,
    RANK,
    SOME,
    TEXT,
    TEXT_BYTES,
    moved_since,
    page_by_id,
    page_by_rank,
)
from adapters.sql.types import id_text
from application.posts.ports import ALWAYS, Period, PostReader, PostSlice, RankedPosition, RankedSlice
from application.posts.views import AuthorView, PostView
from application.shared.paging import PAGE_TEXT_BUDGET
from domain.posts.ranking import Sort, microseconds
from domain.shared.ids import PostId, UserId, smallest_id_at


class SqlPostReader(PostReader):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._keyset_by_rows = database.dialect.keyset_by_rows
        self._author_first = database.dialect.author_first
        self._by_pairs = database.dialect.ranges_by_pairs
        self._sorts_for_bounds = database.dialect.sorts_for_bounds

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        row = await self._database.fetch_one(ONE[viewer is not None], {"at_id": post_id, **_of(viewer)}, on_loop=True)
        return None if row is None else _views((row,), viewer)[0]

    async def by_ids(self, ids: Sequence[PostId], *, viewer: UserId | None) -> list[PostView]:
        """Read these posts, in the order given, without those that are gone."""
        if not ids:
            return []
        rows = await self._database.fetch_all(SOME[viewer is not None], {"ids": ids, **_of(viewer)})
        known = {id_text(row[ID]): row for row in rows}
        return _views([row for id in ids if (row := known.get(str(id))) is not None], viewer)

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
        before = LAST if before is None else before
        if period.until is not None:
            before = min(before, smallest_id_at(period.until))
        parameters = {**common, "before": before}
        if period.since is not None:
            parameters["since"] = smallest_id_at(period.since)
        return await self._slice(limit, viewer, of, parameters, ascending=False)

    async def replies(self, post_id: PostId, *, limit: int, after: PostId | None, viewer: UserId | None) -> PostSlice:
        parameters = {"common": post_id, "before": FIRST if after is None else after}
        return await self._slice(limit, viewer, "reply_to", parameters, ascending=True)

    async def _slice(
        self, limit: int, viewer: UserId | None, of: str, parameters: Parameters, *, ascending: bool
    ) -> PostSlice:
        statement = page_by_id(
            limit,
            of=of,
            my_vote=viewer is not None,
            keyset_by_rows=self._keyset_by_rows,
            author_first=self._author_first,
            since="since" in parameters,
            ascending=ascending,
        )
        rows = await self._database.fetch_all(statement, {**parameters, **_of(viewer)}, on_loop=True)
        shown = _within_budget(rows, limit)
        more = len(shown) < len(rows)
        final, complete = await self._completed(shown, viewer)
        if not final and more:
            # All of them were deleted in between, so the page after them is this one.
            further = {**parameters, "before": UUID(id_text(shown[-1][ID]))}
            return await self._slice(limit, viewer, of, further, ascending=ascending)
        return PostSlice(_views(final, viewer), more or not complete)

    async def ranked(
        self,
        sort: Sort,
        *,
        limit: int,
        after: RankedPosition | None,
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
        unmoved = page_by_rank(
            sort, limit, keyset_by_rows=self._keyset_by_rows, author_first=self._author_first, **shape
        )
        rows = list(await self._database.fetch_all(unmoved, parameters, on_loop=True))
        if not rows or rows[0][MOVED]:
            # A post whose vote was committed between the two statements is in both; the first is as of before.
            seen = {row[ID] for row in rows}
            moved = await self._database.fetch_all(moved_since(sort, limit, **shape), parameters, on_loop=True)
            rows += [row for row in moved if row[ID] not in seen]
            rows.sort(key=lambda row: (row[RANK], row[ID]), reverse=True)
            rows = rows[: limit + 1]
        shown = _within_budget(rows, limit)
        more = len(shown) < len(rows)
        final, complete = await self._completed(shown, viewer)
        if not final and more:
            last = RankedPosition(shown[-1][RANK], PostId(UUID(id_text(shown[-1][ID]))))
            return await self.ranked(
                sort, limit=limit, after=last, as_of=as_of, viewer=viewer, author_id=author_id, period=period
            )
        ranks = {row[ID]: row[RANK] for row in shown}
        last_id = final[-1][ID] if final else None
        return RankedSlice(
            _views([row[: len(COLUMNS)] for row in final], viewer),
            more or not complete,
            None if last_id is None else RankedPosition(ranks[last_id], PostId(UUID(id_text(last_id)))),
        )

    async def _completed(self, shown: Sequence[AnyRow], viewer: UserId | None) -> tuple[Sequence[AnyRow], bool]:
        """Load what was left away for its length; return what fits a page then, and whether that is all of it."""
        missing = [UUID(id_text(row[ID])) for row in shown if row[TEXT] is None]
        if not missing:
            return shown, True
        # Read whole, not just the texts: an edit in between would put a new text under an old version.
        whole = await self._database.fetch_all(SOME[viewer is not None], {"ids": missing, **_of(viewer)})
        latest = {row[ID]: row for row in (*shown, *whole)}
        there = [row for before in shown if (row := latest[before[ID]])[TEXT] is not None]
        final = _within_budget(there, len(there))
        return final, len(final) == len(there)


def _of(viewer: UserId | None) -> Parameters:
    return {} if viewer is None else {"viewer": viewer}


def _within_budget(rows: Sequence[AnyRow], limit: int) -> Sequence[AnyRow]:
    """Return the first rows, `limit` at the most, whose texts fit a page together; the first one always does."""
    budget = PAGE_TEXT_BUDGET
    for at, row in enumerate(rows):
        budget -= row[TEXT_BYTES]
        if at == limit or (at and budget < 0):
            return rows[:at]
    return rows


def _views(rows: Sequence[AnyRow], viewer: UserId | None) -> list[PostView]:
    """Return the views of rows that have `COLUMNS` and no more."""
    views: list[PostView] = []
    author: AuthorView | None = None
    before: Any = None
    for (
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
        my_vote,
    ) in rows:
        # Most lists have several posts of one author, and own lists nothing else.
        if author_id != before:
            author = None if author_id is None else AuthorView(id_text(author_id), username, name)
            before = author_id
        views.append(
            PostView(
                id=id_text(id),
                author=author,
                text=None if author is None else text,
                score=score,
                upvotes=upvotes,
                downvotes=downvotes,
                my_vote=UNSET if viewer is None else my_vote,
                created_at=created_at,
                updated_at=updated_at,
                version=version,
                reply_to=None if reply_to is None else id_text(reply_to),
                replies=replies,
                deleted=author is None,
            )
        )
    return views
