"""Connections to a database server: two pools, made when they are first needed."""

import asyncio
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from sqlalchemy import URL, Executable, event
from sqlalchemy import Engine as SqlAlchemyEngine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.util import greenlet_spawn

from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.engine.fast.private_names import require_private_names
from adapters.sql.engine.fast.servers.group_commit import ServerGroupCommit
from adapters.sql.engine.fast.servers.pool import ConnectionPool, PooledConnection
from adapters.sql.engine.fast.servers.unit import ServerUnit
from adapters.sql.engine.port import BatchedStatement, Engine, PoolState, Unit
from adapters.sql.errors import CannotConnect
from adapters.sql.rows import AnyRow, Parameters, Rows

_POOLS: Final = ("_reads", "_writes")


class ServerEngine(Engine):
    """Reads and units of work have pools of their own, together as large as the settings say.

    Two, because a connection for reading stays in autocommit: nothing is begun, rolled back or reset around a read,
    which would each cost a round trip; and because units of work that wait for locks must not keep readers waiting
    for a connection.
    """

    optimistic = True

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

    async def fetch_all(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> Sequence[AnyRow]:
        del on_loop
        return (await self._read(statement, parameters)).rows

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> AnyRow | None:
        del on_loop
        return (await self._read(statement, parameters)).first()

    async def _read(self, statement: Executable, parameters: Parameters) -> Rows:
        pool = self._reads
        connection = pool.acquire_nowait() or await pool.acquire()
        try:
            return await connection.run(statement, parameters)
        finally:
            pool.release(connection)

    def unit(self) -> Unit:
        return ServerUnit(self._writes, self._shared)

    async def dispose(self) -> None:
        vars(self).pop("_shared", None)
        made: list[ConnectionPool] = [vars(self).pop(name) for name in _POOLS if name in vars(self)]
        await asyncio.gather(*(pool.dispose() for pool in made))

    def pools(self) -> Sequence[PoolState]:
        # Those that nobody has needed yet are not made for this.
        made: list[ConnectionPool] = [vars(self)[name] for name in _POOLS if name in vars(self)]
        return [pool.state for pool in made]

    @cached_property
    def _reads(self) -> ConnectionPool:
        return self._pool(
            "reads",
            self._pool_size - max(1, self._pool_size // 2),
            self._max_overflow - self._max_overflow // 2,
            autocommit=True,
        )

    @cached_property
    def _writes(self) -> ConnectionPool:
        return self._pool("writes", max(1, self._pool_size // 2), self._max_overflow // 2, autocommit=False)

    @cached_property
    def _shared(self) -> ServerGroupCommit:
        return ServerGroupCommit(self._writes, self._finish_alone)

    async def _finish_alone(self, steps: Sequence[BatchedStatement]) -> None:
        unit = ServerUnit(self._writes)
        try:
            for step in steps:
                await unit.enqueue(step)
            await unit.commit()
        finally:
            await unit.close()

    def _pool(self, name: str, size: int, overflow: int, *, autocommit: bool) -> ConnectionPool:
        engine = self._engine(autocommit=autocommit)

        async def open_one() -> PooledConnection:
            try:
                connection = await greenlet_spawn(engine.connect)
            except OSError:
                raise
            except Exception as error:
                if isinstance(error, DBAPIError) and self._dialect.classify(error) is not None:
                    raise
                # A server that accepts and closes, for one, makes uvloop or a driver raise what neither has a name for.
                raise CannotConnect(f"{type(error).__name__}: {error}") from error
            require_private_names(connection)
            return PooledConnection(connection, autocommit=autocommit, is_demoted=self._dialect.is_demoted)

        return ConnectionPool(
            name,
            open_one,
            size=max(1, size),
            overflow=overflow,
            wait_seconds=self._pool_timeout_seconds,
            ping_after_idle_seconds=self._ping_after_idle_seconds if self._dialect.pings_idle_connections else math.inf,
            demoted=self._invalidate_all,
        )

    def _invalidate_all(self) -> None:
        """Have no connection lent again that is open by now: those for reading lead to the same server."""
        for name in _POOLS:
            pool: ConnectionPool | None = vars(self).get(name)
            if pool is not None:
                pool.invalidate_all()

    def _engine(self, *, autocommit: bool) -> SqlAlchemyEngine:
        # Nothing is begun in autocommit, so there is nothing to roll back.
        options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
        engine = create_async_engine(
            self._url,
            # `ConnectionPool` keep the connections.
            poolclass=NullPool,
            # What is closed need not be rolled back first.
            pool_reset_on_return=None,
            **(options if autocommit else {}),
            **self._dialect.engine_options(self._limits, self._url),
        ).sync_engine

        def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
            del record
            self._dialect.prepare(connection, self._limits, read_only=autocommit)

        event.listen(engine, "connect", prepare)
        return engine
