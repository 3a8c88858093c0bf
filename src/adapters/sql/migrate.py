"""Bringing a database's schema to a revision, and telling which one it has.

Everything here is synchronous, for the command line and for tests, and may be called with or without a running loop.

One migration runs at a time on one database; a second one waits for the first, then finds nothing left to do. On
PostgreSQL and SQLite all of it is one transaction: it happens, or it never did. MySQL and MariaDB commit each DDL
statement by itself, so that a migration which fails midway leaves the statements before the failure behind, under the
revision before. Revisions are written so that running them again after the cause is removed goes on from there.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.errors import CAUGHT, translated
from application.shared.errors import StorageUnavailable

T = TypeVar("T")

_LIMITS = Limits(connect=10, statement=3600, lock=60)
"""In seconds; adding an index to a large table takes as long as it takes."""


class DatabaseRefused(Exception):
    """The database answers and says no: to the password, to the name of the database, to a statement.

    Its text is the database's own, for an operator; it is not for callers of the API.
    """


class UnknownRevision(Exception):
    """There is no such revision, or none that can be reached from the one that the database has."""


class SchemaStatus(StrEnum):
    CURRENT = "current"
    TOO_OLD = "too old"
    """Revisions are missing, or it is empty: `upgrade`."""
    TOO_NEW = "too new"
    """It has a revision that this version of the program doesn't know: a newer one has migrated it."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    status: SchemaStatus
    revision: str | None
    """What the database has; None when it has never been migrated."""
    head: str
    """What this version of the program needs."""


def schema_state(url: str) -> SchemaState:
    """Tell whether the schema fits this version of the program. Raises `StorageUnavailable`, `DatabaseRefused`."""
    scripts = ScriptDirectory.from_config(configuration())
    revisions = {script.revision for script in scripts.walk_revisions()}
    head = scripts.get_current_head()
    if head is None:
        raise RuntimeError("the package holds no migrations")
    file = dialect_of(make_url(url)).file(make_url(url))
    if file is not None and not file.exists():
        revision = None  # Connecting would make one.
    else:
        revision = _apart(_on_connection(url, lambda connection, _: _revision(connection)))
    if revision == head:
        return SchemaState(SchemaStatus.CURRENT, revision, head)
    known = revision is None or revision in revisions
    return SchemaState(SchemaStatus.TOO_OLD if known else SchemaStatus.TOO_NEW, revision, head)


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`. A SQLite file is made when there is none.

    Raises `StorageUnavailable`, `DatabaseRefused`, `UnknownRevision`.
    """
    _migrate(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to `revision` (`base`: to nothing, with all data). Raises as `upgrade` does."""
    _migrate(url, lambda config: command.downgrade(config, revision))


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration: the packaged revisions, wherever the process was started."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _migrate(url: str, step: Callable[[Config], None]) -> None:
    def run(connection: Connection, dialect: Dialect) -> None:
        with dialect.migration_lock(connection):
            try:
                step(configuration(connection))
            except CommandError as error:
                raise UnknownRevision(str(error)) from error
            connection.commit()

    file = dialect_of(make_url(url)).file(make_url(url))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    _apart(_on_connection(url, run))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _on_connection(url: str, work: Callable[[Connection, Dialect], T]) -> T:
    parsed = make_url(url)
    dialect = dialect_of(parsed)
    engine = create_async_engine(parsed, poolclass=NullPool, **dialect.engine_options(_LIMITS, parsed))

    def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        dialect.prepare(connection, _LIMITS, read_only=False)

    event.listen(engine.sync_engine, "connect", prepare)
    try:
        if (file := dialect.file(parsed)) is not None:
            # The driver's thread would complain on standard error, besides raising, about a file it cannot open.
            _make_wal(file)
        async with engine.connect() as connection:
            return await connection.run_sync(work, dialect)
    except sqlite3.OperationalError as error:
        raise StorageUnavailable from error
    except CAUGHT as error:
        meant = translated(error, dialect)
        if isinstance(meant, DBAPIError):
            raise DatabaseRefused(str(meant.orig)) from error
        raise meant from error
    finally:
        await engine.dispose()


def _make_wal(file: Path) -> None:
    """Put a SQLite file into WAL mode, where it stays.

    The change asks for the whole file and does not wait for others who use it: `busy_timeout` is for locks that a
    holder gives back without needing ours (sqlite.org/wal.html). So processes that begin on a new file at the same
    time try again until one of them has made the change, which is then none for the others.
    """
    deadline = time.monotonic() + _LIMITS.connect
    with closing(sqlite3.connect(file)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return


def _apart(story: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own in a thread of its own: a loop may be running here, which cannot run another."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, story).result()
