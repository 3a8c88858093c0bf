"""A unit of work on a database server, and how its statements are sent together."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy import Dialect as SqlAlchemyDialect

from adapters.shared.cancellation import is_cancelled
from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.servers.batches import TOGETHER, Batch
from adapters.sql.engine.fast.servers.pool import Lease, Leases
from adapters.sql.engine.fast.servers.shared_commits import SharedCommits
from adapters.sql.engine.port import Step, StepFailed, Unit
from adapters.sql.errors import CAUGHT, InDoubt, Named
from adapters.sql.rows import Parameters, Rows

R = TypeVar("R")


class ServerUnit(Unit):
    """One transaction on a connection for writing."""

    def __init__(self, leases: Leases, shared: SharedCommits | None = None) -> None:
        self._leases = leases
        self._shared = shared
        self._lease: Lease | None = None
        self._kept: list[Step] = []
        """What is to be sent with the next statement, or the commit."""
        self._failed = False
        self._is_open = False
        """Whether anything was begun that is not committed, or may have been."""

    async def run(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> Rows:
        if self._kept:
            return await self._send(Step(statement, parameters, named))
        return await (await self._open()).run(statement, parameters)

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        if self._kept:
            await self._send()
        await (await self._open()).spawn(Connection.execute, statement, rows)

    async def enqueue(self, step: Step) -> None:
        self._kept.append(step)

    async def commit(self) -> None:
        if self._failed:
            raise RuntimeError("a statement failed, and those after it were never sent")
        if self._kept:
            await self._finish()
        else:
            await self._commit()

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

    async def _send(self, *last: Step) -> Rows:
        """Send what is kept and `last`, and return what the last of these returned."""
        steps, self._kept = [*self._kept, *last], []
        self._failed = True
        lease = await self._open()
        rows = Rows((), -1)
        for batch in _batches(lease.dialect, steps):
            rows = await _run_batch(lease, batch)
        self._failed = False
        return rows

    async def _finish(self) -> None:
        """Send what is kept, and commit."""
        steps, self._kept = self._kept, []
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
                if not lease.lost or lease.was_demoted:
                    raise
                # The COMMIT went with it, and no answer came.
                doubt = InDoubt()
                doubt.__cause__ = failed.__cause__
                raise StepFailed(failed.step, failed.among) from doubt
            if ended:
                lease.forget_transaction()
                self._is_open = False
                return
        else:
            await _run_batch(lease, last)
        try:
            await self._commit()
        except CAUGHT as error:
            raise StepFailed(None) from error

    async def _commit(self) -> None:
        if self._lease is not None:
            try:
                await self._lease.commit()
            except CAUGHT as error:
                if self._lease.lost and not self._lease.was_demoted:
                    raise InDoubt from error
                raise
            self._is_open = False

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


async def _judged(lease: Lease, batch: Batch, running: Awaitable[R]) -> R:
    try:
        return await running
    except BaseException as error:  # noqa: BLE001 # it is raised again, be it a cancellation
        try:
            lease.fail(error, batch.sql)
        except CAUGHT as judged:
            raise StepFailed(batch.failed, batch.steps) from judged
