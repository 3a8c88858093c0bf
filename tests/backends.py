"""The databases that the suites run on: made and migrated once a worker, emptied between tests, dropped at the end."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from sqlalchemy import URL, Delete, MetaData, Table, delete, exists, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.schema.migrate import upgrade
from adapters.sql.tables import is_search_index

T = TypeVar("T")

_SERVERS = {
    "mariadb": ("TEST_MARIADB_URL", "mysql+asyncmy://root@127.0.0.1:3306/"),
    "postgresql": ("TEST_POSTGRESQL_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/"),
    # MySQL has no default: on most machines its port is MariaDB's.
    "mysql": ("TEST_MYSQL_URL", None),
}

SQL_BACKENDS = ("sqlite", "mariadb", "postgresql", *(("mysql",) if "TEST_MYSQL_URL" in os.environ else ()))
PLAIN = ("sqlite-plain", "mariadb-plain", *(("postgresql-plain",) if os.environ.get("TEST_PLAIN") == "all" else ()))
"""Databases with the plain engine, which share those of the fast one. `TEST_PLAIN=all` adds PostgreSQL's."""
BACKENDS = ("memory", *SQL_BACKENDS, *PLAIN)
LOCKING = ("postgresql-locking",)
"""Where votes lock their post first, as elsewhere only under contention. MariaDB's plain engine always does."""

PROCESSES = {"mariadb": "information_schema.processlist", "mysql": "performance_schema.processlist"}
"""Where connections are listed. MySQL's information schema fails (3854) while anybody sends bytes that are no text."""

EMPTYING = "postern-tests-emptying"
"""What PostgreSQL lists the connection as that empties tables between tests."""

_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 60
"""To drop a database PostgreSQL writes all that any database has changed to its disk first."""


