"""A unit of work on a database server, and how its statements are sent together."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy import Dialect as SqlAlchemyDialect

from adapters.shared.cancellation import is_cancelled
from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.servers.batches import BATCH_RUNNERS, Batch
from adapters.sql.engine.fast.servers.group_commit import ServerGroupCommit
from adapters.sql.engine.fast.servers.pool import ConnectionPool, PooledConnection
from adapters.sql.engine.port import BatchedStatement, BatchedStatementFailed, Unit
from adapters.sql.errors import CAUGHT, CommitInDoubt, ConstraintErrors
from adapters.sql.rows import Parameters, Rows

R = TypeVar("R")


class ServerUnit(Unit):
    """One transaction on a connection for writing."""

    def __init__(self, pool: ConnectionPool, shared: ServerGroupCommit | None = None) -> None:
        self._pool = pool
        self._shared = shared
        self._connection: PooledConnection | None = None
        self._kept: list[BatchedStatement] = []
        """What is to be sent with the next statement, or the commit."""
        self._failed = False
        self._is_open = False
        """Whether anything was begun that is not committed, or may have been."""

    async def run(
        self, statement: Executable, parameters: Parameters, constraint_errors: ConstraintErrors | None = None
    ) -> Rows:
        if self._kept:
            return await self._send(BatchedStatement(statement, parameters, constraint_errors))
        return await (await self._open()).run(statement, parameters)

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        if self._kept:
            await self._send()
        await (await self._open()).spawn(Connection.execute, statement, rows)

    async def enqueue(self, step: BatchedStatement) -> None:
        self._kept.append(step)

    async def commit(self) -> None:
        if self._failed:
            raise RuntimeError("a statement failed, and those after it were never sent")
        if self._kept:
            await self._finish()
        else:
            await self._commit()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self._is_open and is_cancelled():
                # Its time is over: the server rolls back what it has lost the connection to.
                connection.discard_on_release()
                return
            if self._is_open and not connection.lost:
                await connection.roll_back()
        except BaseException:
            # Cancelled in the middle, for one: the server rolls back what it has lost the connection to.
            connection.discard_on_release()
            raise
        finally:
            self._pool.release(connection)

    async def _send(self, *last: BatchedStatement) -> Rows:
        """Send what is kept and `last`, and return what the last of these returned."""
        steps, self._kept = [*self._kept, *last], []
        self._failed = True
        connection = await self._open()
        rows = Rows((), -1)
        for batch in _batches(connection.dialect, steps):
            rows = await _run_batch(connection, batch)
        self._failed = False
        return rows

    async def _finish(self) -> None:
        """Send what is kept, and commit."""
        steps, self._kept = self._kept, []
        if self._connection is None and self._shared is not None and self._shared.accepts(steps):
            await self._shared.commit(steps)
            return
        connection = await self._open()
        *first, last = _batches(connection.dialect, steps)
        for batch in first:
            await _run_batch(connection, batch)
        if isinstance(last, Batch):
            try:
                ended = await _finish_batch(connection, last)
            except BatchedStatementFailed as failed:
                if not connection.lost or connection.was_demoted:
                    raise
                # The COMMIT went with it, and no answer came.
                doubt = CommitInDoubt()
                doubt.__cause__ = failed.__cause__
                raise BatchedStatementFailed(failed.step, failed.among) from doubt
            if ended:
                connection.forget_transaction()
                self._is_open = False
                return
        else:
            await _run_batch(connection, last)
        try:
            await self._commit()
        except CAUGHT as error:
            raise BatchedStatementFailed(None) from error

    async def _commit(self) -> None:
        if self._connection is not None:
            try:
                await self._connection.commit()
            except CAUGHT as error:
                if self._connection.lost and not self._connection.was_demoted:
                    raise CommitInDoubt from error
                raise
            self._is_open = False

    async def _open(self) -> PooledConnection:
        if self._connection is None:
            self._connection = self._pool.acquire_nowait() or await self._pool.acquire()
        # What is sent to begin, if anything, is sent with the first statement: the drivers see to that.
        self._is_open = True
        return self._connection


def _batches(dialect: SqlAlchemyDialect, steps: Sequence[BatchedStatement]) -> list[Batch | BatchedStatement]:
    """Return what goes together, in order; a step that SQLAlchemy must run goes by itself."""
    together = BATCH_RUNNERS[dialect.driver]
    found: list[Batch | BatchedStatement] = []
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


async def _run_batch(connection: PooledConnection, batch: Batch | BatchedStatement) -> Rows:
    if isinstance(batch, BatchedStatement):
        try:
            rows = await connection.run(batch.statement, batch.parameters)
        except CAUGHT as error:
            raise BatchedStatementFailed(batch) from error
        if rows.count == 0 and batch.on_no_match is not None:
            raise batch.on_no_match()
        return rows
    rows = await _judged(connection, batch, BATCH_RUNNERS[connection.dialect.driver].run(connection.link, batch))
    batch.check()
    return rows


async def _finish_batch(connection: PooledConnection, batch: Batch) -> bool:
    ended = await _judged(
        connection, batch, BATCH_RUNNERS[connection.dialect.driver].commit_batch(connection.link, batch)
    )
    batch.check()
    return ended


async def _judged(connection: PooledConnection, batch: Batch, running: Awaitable[R]) -> R:
    try:
        return await running
    except BaseException as error:  # noqa: BLE001 # it is raised again, be it a cancellation
        try:
            connection.fail(error, batch.sql)
        except CAUGHT as judged:
            raise BatchedStatementFailed(batch.failed, batch.steps) from judged
