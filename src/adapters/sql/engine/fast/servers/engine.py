"""Connections to a database server: two pools, made when they are first needed."""

import math
from collections.abc import Awaitable, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, Executable, event
from sqlalchemy import Dialect as SqlAlchemyDialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.util import greenlet_spawn

from adapters.sql.cancelled import is_cancelled
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.servers.batches import TOGETHER, Batch
from adapters.sql.engine.fast.servers.pool import Lease, Leases
from adapters.sql.engine.fast.servers.shared_commits import SharedCommits
from adapters.sql.engine.port import Connections, PoolState, Step, StepFailed, Unit
from adapters.sql.errors import CAUGHT, CannotConnect, InDoubt
from adapters.sql.rows import AnyRow, Parameters, Rows

R = TypeVar("R")

_POOLS: Final = ("_reads", "_writes")


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

    async def _read(self, statement: Executable, parameters: Parameters) -> Rows:
        leases = self._reads
        lease = leases.take_now() or await leases.take()
        try:
            return await lease.run(statement, parameters)
        finally:
            leases.give_back(lease)

    def unit(self) -> Unit:
        return _PooledUnit(self._writes, self._shared)

    async def dispose(self) -> None:
        vars(self).pop("_shared", None)
        for name in _POOLS:
            leases: Leases | None = vars(self).pop(name, None)
            if leases is not None:
                await leases.dispose()

    def pools(self) -> Sequence[PoolState]:
        # Those that nobody has needed yet are not made for this.
        made: list[Leases] = [vars(self)[name] for name in _POOLS if name in vars(self)]
        return [leases.state for leases in made]

    @cached_property
    def _reads(self) -> Leases:
        return self._leases(
            "reads",
            self._pool_size - max(1, self._pool_size // 2),
            self._max_overflow - self._max_overflow // 2,
            autocommit=True,
        )

    @cached_property
    def _writes(self) -> Leases:
        return self._leases("writes", max(1, self._pool_size // 2), self._max_overflow // 2, autocommit=False)

    @cached_property
    def _shared(self) -> SharedCommits:
        return SharedCommits(self._writes, self._finish_alone)

    async def _finish_alone(self, steps: Sequence[Step]) -> None:
        unit = _PooledUnit(self._writes)
        try:
            await unit.finish(steps)
        finally:
            await unit.close()

    def _leases(self, name: str, size: int, overflow: int, *, autocommit: bool) -> Leases:
        engine = self._engine(autocommit=autocommit)

        async def open_one() -> Lease:
            try:
                connection = await greenlet_spawn(engine.connect)
            except OSError:
                raise
            except Exception as error:
                if isinstance(error, DBAPIError) and self._dialect.verdict(error) is not None:
                    raise
                # A server that accepts and closes, for one, makes uvloop or a driver raise what neither has a name for.
                raise CannotConnect(f"{type(error).__name__}: {error}") from error
            return Lease(connection, autocommit=autocommit, is_demoted=self._dialect.is_demoted)

        return Leases(
            name,
            open_one,
            size=max(1, size),
            overflow=overflow,
            wait_seconds=self._pool_timeout_seconds,
            ping_after_idle_seconds=self._ping_after_idle_seconds if self._dialect.pings_idle_connections else math.inf,
            demoted=self._suspect_all,
        )

    def _suspect_all(self) -> None:
        """Have no connection lent again that is open by now: those for reading lead to the same server."""
        for name in _POOLS:
            leases: Leases | None = vars(self).get(name)
            if leases is not None:
                leases.suspect_all()

    def _engine(self, *, autocommit: bool) -> Engine:
        # Nothing is begun in autocommit, so there is nothing to roll back.
        options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
        engine = create_async_engine(
            self._url,
            # `Leases` keep the connections.
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


class _PooledUnit(Unit):
    """One transaction on a connection for writing."""

    batches = True

    def __init__(self, leases: Leases, shared: SharedCommits | None = None) -> None:
        self._leases = leases
        self._shared = shared
        self._lease: Lease | None = None
        self._is_open = False
        """Whether anything was begun that is not committed, or may have been."""

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        return await (await self._open()).run(statement, parameters)

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        await (await self._open()).spawn(Connection.execute, statement, rows)

    async def run_all(self, steps: Sequence[Step]) -> Rows:
        lease = await self._open()
        rows = Rows((), -1)
        for batch in _batches(lease.dialect, steps):
            rows = await _run_batch(lease, batch)
        return rows

    async def finish(self, steps: Sequence[Step]) -> None:
        if self._lease is None and self._shared is not None and self._shared.take(steps):
            await self._shared.finish(steps)
            return
        lease = await self._open()
        *first, last = _batches(lease.dialect, steps)
        for batch in first:
            await _run_batch(lease, batch)
        if isinstance(last, Batch):
            try:
                ended = await _finish_batch(lease, last)
            except StepFailed as failed:
                # The COMMIT went with it.
                raise _doubted(lease, failed) from failed.__cause__
            if ended:
                lease.forget_transaction()
                self._is_open = False
                return
        else:
            await _run_batch(lease, last)
        try:
            await self.commit()
        except CAUGHT as error:
            raise StepFailed(None) from error

    async def commit(self) -> None:
        if self._lease is not None:
            try:
                await self._lease.commit()
            except CAUGHT as error:
                if self._lease.lost and not self._lease.was_demoted:
                    raise InDoubt from error
                raise
            self._is_open = False

    async def close(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            if self._is_open and is_cancelled():
                # Its time is over: the server rolls back what it has lost the connection to.
                lease.forsake()
                return
            if self._is_open and not lease.lost:
                await lease.roll_back()
        except BaseException:
            # Cancelled in the middle, for one: the server rolls back what it has lost the connection to.
            lease.forsake()
            raise
        finally:
            self._leases.give_back(lease)

    async def _open(self) -> Lease:
        if self._lease is None:
            self._lease = self._leases.take_now() or await self._leases.take()
        # What is sent to begin, if anything, is sent with the first statement: the drivers see to that.
        self._is_open = True
        return self._lease


def _batches(dialect: SqlAlchemyDialect, steps: Sequence[Step]) -> list[Batch | Step]:
    """Return what goes together, in order; a step that SQLAlchemy must run goes by itself."""
    together = TOGETHER[dialect.driver]
    found: list[Batch | Step] = []
    batch: Batch | None = None
    for step in steps:
        plan = compiled(step.statement, dialect, step.parameters)
        if plan is None:
            batch = None
            found.append(step)
            continue
        if batch is None or not together.fits(batch, step, plan):
            batch = Batch()
            found.append(batch)
        batch.add(step, plan)
    return found


async def _run_batch(lease: Lease, batch: Batch | Step) -> Rows:
    if isinstance(batch, Step):
        try:
            rows = await lease.run(batch.statement, batch.parameters)
        except CAUGHT as error:
            raise StepFailed(batch) from error
        if rows.count == 0 and batch.missed is not None:
            raise batch.missed()
        return rows
    rows = await _judged(lease, batch, TOGETHER[lease.dialect.driver].run(lease.link, batch))
    batch.check()
    return rows


async def _finish_batch(lease: Lease, batch: Batch) -> bool:
    ended = await _judged(lease, batch, TOGETHER[lease.dialect.driver].finish(lease.link, batch))
    batch.check()
    return ended


def _doubted(lease: Lease, failed: StepFailed) -> StepFailed:
    """Return the failure of what ended in a COMMIT: in doubt when no answer came."""
    if not lease.lost or lease.was_demoted:
        return failed
    doubt = InDoubt()
    doubt.__cause__ = failed.__cause__
    told = StepFailed(failed.step, failed.among)
    told.__cause__ = doubt
    return told


async def _judged(lease: Lease, batch: Batch, running: Awaitable[R]) -> R:
    try:
        return await running
    except BaseException as error:  # noqa: BLE001 # it is raised again, be it a cancellation
        try:
            lease.fail(error, batch.sql)
        except CAUGHT as judged:
            raise StepFailed(batch.failed, batch.steps) from judged
