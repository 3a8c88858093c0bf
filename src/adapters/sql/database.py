"""Connections to one database: two pools, made when they are first needed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.errors import CAUGHT, translated

Parameters = Mapping[str, Any]
AnyRow = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the database is, and how much of it one process may take. Times are in seconds."""

    url: str = field(repr=False)
    """`sqlite+aiosqlite:///…`, `mysql+asyncmy://…` or `postgresql+asyncpg://…`; it may hold a password."""
    pool_size: int = 10
    """Connections kept open. More than ten help nobody on few cores, and a hundred workers share a server's limit."""
    max_overflow: int = 10
    """Connections beyond those, opened under load and closed afterwards."""
    pool_timeout_seconds: float = 5.0
    """How long to wait for a connection. Longer than that, the caller has given up."""
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 10.0
    """A hundred times what the slowest of our statements takes."""
    lock_timeout_seconds: float = 5.0
    """How long to wait for somebody else's lock before the unit of work counts as having lost the race."""
    ping_after_idle_seconds: float = 1.0
    """A pooled connection that has lain idle for longer is checked before it is used.

    Checking each time would cost every statement a second round trip; never checking would answer the first requests
    after a fail-over or a firewall's time-out with 503. Under load connections do not lie idle, so nothing is paid.
    """


class Database:
    """One database. Reads and units of work have pools of their own, together as large as the settings say.

    Two, because a connection for reading stays in autocommit: nothing is begun, rolled back or reset around a read,
    which would each cost a round trip; and because units of work that wait for locks must not keep readers waiting
    for a connection. On SQLite there is one connection for writing: only one may write anyway, and waiting in line
    for it is fair and free, where SQLite's own waiting polls.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._url = make_url(settings.url)
        self.dialect: Dialect = dialect_of(self._url)
        self._limits = Limits(
            connect=settings.connect_timeout_seconds,
            statement=settings.statement_timeout_seconds,
            lock=settings.lock_timeout_seconds,
        )

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file, when it is SQLite."""
        return self.dialect.file(self._url)

    async def fetch_all(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        """Read rows outside of any transaction. Raises `StorageUnavailable`, `TransientFailure`."""
        try:
            return await greenlet_spawn(self._read_all, statement, parameters)
        except CAUGHT as error:
            raise translated(error, self.dialect) from error

    async def fetch_one(self, statement: Executable, parameters: Parameters) -> AnyRow | None:
        """Read the first row, if there is one, outside of any transaction. Raises as `fetch_all` does."""
        try:
            return await greenlet_spawn(self._read_one, statement, parameters)
        except CAUGHT as error:
            raise translated(error, self.dialect) from error

    # AsyncConnection would do the same in three hops to a greenlet and a task of its own for giving the connection
    # back, which takes a third of the time of a short read.
    def _read_all(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        with self._reads.sync_engine.connect() as connection:
            return connection.execute(statement, parameters).all()

    def _read_one(self, statement: Executable, parameters: Parameters) -> AnyRow | None:
        with self._reads.sync_engine.connect() as connection:
            return connection.execute(statement, parameters).first()

    def session(self) -> AsyncSession:
        """Return a session for one unit of work; it takes a connection, and begins, with its first statement."""
        return AsyncSession(self._writes, autoflush=False, expire_on_commit=False)

    async def dispose(self) -> None:
        """Close every connection that is not in use. The pools may be used again afterwards."""
        for name in ("_reads", "_writes"):
            engine: AsyncEngine | None = self.__dict__.pop(name, None)
            if engine is not None:
                await engine.dispose()

    @cached_property
    def _reads(self) -> AsyncEngine:
        return self._engine(
            self._settings.pool_size - self._write_share(self._settings.pool_size, least=1),
            self._settings.max_overflow - self._write_share(self._settings.max_overflow, least=0),
            read_only=True,
            # Nothing was begun, so there is nothing to roll back.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )

    @cached_property
    def _writes(self) -> AsyncEngine:
        engine = self._engine(
            self._write_share(self._settings.pool_size, least=1),
            self._write_share(self._settings.max_overflow, least=0),
            read_only=False,
        )
        event.listen(engine.sync_engine, "begin", self.dialect.begin)
        return engine

    def _write_share(self, connections: int, *, least: int) -> int:
        return least if self.dialect.single_writer else max(least, connections // 2)

    def _engine(self, pool_size: int, max_overflow: int, *, read_only: bool, **options: Any) -> AsyncEngine:
        settings = self._settings
        engine = create_async_engine(
            self._url,
            pool_size=max(1, pool_size),
            max_overflow=max_overflow,
            pool_timeout=settings.pool_timeout_seconds,
            # A unit of work ends itself, and a read leaves nothing behind; the pool's own ROLLBACK on return would
            # be a round trip for nothing. Whatever is cancelled in the middle is thrown away, not returned.
            pool_reset_on_return=None,
            # The connections used last are the ones used next, so that those opened for a peak fall idle.
            pool_use_lifo=True,
            **options,
            **self.dialect.engine_options(self._limits, self._url),
        )

        def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
            del record
            self.dialect.prepare(connection, self._limits, read_only=read_only)

        event.listen(engine.sync_engine, "connect", prepare)
        if self.dialect.pings_idle_connections:
            _ping_after_idle(engine, settings.ping_after_idle_seconds)
        return engine


def _ping_after_idle(engine: AsyncEngine, seconds: float) -> None:
    """Check a connection that lay idle before it is used; a dead one is replaced, and so is everything as old."""
    dialect = engine.sync_engine.dialect

    def note(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        del connection
        record.info["idle_since"] = time.monotonic()

    def check(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        del proxy
        if time.monotonic() - record.info.get("idle_since", float("inf")) <= seconds:
            return
        try:
            dialect.do_ping(connection)
        except (dialect.loaded_dbapi.Error, OSError) as error:
            raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "checkin", note)
    event.listen(engine.sync_engine, "checkout", check)
