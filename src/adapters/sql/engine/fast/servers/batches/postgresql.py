"""PostgreSQL takes one statement at a time with values beside its text, so several become one.

Each is a part of a WITH clause: `WITH s0 AS (UPDATE ... RETURNING 1), s1 AS (INSERT ... RETURNING 1) SELECT ...`. The
parts see one snapshot, and none of them sees what another did; hence the rules of `_chainable`. The server runs parts
in an order of its own unless one asks for another's outcome, so each asks for the one before it. That one statement is
a transaction by itself.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from adapters.sql.engine.fast.compiled import Compiled
from adapters.sql.engine.fast.servers.batches.batch import Batch, BatchRunner
from adapters.sql.engine.fast.servers.drivers import AsyncpgLink
from adapters.sql.engine.port import BatchedStatement
from adapters.sql.rows import Rows

_LONGEST_CHAIN: Final = 8
"""Parts. Each number of rows that one table gets is another statement, to be prepared and kept."""


class CteChain(BatchRunner[AsyncpgLink]):
    """asyncpg."""

    def fits(self, batch: Batch, step: BatchedStatement, plan: Compiled) -> bool:
        # Only the first may be demanded: the others ask for that one. And no two may change one table, since what
        # becomes of a row that two parts change is not defined; unless each only adds one.
        return (
            len(batch.plans) < _LONGEST_CHAIN
            and step.on_no_match is None
            and _chainable(plan)
            and all(
                _chainable(other) and (other.target != plan.target or (_only_adds(other) and _only_adds(plan)))
                for other in batch.plans
            )
        )

    async def run(self, link: AsyncpgLink, batch: Batch) -> Rows:
        if len(batch.plans) > 1:
            await link.begin()
            return await self._chain(link, batch)
        (step,), (plan,) = batch.steps, batch.plans
        batch.failed = step
        rows = await link.run(plan, plan.bind(step.parameters))
        batch.matched = [rows.count]
        return rows

    async def commit_batch(self, link: AsyncpgLink, batch: Batch) -> bool:
        if link.has_begun or not _chainable(batch.plans[0]):
            await self.run(link, batch)
            return False
        await self._chain(link, batch)
        return True

    async def _chain(self, link: AsyncpgLink, batch: Batch) -> Rows:
        values = [plan.bind(step.parameters) for step, plan in zip(batch.steps, batch.plans, strict=True)]
        text = _chained(tuple(batch.plans), batch.steps[0].on_no_match is not None)
        try:
            counts = await link.driver.fetchrow(text, *(value for part in values for value in part))
        except Exception as error:  # the adapter raises it again, as what it is
            batch.failed = _at_table(batch, getattr(error, "table_name", None))
            link.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        batch.matched = counts
        return Rows((), counts[-1])

    def form(self, batch: Batch) -> object:
        if all(step.on_no_match is None for step in batch.steps[1:]) and _merged(tuple(batch.plans)) is not None:
            return tuple(batch.plans)
        return None

    async def commit_batches(self, link: AsyncpgLink, batches: Sequence[Batch]) -> None:
        text = _merged(tuple(batches[0].plans))
        if text is None:
            raise TypeError("these cannot be gathered")
        rows = [
            [value for step, plan in zip(batch.steps, batch.plans, strict=True) for value in plan.bind(step.parameters)]
            for batch in batches
        ]
        try:
            found = await link.driver.fetchval(text, *(list(column) for column in zip(*rows, strict=True)))
        except Exception as error:  # the adapter raises it again, as what it is
            link.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        places = frozenset(found or ())
        for place, batch in enumerate(batches, 1):
            batch.matched = [int(place in places)] * len(batch.steps)


def _at_table(batch: Batch, name: str | None) -> BatchedStatement | None:
    """Return the step that changes this table, the first of those that add to it: what refuses one means the same."""
    return next((s for s, plan in zip(batch.steps, batch.plans, strict=True) if plan.target == name), None)


@lru_cache(maxsize=512)
def _chainable(plan: Compiled) -> bool:
    """Whether it is one INSERT of values, UPDATE or DELETE that reads no table but the one that it changes."""
    return plan.target is not None and "SELECT" not in plan.sql and _with_condition(plan.sql, "") is not None


def _only_adds(plan: Compiled) -> bool:
    return plan.sql.startswith("INSERT ") and " ON CONFLICT " not in plan.sql


@lru_cache(maxsize=512)
def _chained(plans: tuple[Compiled, ...], demanded: bool) -> str:
    """Return one statement of several. `demanded`: the others do nothing when the first matched no row."""
    parts: list[str] = []
    places = 0
    for number, plan in enumerate(plans):
        sql = plan.sql
        if number:
            condition = f"(SELECT count(*) FROM s{number - 1}) >= 0"  # noqa: S608 # numbers, and SQL of ours
            if demanded:
                condition = f"EXISTS (SELECT FROM s0) AND {condition}"
            asking = _with_condition(sql, condition)
            if asking is None:
                raise TypeError(f"this is no part of a chain: {sql}")
            sql = asking
        parts.append(f"s{number} AS ({_shifted(sql, places)} RETURNING 1)")
        places += plan.places
    counts = ", ".join(f"(SELECT count(*) FROM s{number})" for number in range(len(plans)))  # noqa: S608 # numbers
    return f"WITH {', '.join(parts)} SELECT {counts}"


_PLACE: Final = re.compile(r"\$(\d+)(?:::([A-Z]+(?: WITH TIME ZONE)?)\b)?")


@lru_cache(maxsize=512)
def _merged(plans: tuple[Compiled, ...]) -> str | None:
    """Return one statement for all who have to say the same with other values, as `_chained` with a demand is for one:
    it takes an array for each place, and returns which of them matched, counted from one. None when there is none.
    """
    if not all(map(_chainable, plans)) or len({plan.target for plan in plans}) < len(plans):
        return None
    types: dict[int, str] = {}
    places = 0
    parts: list[str] = []
    for number, plan in enumerate(plans):
        for place in _PLACE.finditer(plan.sql):
            if place[2] is None:
                return None
            types[places + int(place[1])] = place[2]
        sql = _PLACE.sub(lambda place, places=places: f"given.p{places + int(place[1])}::{place[2]}", plan.sql)  # type: ignore[misc]
        places += plan.places
        condition = "true"
        if number:
            # Numbers, and SQL of ours.
            condition = f"given.place IN (SELECT place FROM s0) AND (SELECT count(*) FROM s{number - 1}) >= 0"  # noqa: S608
        if (part := _for_each_row(sql, condition)) is None:
            return None
        parts.append(f"s{number} AS ({part} RETURNING {'1' if number else 'given.place'})")
    arrays = ", ".join(f"${place}::{types[place]}[]" for place in range(1, places + 1))
    names = ", ".join(f"p{place}" for place in range(1, places + 1))
    given = f"given AS (SELECT * FROM unnest({arrays}) WITH ORDINALITY AS given({names}, place))"  # noqa: S608
    return f"WITH {given}, {', '.join(parts)} SELECT array_agg(place) FROM s0"  # noqa: S608


def _for_each_row(sql: str, condition: str) -> str | None:
    """Return the statement so that it is done for each that is `given` and of which `condition` holds."""
    if sql.startswith("INSERT "):
        # An upsert locks rows that others have, in an order that nobody knows.
        if sql.count(" VALUES (") != 1 or " ON CONFLICT " in sql or "), (" in sql:
            return None
        head, _, values = sql.partition(" VALUES (")
        return f"{head} SELECT {values.removesuffix(')')} FROM given WHERE {condition}"  # noqa: S608 # SQL of ours
    head, _, rest = sql.partition(" WHERE ")
    if sql.startswith("UPDATE "):
        return f"{head} FROM given WHERE {condition} AND ({rest})"
    return f"{head} USING given WHERE {condition} AND ({rest})"


def _with_condition(sql: str, condition: str) -> str | None:
    """Return the statement so that it does nothing unless `condition` holds; None when it is of no such form."""
    if sql.startswith("INSERT "):
        if sql.count(" VALUES (") != 1:
            return None
        head, _, rest = sql.partition(" VALUES (")
        values, conflict, action = rest.partition(" ON CONFLICT ")
        return f"{head} SELECT {values.removesuffix(')')} WHERE {condition}{conflict}{action}"
    if sql.count(" WHERE ") != 1:
        return None
    head, _, rest = sql.partition(" WHERE ")
    return f"{head} WHERE {condition} AND ({rest})"


def _shifted(sql: str, by: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + by}", sql)
