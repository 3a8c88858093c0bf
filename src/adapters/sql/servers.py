"""Connections to a database server: two pools, made when they are first needed."""

import asyncio
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import URL, Connection, Engine, Executable, Result, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from adapters.sql.compiled import AnyRow, Parameters, Rows, compiled, rows_of
from adapters.sql.connections import Connections, PoolState, Unit
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.drivers import RUN_DIRECTLY


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
        return (await self._read(statement, parameters)).rows

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, brief: bool) -> AnyRow | None:
        del brief
        return (await self._read(statement, parameters)).first()

    # AsyncConnection would give the connection back in a task of its own, which takes a third of the time of a short
    # read.
    async def _read(self, statement: Executable, parameters: Parameters) -> Rows:
        connection = await greenlet_spawn(self._reads.sync_engine.connect)
        try:
            return await _run(connection, statement, parameters)
        finally:
            await greenlet_spawn(connection.close)

    def unit(self) -> Unit:
        return _PooledUnit(self._writes.sync_engine)

    async def dispose(self) -> None:
        for name in ("_reads", "_writes"):
            engine: AsyncEngine | None = vars(self).pop(name, None)
            if engine is not None:
                await engine.dispose()

    def pools(self) -> Sequence[PoolState]:
        # Those that nobody has needed yet are not made for this.
        found = {name: self.__dict__.get(attribute) for name, attribute in (("reads", "_reads"), ("writes", "_writes"))}
        return [_state(name, engine) for name, engine in found.items() if engine is not None]

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


def _state(name: str, engine: AsyncEngine) -> PoolState:
    pool = engine.sync_engine.pool
    if not isinstance(pool, QueuePool):
        raise TypeError(f"{name} is no pool with a size")
    in_use = pool.checkedout()
    return PoolState(name, pool.size() + pool._max_overflow, pool.checkedin() + in_use, in_use)  # noqa: SLF001 - told nowhere else


class _PooledUnit(Unit):
    """One transaction on a connection of the pool for writing. Statements go to the driver where they can, see
    `_run`; the rest happens in greenlets, as `AsyncSession` does it, with a session only for what needs one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._session: Session | None = None

    async def execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        return await greenlet_spawn(self._execute, statement, parameters)

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        connection = self._connection
        if connection is None:
            connection = await greenlet_spawn(self._begun)
        return await _run(connection, statement, parameters)

    async def commit(self) -> None:
        if self._connection is not None:
            await greenlet_spawn(self._connection.commit)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Whoever closes may be cancelled in the middle; the connection goes back to its pool all the same.
            await asyncio.shield(asyncio.ensure_future(greenlet_spawn(self._close, connection)))

    def _begun(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect()
            # What is sent with the first statement, if anything: the drivers see to that.
            connection.begin()
            self._connection = connection
        return self._connection

    def _execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        if self._session is None:
            self._session = Session(self._begun(), autoflush=False, expire_on_commit=False)
        # Buffered: rows are read when nobody is in a greenlet any more.
        return self._session.execute(statement, parameters, execution_options={"prebuffer_rows": True})

    def _close(self, connection: Connection) -> None:
        try:
            if self._session is not None:
                self._session.close()
        finally:
            connection.close()


async def _run(connection: Connection, statement: Executable, parameters: Parameters) -> Rows:
    """Run a statement by the driver itself, where its text does not depend on its values."""
    dialect = connection.dialect
    plan = compiled(statement, dialect, parameters)
    if plan is None:
        return await greenlet_spawn(_by_sqlalchemy, connection, statement, parameters)
    adapter = connection.connection.dbapi_connection
    values = plan.bind(parameters)
    try:
        return await RUN_DIRECTLY[dialect.driver](adapter, plan, values)
    except BaseException as error:  # a cancellation too: the connection is in the middle of something
        await greenlet_spawn(_judge, connection, plan.sql, error)
        raise


def _by_sqlalchemy(connection: Connection, statement: Executable, parameters: Parameters) -> Rows:
    return rows_of(connection.execute(statement, parameters))


def _judge(connection: Connection, sql: str, error: BaseException) -> None:
    """Have SQLAlchemy say what an error means: it wraps it, and throws away what is lost, be it all of its age."""
    try:
        raise error  # noqa: TRY301 # a greenlet has no error of its own yet, and SQLAlchemy raises the current one
    except BaseException:  # noqa: BLE001 # see `_run`
        said = sql if isinstance(error, connection.dialect.loaded_dbapi.Error) else None
        connection._handle_dbapi_exception(error, said, None, None, None)  # noqa: SLF001 # nothing public does


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
