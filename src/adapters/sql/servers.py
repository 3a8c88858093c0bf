"""Connections to a database server: two pools, made when they are first needed."""

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import URL, Executable, Result, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from adapters.sql.compiled import AnyRow, Parameters, Rows, rows_of
from adapters.sql.connections import Connections, Unit
from adapters.sql.dialects.base import Dialect, Limits


class PooledConnections(Connections):
    """Reads and units of work have pools of their own, together as large as the settings say.

    Two, because a connection for reading stays in autocommit: nothing is begun, rolled back or reset around a read,
    which would each cost a round trip; and because units of work that wait for locks must not keep readers waiting
    for a connection.
    """

    def __init__(
        self,
        url: URL,
        dialect: Dialect,
        limits: Limits,
        *,
        pool_size: int,
        max_overflow: int,
        pool_timeout_seconds: float,
        ping_after_idle_seconds: float,
    ) -> None:
        self._url = url
        self._dialect = dialect
        self._limits = limits
        self._pool_size = pool_size
        self._max_overflow = max_overflow
        self._pool_timeout_seconds = pool_timeout_seconds
        self._ping_after_idle_seconds = ping_after_idle_seconds

    async def fetch_all(self, statement: Executable, parameters: Parameters, *, brief: bool) -> Sequence[AnyRow]:
        del brief
        return await greenlet_spawn(self._read_all, statement, parameters)

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, brief: bool) -> AnyRow | None:
        del brief
        return await greenlet_spawn(self._read_one, statement, parameters)

    # AsyncConnection would do the same in three hops to a greenlet and a task of its own for giving the connection
    # back, which takes a third of the time of a short read.
    def _read_all(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        with self._reads.sync_engine.connect() as connection:
            return connection.execute(statement, parameters).all()

    def _read_one(self, statement: Executable, parameters: Parameters) -> AnyRow | None:
        with self._reads.sync_engine.connect() as connection:
            return connection.execute(statement, parameters).first()

    def unit(self) -> Unit:
        return _PooledUnit(AsyncSession(self._writes, autoflush=False, expire_on_commit=False))

    async def dispose(self) -> None:
        for name in ("_reads", "_writes"):
            engine: AsyncEngine | None = vars(self).pop(name, None)
            if engine is not None:
                await engine.dispose()

    @cached_property
    def _reads(self) -> AsyncEngine:
        return self._engine(
            self._pool_size - max(1, self._pool_size // 2),
            self._max_overflow - self._max_overflow // 2,
            read_only=True,
            # Nothing was begun, so there is nothing to roll back.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )

    @cached_property
    def _writes(self) -> AsyncEngine:
        return self._engine(max(1, self._pool_size // 2), self._max_overflow // 2, read_only=False)

    def _engine(self, pool_size: int, max_overflow: int, *, read_only: bool, **options: Any) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=max(1, pool_size),
            max_overflow=max_overflow,
            pool_timeout=self._pool_timeout_seconds,
            # A unit of work ends itself, and a read leaves nothing behind; the pool's own ROLLBACK on return would
            # be a round trip for nothing. Whatever is cancelled in the middle is thrown away, not returned.
            pool_reset_on_return=None,
            # The connections used last are the ones used next, so that those opened for a peak fall idle.
            pool_use_lifo=True,
            **options,
            **self._dialect.engine_options(self._limits, self._url),
        )

        def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
            del record
            self._dialect.prepare(connection, self._limits, read_only=read_only)

        event.listen(engine.sync_engine, "connect", prepare)
        if self._dialect.pings_idle_connections:
            _ping_after_idle(engine, self._ping_after_idle_seconds)
        return engine


class _PooledUnit(Unit):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        return await self._session.execute(statement, parameters)

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        return rows_of(await self._session.execute(statement, parameters))

    async def commit(self) -> None:
        await self._session.commit()

    async def close(self) -> None:
        await self._session.close()


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
