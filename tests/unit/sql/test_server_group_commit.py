"""Who waits for whom where units of work share commits. What they share is tested on the servers."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from adapters.sql.engine.fast.servers import group_commit
from adapters.sql.engine.fast.servers.batches.postgresql import _merged
from adapters.sql.engine.fast.servers.group_commit import ServerGroupCommit
from adapters.sql.engine.fast.servers.pool import ConnectionPool
from adapters.sql.engine.port import BatchedStatement
from application.shared.errors import OutcomeUnknown
from tests.builders import an_id


def no_leases() -> ConnectionPool:
    async def open_one() -> Any:
        raise ConnectionRefusedError

    return ConnectionPool("none", open_one, size=1, overflow=0, wait_seconds=1.0, ping_after_idle_seconds=1.0)


def some_steps() -> Sequence[BatchedStatement]:
    return [BatchedStatement(select(1), {}, row=an_id())]


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Alone:
    """Commits one unit of work after another, once it may."""

    def __init__(self) -> None:
        self.begun: list[Sequence[BatchedStatement]] = []
        self.may_end = asyncio.Event()

    async def __call__(self, steps: Sequence[BatchedStatement]) -> None:
        self.begun.append(steps)
        await self.may_end.wait()


async def test_what_comes_while_four_are_under_way_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_PATIENCE_SECONDS", math.inf)
    alone = Alone()
    shared = ServerGroupCommit(no_leases(), alone)
    committing: list[asyncio.Task[None]] = []
    for _ in range(5):
        committing.append(asyncio.create_task(shared.commit(some_steps())))
        await until_idle()
    assert len(alone.begun) == 4

    alone.may_end.set()

    await asyncio.gather(*committing)
    assert len(alone.begun) == 5


async def test_what_has_been_under_way_for_long_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_PATIENCE_SECONDS", 0.0)
    alone = Alone()
    shared = ServerGroupCommit(no_leases(), alone)
    committing: list[asyncio.Task[None]] = []
    for _ in range(6):
        committing.append(asyncio.create_task(shared.commit(some_steps())))
        await until_idle()

    assert len(alone.begun) == 6

    alone.may_end.set()
    await asyncio.gather(*committing)


async def test_when_there_is_no_connection_all_who_wait_are_told() -> None:
    shared = ServerGroupCommit(no_leases(), Alone())

    outcomes = await asyncio.gather(*(shared.commit(some_steps()) for _ in range(3)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [ConnectionRefusedError] * 3


async def test_who_was_with_what_is_cancelled_is_told_and_the_others_go_on() -> None:
    async def falls(steps: Sequence[BatchedStatement]) -> None:
        if steps is first:
            raise asyncio.CancelledError

    first = some_steps()
    shared = ServerGroupCommit(no_leases(), falls)
    outcomes = await asyncio.gather(shared.commit(first), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown]
    await shared.commit(some_steps())


class APlan:
    """A compiled statement."""

    places = 2

    def __init__(self, target: str, sql: str) -> None:
        self.target = target
        self.sql = sql


def test_statements_of_many_become_one_over_arrays() -> None:
    plans: Any = (
        APlan("a", "UPDATE a SET n=(a.n + $1::INTEGER) WHERE a.id = $2::UUID"),
        APlan("b", "INSERT INTO b (id, at) VALUES ($1::UUID, $2::TIMESTAMP WITH TIME ZONE)"),
        APlan("c", "DELETE FROM c WHERE c.id = $1::UUID AND c.n = $2::BIGINT"),
    )

    assert _merged(plans) == (
        "WITH given AS (SELECT * FROM unnest($1::INTEGER[], $2::UUID[], $3::UUID[], $4::TIMESTAMP WITH TIME ZONE[], "
        "$5::UUID[], $6::BIGINT[]) WITH ORDINALITY AS given(p1, p2, p3, p4, p5, p6, place)), "
        "s0 AS (UPDATE a SET n=(a.n + given.p1::INTEGER) FROM given WHERE true AND (a.id = given.p2::UUID) "
        "RETURNING given.place), "
        "s1 AS (INSERT INTO b (id, at) SELECT given.p3::UUID, given.p4::TIMESTAMP WITH TIME ZONE FROM given "
        "WHERE given.place IN (SELECT place FROM s0) AND (SELECT count(*) FROM s0) >= 0 RETURNING 1), "
        "s2 AS (DELETE FROM c USING given WHERE given.place IN (SELECT place FROM s0) "
        "AND (SELECT count(*) FROM s1) >= 0 AND (c.id = given.p5::UUID AND c.n = given.p6::BIGINT) RETURNING 1) "
        "SELECT array_agg(place) FROM s0"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO b (id, n) VALUES ($1::UUID, $2::INTEGER) ON CONFLICT (id) DO UPDATE SET n = (b.n + 1)",
        "INSERT INTO b (id, n) VALUES ($1::UUID, $2)",
        "INSERT INTO b (id, n) VALUES ($1::UUID, $2::INTEGER), ($1::UUID, $2::INTEGER)",
        "UPDATE b SET n=$1::INTEGER WHERE b.id = $2::UUID AND EXISTS (SELECT 1)",
        "UPDATE a SET n=$1::INTEGER WHERE a.id = $2::UUID",  # the same table
    ],
)
def test_what_locks_in_no_order_or_has_no_such_form_goes_by_itself(sql: str) -> None:
    plans: Any = (
        APlan("a", "UPDATE a SET n=$1::INTEGER WHERE a.id = $2::UUID"),
        APlan("a" if sql.startswith("UPDATE a") else "b", sql),
    )

    assert _merged(plans) is None
