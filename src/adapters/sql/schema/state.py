"""Telling which revision a database's schema has; nothing here changes it, and nothing of Alembic is imported."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.errors import CAUGHT, application_error
from adapters.sql.schema.revision import TABLE, revisions
from application.shared.errors import StorageUnavailable

T = TypeVar("T")

_LIMITS = Limits(connect=10, statement=3600, lock=60)
"""In seconds; adding an index to a large table takes as long as it takes."""


class DatabaseRefused(Exception):
    """The database answers and says no: to the password, to the name of the database, to a statement.

    Its text is the database's own, for an operator; it is not for callers of the API.
    """


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
    known = revisions()
    head = known[-1]
    file = dialect_of(make_url(url)).file(make_url(url))
    if file is not None and not file.exists():
        revision = None  # Connecting would make one.
    else:
        revision = run_in_own_loop(on_connection(url, lambda connection, _: _revision(connection)))
    if revision == head:
        return SchemaState(SchemaStatus.CURRENT, revision, head)
    is_older = revision is None or revision in known
    return SchemaState(SchemaStatus.TOO_OLD if is_older else SchemaStatus.TOO_NEW, revision, head)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(TABLE):
        return None
    revision = connection.scalar(text(f"SELECT version_num FROM {TABLE}"))  # noqa: S608 - ours
    return None if revision is None else str(revision)


async def on_connection(url: str, work: Callable[[Connection, Dialect], T]) -> T:
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
        meant = application_error(error, dialect)
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


def run_in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own in a thread of its own: a loop may be running here, which cannot run another."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
