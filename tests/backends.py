"""The databases that the suites run on: made and migrated once a worker, emptied between tests, dropped at the end."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from sqlalchemy import URL, Delete, MetaData, delete, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.models import is_search_index
from adapters.sql.schema.migrate import upgrade

T = TypeVar("T")

_SERVERS = {
    "mariadb": ("TEST_MARIADB_URL", "mysql+asyncmy://root@127.0.0.1:3306/"),
    "postgresql": ("TEST_POSTGRESQL_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/"),
    # MySQL has no default: on most machines its port is MariaDB's.
    "mysql": ("TEST_MYSQL_URL", None),
}

SQL_BACKENDS = ("sqlite", "mariadb", "postgresql", *(("mysql",) if "TEST_MYSQL_URL" in os.environ else ()))
BACKENDS = ("memory", *SQL_BACKENDS)

PROCESSES = {"mariadb": "information_schema.processlist", "mysql": "performance_schema.processlist"}
"""Where connections are listed. MySQL's information schema fails (3854) while anybody sends bytes that are no text."""

_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 60
"""To drop a database PostgreSQL writes all that any database has changed to its disk first."""


def missing(reason: str) -> NoReturn:
    """Skip the test for want of something on this machine; in CI, where everything must be there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: nothing may be missing)", pytrace=False)
    pytest.skip(reason)


def run_apart(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `story` on a loop of its own in a thread of its own, whether or not a loop is running here."""
    return in_thread(lambda: asyncio.run(story()))


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
    _emptying: dict[str, list[Delete]] = field(default_factory=dict)

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
            self._emptying[backend] = run_apart(lambda: _deletes(url))
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
            for suffix in ("", "-wal", "-shm"):
                Path(f"{make_url(url).database}{suffix}").unlink(missing_ok=True)
        else:
            drop = _drop_statement(backend, str(make_url(url).database))
            run_apart(lambda: _execute(self._admin(backend), [drop]))

    async def empty(self, backend: str) -> None:
        """Delete every row, children before parents; the schema and its revision stay."""
        engine = create_async_engine(self._urls[backend], poolclass=NullPool)
        async with engine.begin() as connection:
            if backend in {"mariadb", "mysql"}:
                # Row by row, a post that is answered would stand in the way of its own deletion.
                await connection.execute(text("SET SESSION foreign_key_checks = 0"))
            for statement in self._emptying[backend]:
                await connection.execute(statement)
        await engine.dispose()

    def drop_all(self) -> None:
        for backend, url in self._urls.items():
            self.drop(backend, url)

    @staticmethod
    def _admin(backend: str) -> URL:
        variable, default = _SERVERS[backend]
        return make_url(os.environ.get(variable) or str(default))


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


async def _deletes(url: str) -> list[Delete]:
    metadata = MetaData()
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        # What is searched is emptied with the rows that it indexes.
        await connection.run_sync(metadata.reflect, only=lambda name, _: not is_search_index(name))
    await engine.dispose()
    return [delete(table) for table in reversed(metadata.sorted_tables) if table.name != "alembic_version"]
