"""A connection for writing goes back with nothing begun on it, however its unit of work ended."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.database import Database
from adapters.sql.engine.port import Unit
from adapters.sql.tables import UserRow, table_of
from entrypoints.storage import sql_storage
from tests.builders import a_user
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import OpenDatabase, connections_out, on_servers

_USERS = table_of(UserRow)
_LOCKED = select(_USERS.c.id).with_for_update()
_BEGUN = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' "
    # One that failed has no beginning any more.
    "AND (xact_start IS NOT NULL OR state LIKE 'idle in transaction%')",
    "mariadb": "SELECT count(*) FROM information_schema.innodb_trx "
    "JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE db = DATABASE() AND id <> CONNECTION_ID()",
    # MySQL's `innodb_trx` fails as its list of processes does, see `PROCESSES`.
    "mysql": "SELECT count(*) FROM performance_schema.events_transactions_current "
    "JOIN performance_schema.threads USING (thread_id) "
    "WHERE state = 'ACTIVE' AND processlist_db = DATABASE() AND processlist_id <> CONNECTION_ID()",
}

Story = Callable[[Unit], Awaitable[object]]


async def by_the_driver(unit: Unit) -> None:
    await unit.run(_LOCKED, {})


async def by_sqlalchemy(unit: Unit) -> None:
    await unit.run(text("SELECT id FROM users FOR UPDATE"), {})


async def by_both(unit: Unit) -> None:
    await by_the_driver(unit)
    await by_sqlalchemy(unit)
    await by_the_driver(unit)


async def failing(unit: Unit) -> None:
    await by_the_driver(unit)
    (row,) = (await unit.run(select(_USERS).limit(1), {})).rows
    with pytest.raises(IntegrityError):
        await unit.run(insert(_USERS), dict(zip(_USERS.columns.keys(), row, strict=True)))


async def failing_by_sqlalchemy(unit: Unit) -> None:
    await by_the_driver(unit)
    with pytest.raises(IntegrityError):
        await unit.run(text("INSERT INTO users SELECT * FROM users"), {})


STORIES = [by_the_driver, by_sqlalchemy, by_both, failing, failing_by_sqlalchemy]


async def given_a_user(open_with: OpenDatabase) -> Database:
    database = open_with(pool_size=2, max_overflow=0)
    await given(sql_storage(database), a_user())
    return database


async def begun(behind: AsyncEngine, backend: str) -> int:
    if backend != "postgresql":
        # InnoDB shows again what it showed less than a tenth of a second ago.
        await asyncio.sleep(0.15)
    async with behind.connect() as connection:
        return int((await connection.execute(text(_BEGUN[backend]))).scalar_one())


@on_servers
@pytest.mark.parametrize("work", STORIES)
async def test_what_was_not_committed_is_rolled_back_and_the_connection_is_kept(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, work: Story
) -> None:
    database = await given_a_user(open_with)
    unit = database.unit()
    await work(unit)
    assert await begun(behind, sql_backend) == 1

    await unit.close()

    assert await begun(behind, sql_backend) == 0
    assert [(pool.open, pool.in_use) for pool in database.pools() if pool.name == "writes"] == [(1, 0)]


@on_servers
@pytest.mark.parametrize("work", STORIES[:3])
async def test_a_commit_leaves_nothing_begun(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, work: Story
) -> None:
    database = await given_a_user(open_with)
    unit = database.unit()
    await work(unit)
    await unit.commit()
    assert await begun(behind, sql_backend) == 0

    await unit.close()

    assert await begun(behind, sql_backend) == 0
    assert connections_out(database) == 0


@on_servers
@pytest.mark.parametrize("moments", range(8))
async def test_a_unit_of_work_that_is_cancelled_at_its_end_leaves_nothing_begun(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, moments: int
) -> None:
    database = await given_a_user(open_with)

    async def work() -> None:
        unit = database.unit()
        try:
            await by_both(unit)
        finally:
            ending.set()
            await unit.close()

    ending = asyncio.Event()
    task = asyncio.create_task(work())
    await ending.wait()
    for _ in range(moments):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert connections_out(database) == 0
    # The server takes a moment to see that the connection is gone.
    until = asyncio.get_running_loop().time() + 10
    while await begun(behind, sql_backend):
        assert asyncio.get_running_loop().time() < until
    # And another can lock the row.
    unit = database.unit()
    async with asyncio.timeout(10):
        await by_the_driver(unit)
    await unit.close()
