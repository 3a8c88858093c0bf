"""Databases with settings of their own, and a way past the adapters to the server itself."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.engine.fast.compiled import Compiled
from adapters.sql.engine.fast.sqlite.engine import SqliteEngine
from adapters.sql.engine.port import Unit
from adapters.sql.rows import Parameters
from tests.backends import EMPTYING, PROCESSES, SQL_BACKENDS

OpenDatabase = Callable[..., Database]


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """What runs statements: fast, unless a test is for `on_both_engines`."""
    return str(getattr(request, "param", "fast"))


on_both_engines = pytest.mark.parametrize("engine", ["fast", "plain"], indirect=True)


@pytest.fixture
async def open_with(database_url: str, engine: str) -> AsyncIterator[OpenDatabase]:
    """Opens the emptied database of this backend with the given settings."""
    opened: list[Database] = []

    def open_(**settings: Any) -> Database:
        opened.append(Database(replace(DatabaseSettings(url=database_url, engine=engine), **settings)))
        return opened[-1]

    yield open_
    for database in opened:
        await database.dispose()


@pytest.fixture
async def behind(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections that go past the adapters, in autocommit."""
    engine = create_async_engine(database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    yield engine
    await engine.dispose()


on_servers = pytest.mark.parametrize(
    "sql_backend", [backend for backend in SQL_BACKENDS if backend != "sqlite"], indirect=True
)
"""Runs a test where connections cross a network and several write at once."""
on_sqlite = pytest.mark.parametrize("sql_backend", ["sqlite"], indirect=True)


def connections_out(database: Database) -> int:
    """Return how many connections are in use, of all that were opened."""
    engine = database._engine
    if isinstance(engine, SqliteEngine):
        return int(engine.writer.is_acquired) + engine.reads.under_way
    return sum(pool.in_use for pool in engine.pools())


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[Unit]:
    """Write past the repositories, in one unit of work."""
    unit = database.unit()
    try:
        yield unit
        await unit.commit()
    finally:
        await unit.close()


async def end_all_connections(behind: AsyncEngine, backend: str) -> int:
    """Kill every other connection to the database, as an administrator or a fail-over does; return how many."""
    async with behind.connect() as connection:
        if backend == "postgresql":
            killed = await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> :emptying"
                ),
                {"emptying": EMPTYING},
            )
            return len(killed.all())
        found = await connection.execute(
            text(f"SELECT id FROM {PROCESSES[backend]} WHERE db = DATABASE() AND id <> CONNECTION_ID()")
        )
        ids = [row[0] for row in found]
        for id in ids:
            await connection.exec_driver_sql(f"KILL {id}")
        return len(ids)


class Captured:
    """The statements that were sent, and with what."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Any]] = []

    def note(self, *told: Any) -> None:
        _, _, statement, parameters, *_ = told
        self.statements.append((statement, parameters))


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Captured]:
    """What is sent to any database: by SQLAlchemy, and past it."""
    found = Captured()
    bind = Compiled.bind

    def noted(self: Compiled, parameters: Parameters) -> tuple[Any, ...]:
        values = bind(self, parameters)
        found.statements.append((self.sql, values))
        return values

    monkeypatch.setattr(Compiled, "bind", noted)
    event.listen(Engine, "before_cursor_execute", found.note)
    yield found
    event.remove(Engine, "before_cursor_execute", found.note)
