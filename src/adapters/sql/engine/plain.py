"""The plain engine: any database, on SQLAlchemy's public API alone.

A unit of work is an `AsyncSession` of SQLAlchemy's ORM, its statements run one after the other, and a commit is a
COMMIT. Reads have connections of their own, in autocommit. Nothing is compiled ahead, sent together or shared: that is
what the fast engine does, behind the same port and with the same statements.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from sqlalchemy import URL, Connection, Executable, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from adapters.shared.cancellation import CancellationKept, is_cancelled
from adapters.sql.dialects.base import Dialect, ErrorKind, Limits
from adapters.sql.engine.port import Engine, PoolState, Unit
from adapters.sql.errors import CAUGHT, CannotConnect, CommitInDoubt, ConstraintErrors
from adapters.sql.rows import AnyRow, Parameters, Rows, rows_of
from adapters.sql.settings import DatabaseSettings
from adapters.sql.sqlite_file import FileGuard

R = TypeVar("R")


class PlainUnit(Unit):
    """One `AsyncSession`, on a connection that it takes with its first statement."""

    def __init__(self, engine: "PlainEngine") -> None:
        self._engine = engine
        self._session: AsyncSession | None = None

    async def run(
        self, statement: Executable, parameters: Parameters, constraint_errors: ConstraintErrors | None = None
    ) -> Rows:
        del constraint_errors
        with CancellationKept():
            return rows_of(await (await self._begun()).execute(statement, dict(parameters)))

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        with CancellationKept():
            await (await self._begun()).execute(statement, [dict(row) for row in rows])

    async def commit(self) -> None:
        if self._session is None:
            return
        try:
            with CancellationKept():
                await self._session.commit()
            self._engine.demand_file()
        except (DBAPIError, OSError) as error:
            if self._engine.leaves_doubt(error):
                raise CommitInDoubt from error
            raise

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            # When its time is over, the server rolls back what it has lost the connection to.
            with CancellationKept():
                await (session.invalidate() if is_cancelled() else session.close())

    async def _begun(self) -> AsyncSession:
        if self._session is None:
            self._session = AsyncSession(self._engine.writes, autoflush=False, expire_on_commit=False)
            await self._engine.connected(self._session.connection())
        return self._session


class PlainEngine(Engine):
    """Two pools of SQLAlchemy's: units of work that wait for locks must not keep readers waiting for a connection."""

    def __init__(
        self, settings: DatabaseSettings, url: URL, dialect: Dialect, limits: Limits, guard: FileGuard | None
    ) -> None:
        self._dialect = dialect
        self._limits = limits
        self._guard = guard
        self._survives_power_loss = settings.survives_power_loss
        # Where writers take turns, they do so for the one connection, not for the lock of the file.
        size = 1 if dialect.single_writer else max(1, settings.pool_size // 2)
        overflow = 0 if dialect.single_writer else settings.max_overflow // 2
        self.writes = create_async_engine(
            dialect.existing(url), pool_size=size, max_overflow=overflow, **self._options(settings, url)
        )
        self._reads = create_async_engine(
            dialect.existing(url),
            pool_size=max(1, settings.pool_size - size),
            max_overflow=settings.max_overflow - overflow,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            **self._options(settings, url),
        )
        self._most = {"reads": settings.max_overflow - overflow, "writes": overflow}
        self._set_up(self._reads, read_only=True)
        self._set_up(self.writes, read_only=False)

    def _options(self, settings: DatabaseSettings, url: URL) -> dict[str, object]:
        return {
            "pool_timeout": settings.pool_timeout_seconds,
            "pool_pre_ping": self._dialect.pings_idle_connections,
            **self._dialect.engine_options(self._limits, url),
        }

    def _set_up(self, engine: AsyncEngine, *, read_only: bool) -> None:
        def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
            del record
            try:
                self.demand_file()
                self._dialect.prepare(connection, self._limits, read_only=read_only, full=self._survives_power_loss)
            except BaseException:
                connection.close()  # It may lead to another file, which must not be used even when ours is back.
                raise

        def begin(connection: Connection) -> None:
            self.demand_file()
            if self._dialect.single_writer and not read_only:
                connection.exec_driver_sql("BEGIN IMMEDIATE")

        event.listen(engine.sync_engine, "connect", prepare)
        event.listen(engine.sync_engine, "begin", begin)
        event.listen(engine.sync_engine, "handle_error", self._judge)

    def _judge(self, context: ExceptionContext) -> None:
        if isinstance(context.sqlalchemy_exception, DBAPIError) and self._dialect.is_demoted(
            context.sqlalchemy_exception
        ):
            context.is_disconnect = True  # And so it is for all others of this pool.
            self._reads.sync_engine.dispose()  # Those for reading lead to the same server.

    def demand_file(self) -> None:
        """Raise `FileGone` when the file is not the one that was opened."""
        if self._guard is not None:
            self._guard.require_same_file()

    async def fetch_all(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> Sequence[AnyRow]:
        del on_loop
        with CancellationKept():
            connection = await self.connected(self._reads.connect())
            try:
                return (await connection.execute(statement, dict(parameters))).all()
            finally:
                await connection.close()

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> AnyRow | None:
        rows = await self.fetch_all(statement, parameters, on_loop=on_loop)
        return rows[0] if rows else None

    def unit(self) -> Unit:
        return PlainUnit(self)

    async def connected(self, connecting: Awaitable[R]) -> R:
        """Return a connection. Raises what `errors.CAUGHT` names, whatever connecting raises."""
        try:
            return await connecting
        except CAUGHT as error:
            if isinstance(error, DBAPIError) and self._dialect.classify(error) is None:
                raise CannotConnect(str(error)) from error
            raise
        except Exception as error:
            # A server that accepts and closes makes uvloop or a driver raise what neither has a name for.
            raise CannotConnect(f"{type(error).__name__}: {error}") from error

    def leaves_doubt(self, error: Exception) -> bool:
        """Tell whether a commit that failed by `error` may be durable all the same."""
        if not isinstance(error, DBAPIError):
            return True
        cut = error.connection_invalidated or self._dialect.classify(error) is ErrorKind.UNAVAILABLE
        return cut and not self._dialect.is_demoted(error)

    def pools(self) -> Sequence[PoolState]:
        return [self._state("reads", self._reads), self._state("writes", self.writes)]

    def _state(self, name: str, engine: AsyncEngine) -> PoolState:
        pool = engine.pool
        if not isinstance(pool, QueuePool):
            raise TypeError(f"{type(pool).__name__} does not count")
        used = pool.checkedout()
        return PoolState(name, pool.size() + self._most[name], pool.checkedin() + used, used)

    async def dispose(self) -> None:
        # At once: a server that has gone silent is waited for as long as the driver does.
        await asyncio.gather(self._reads.dispose(), self.writes.dispose())