def missing(reason: str) -> NoReturn:
    """Skip the test for want of something on this machine; in CI, where everything must be there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: nothing may be missing)", pytrace=False)
    pytest.skip(reason)


def run_apart(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `story` on a loop of its own in a thread of its own, whether or not a loop is running here."""
    return in_thread(lambda: asyncio.run(scenario()))


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` where it may start a loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@dataclass(slots=True)
class Databases:
    """One fresh, migrated database per SQL backend, made when it is first asked for."""

    folder: Path
    worker: str
    _urls: dict[str, str] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)
    _emptying: dict[str, "_EmptyFile | _EmptyTables"] = field(default_factory=dict)

    def url(self, backend: str) -> str:
        """Return where the backend's database is. Skips, or fails in CI, when its server does not answer."""
        if backend in self._reasons:
            missing(self._reasons[backend])
        if backend not in self._urls:
            try:
                url = self.create(backend, "")
            except (OSError, SQLAlchemyError) as problem:
                self._reasons[backend] = f"no {backend} server: {problem}".partition("\n")[0]
                missing(self._reasons[backend])
            in_thread(lambda: upgrade(url))
            tables = run_apart(lambda: _tables(url))
            self._emptying[backend] = _EmptyFile(url, tables) if backend == "sqlite" else _EmptyTables(url, tables)
            self._urls[backend] = url
        return self._urls[backend]

    def create(self, backend: str, suffix: str) -> str:
        """Make one more database, fresh and empty, not migrated, and return where it is; `drop` it afterwards."""
        # The process id keeps two runs on one machine apart, which would otherwise drop each other's databases.
        name = f"postern_test_{self.worker}_{os.getpid()}{suffix}"
        if backend == "sqlite":
            return f"sqlite+aiosqlite:///{self.folder / name}.db"
        admin = self._admin(backend)
        run_apart(lambda: _execute(admin, [_drop_statement(backend, name), _create_statement(backend, name)]))
        url = admin.set(database=name)
        if backend != "postgresql":
            url = url.update_query_dict({"charset": "utf8mb4"})
        return url.render_as_string(hide_password=False)

    def drop(self, backend: str, url: str) -> None:
        """Take away a database that `create` made."""
        if backend == "sqlite":
            _unlink(Path(str(make_url(url).database)))
        else:
            drop = _drop_statement(backend, str(make_url(url).database))
            run_apart(lambda: _execute(self._admin(backend), [drop]))

    async def empty(self, backend: str) -> None:
        """Delete every row; the schema and its revision stay."""
        await self._emptying[backend].empty()

    def drop_all(self) -> None:
        for backend, url in self._urls.items():
            self._emptying[backend].close()
            self.drop(backend, url)

    @staticmethod
    def _admin(backend: str) -> URL:
        variable, default = _SERVERS[backend]
        return make_url(os.environ.get(variable) or str(default))


def _unlink(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def _drop_statement(backend: str, name: str) -> str:
    # FORCE: a test that failed may have left a connection behind, which must not keep the others from ending.
    return f"DROP DATABASE IF EXISTS {name}" + (" WITH (FORCE)" if backend == "postgresql" else "")


def _create_statement(backend: str, name: str) -> str:
    return f"CREATE DATABASE {name}" + ("" if backend == "postgresql" else " CHARACTER SET utf8mb4")


async def _execute(admin: URL, statements: list[str]) -> None:
    engine = create_async_engine(admin, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await stack.enter_async_context(engine.connect())
        for statement in statements:
            async with asyncio.timeout(_STATEMENT_SECONDS):
                await connection.execute(text(statement))
    await engine.dispose()


async def _tables(url: str) -> list[Table]:
    """Return the tables that hold rows of tests, children before parents."""
    metadata = MetaData()
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        # What is searched is emptied with the rows that it indexes.
        await connection.run_sync(metadata.reflect, only=lambda name, _: not is_search_index(name))
    await engine.dispose()
    return [table for table in reversed(metadata.sorted_tables) if table.name != "alembic_version"]


async def _delete_all(url: str, tables: list[Table]) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        for table in tables:
            await connection.execute(delete(table))
    await engine.dispose()


class _EmptyFile:
    """Empties a SQLite database: a copy of the migrated file takes its place."""

    def __init__(self, url: str, tables: list[Table]) -> None:
        self._file = Path(str(make_url(url).database))
        self._template = self._file.with_suffix(".template")
        run_apart(lambda: _delete_all(url, tables))
        shutil.copyfile(self._file, self._template)

    async def empty(self) -> None:
        self._put_back()

    def _put_back(self) -> None:
        _unlink(self._file)
        shutil.copyfile(self._template, self._file)

    def close(self) -> None:
        self._template.unlink()


class _EmptyTables:
    """Empties the tables of a server's database that hold a row.

    Its connection stays open between tests, which run on a loop each, so it lives on a loop in a thread of its own.
    """

    def __init__(self, url: str, tables: list[Table]) -> None:
        self._is_postgresql = make_url(url).get_backend_name() == "postgresql"
        if not self._is_postgresql:
            # Tests count and kill what is connected to their database: this connection has none.
            database = str(make_url(url).database)
            tables = [table.to_metadata(MetaData(), schema=database) for table in tables]
            url = make_url(url).set(database="").render_as_string(hide_password=False)
        self._occupied = select(*(exists(select(table)) for table in tables))
        self._deletes: list[Delete] = [delete(table) for table in tables]
        # Nothing here has to survive a power cut, so PostgreSQL need not wait for its disk.
        settings = {"application_name": EMPTYING, "synchronous_commit": "off"}
        self._engine = create_async_engine(
            url,
            poolclass=NullPool,
            connect_args={"server_settings": settings} if self._is_postgresql else {},
        )
        self._connection: AsyncConnection | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def empty(self) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._empty(), self._loop))

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _empty(self) -> None:
        try:
            await self._delete()
        except SQLAlchemyError:
            # A test has had the connections of the server ended.
            await self._disconnect()
            await self._delete()

    async def _delete(self) -> None:
        if self._connection is None:
            self._connection = await self._engine.connect()
            if not self._is_postgresql:
                # Row by row, a post that is answered would stand in the way of its own deletion.
                await self._connection.execute(text("SET SESSION foreign_key_checks = 0"))
        occupied = (await self._connection.execute(self._occupied)).one()
        for is_occupied, statement in zip(occupied, self._deletes, strict=True):
            if is_occupied:
                await self._connection.execute(statement)
        await self._connection.commit()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()
        await self._engine.dispose()
