"""Commits that units of work share on a database server, when they come at the same time.

Only those share one that have read nothing in their transaction and write what demands a row as it was seen
(`Step.row`), so that nothing but what they send decides on what becomes of them: it can be sent for many at once, and
sent once more after it was rolled back.

Each stands or falls by itself. One whose row was changed in between is left out, and told so. When the server refuses
anything, all of it is rolled back, and then each is sent by itself, so that only the one that is at fault fails. When
the connection is lost, nobody knows what was committed, and all who shared it are told so.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.servers.batches import BATCH_RUNNERS, Batch
from adapters.sql.engine.fast.servers.pool import ConnectionPool, PooledConnection
from adapters.sql.engine.port import BatchedStatement, BatchedStatementFailed
from adapters.sql.errors import CAUGHT, CommitInDoubt
from application.shared.errors import OutcomeUnknown

_MAX_GROUPS: Final = 4
"""Groups at the same time. With more, each would carry fewer; with one, the server would never have two to work on."""
_PATIENCE_SECONDS: Final = 0.25
"""What has been under way for longer waits for a lock, and does not count: it must not hold up others."""
_GROUP_SIZE: Final = 16
"""Units of work a group, at the most: each holds what it locks until all of them are written."""


class _Job:
    """What one unit of work has to commit."""

    __slots__ = ("batch", "done", "steps")

    def __init__(self, steps: Sequence[BatchedStatement], done: "asyncio.Future[None]") -> None:
        self.steps = steps
        self.done = done
        self.batch = Batch()

    def resolve(self, error: BaseException | None = None) -> None:
        if self.done.done():  # Its caller hung up.
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class ServerGroupCommit:
    """Commits at once what comes alone, and together what comes while that is under way."""

    def __init__(self, pool: ConnectionPool, alone: Callable[[Sequence[BatchedStatement]], Awaitable[None]]) -> None:
        """`alone` commits the steps of one unit of work."""
        self._pool = pool
        self._alone = alone
        self._waiting: deque[_Job] = deque()
        self._under_way: dict[asyncio.Task[None], float] = {}
        """What works, and since when on what it has now."""
        self._left: set[asyncio.Task[None]] = set()

    @staticmethod
    def accepts(steps: Sequence[BatchedStatement]) -> bool:
        """Whether a unit of work that has read nothing in its transaction, and says this, may share its commit."""
        return steps[0].row is not None

    async def commit(self, steps: Sequence[BatchedStatement]) -> None:
        """Commit these. Raises as `Unit.finish` does."""
        loop = asyncio.get_running_loop()
        job = _Job(steps, loop.create_future())
        self._waiting.append(job)
        self._begin()
        await job.done

    def _begin(self) -> None:
        now = time.monotonic()
        if sum(now - since < _PATIENCE_SECONDS for since in self._under_way.values()) < _MAX_GROUPS:
            task = asyncio.get_running_loop().create_task(self._work(), name="shared commits")
            self._under_way[task] = now
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if self._waiting and not task.cancelled():
            self._begin()  # It fell: others may still wait.

    async def _work(self) -> None:
        me = asyncio.current_task()
        while self._waiting:
            if me is not None:
                self._under_way[me] = time.monotonic()
            jobs: list[_Job] = []
            while self._waiting and len(jobs) < _GROUP_SIZE:
                if not (job := self._waiting.popleft()).done.done():
                    jobs.append(job)
            try:
                await self._commit_jobs(jobs)
            except CAUGHT as error:
                # The connection was lost while it was rolled back.
                for job in jobs:
                    job.resolve(_failed(error))
            except BaseException as error:
                # A defect, or the end of the process: nobody must wait for ever.
                for job in jobs:
                    job.resolve(error if isinstance(error, Exception) else OutcomeUnknown("the commit was given up"))
                raise

    async def _commit_jobs(self, jobs: list[_Job]) -> None:
        if len(jobs) < 2:  # one has nobody to share with
            for job in jobs:
                await self._commit_alone(job)
            return
        # Each takes a connection of its own, and waits for nobody else's locks.
        for job in await self._commit_together(jobs):
            left = asyncio.get_running_loop().create_task(self._commit_alone(job))
            self._left.add(left)
            left.add_done_callback(self._left.discard)

    async def _commit_alone(self, job: _Job) -> None:
        try:
            await self._alone(job.steps)
        except Exception as error:  # noqa: BLE001 # it goes to the caller
            job.resolve(error)
        except BaseException:
            job.resolve(OutcomeUnknown("the commit was given up"))
            raise
        else:
            job.resolve()

    async def _commit_together(self, jobs: list[_Job]) -> list[_Job]:
        """Commit those that can be committed together; return the others, who are to go by themselves."""
        try:
            connection = self._pool.acquire_nowait() or await self._pool.acquire()
        except CAUGHT as error:
            for job in jobs:
                job.resolve(error)
            return []
        left: list[_Job] = []
        try:
            for form, alike in _by_form(jobs, connection).items():
                if form is None or len(alike) == 1 or connection.lost or not await self._group(connection, alike):
                    left += alike
        except BaseException:
            # Cancelled in the middle, for one: the server rolls back what it has lost the connection to.
            connection.discard_on_release()
            raise
        finally:
            self._pool.release(connection)
        return left

    @staticmethod
    async def _group(connection: PooledConnection, jobs: list[_Job]) -> bool:
        """Commit these together; False when nothing was committed of any of them, and each is to go by itself."""
        # In one order for everybody, since each row is locked until the commit.
        jobs.sort(key=lambda job: job.steps[0].row.int if job.steps[0].row is not None else 0)
        batches = [job.batch for job in jobs]
        try:
            try:
                await BATCH_RUNNERS[connection.dialect.driver].commit_batches(connection.link, batches)
            except BaseException as error:  # noqa: BLE001 # it is raised again
                connection.fail(error, batches[0].sql)
        except CAUGHT as judged:
            if not connection.lost:
                await connection.roll_back()
                return False
            # Lost while it was committed, for all that is known; unless the server has said that it takes no writes.
            reason = judged if connection.was_demoted else _in_doubt(judged)
            for job in jobs:
                job.resolve(_failed(reason))
            return True
        connection.forget_transaction()
        for job in jobs:
            try:
                job.batch.check()
            except Exception as missed:  # noqa: BLE001 # it goes to the caller
                job.resolve(missed)
            else:
                job.resolve()
        return True


def _by_form(jobs: Sequence[_Job], connection: PooledConnection) -> dict[object, list[_Job]]:
    """Return them by what those have in common that can go together; under None those that cannot."""
    together = BATCH_RUNNERS[connection.dialect.driver]
    found: dict[object, list[_Job]] = {}
    for job in jobs:
        for step in job.steps:
            plan = compiled(step.statement, connection.dialect, step.parameters)
            if plan is None:
                break
            job.batch.add(step, plan)
        is_whole = len(job.batch.steps) == len(job.steps)
        found.setdefault(together.form(job.batch) if is_whole else None, []).append(job)
    return found


def _in_doubt(error: BaseException) -> CommitInDoubt:
    doubt = CommitInDoubt()
    doubt.__cause__ = error
    return doubt


def _failed(error: Any) -> BatchedStatementFailed:
    """Return what tells one of those who shared a commit that it failed, and why."""
    failed = BatchedStatementFailed(None)
    failed.__cause__ = error
    return failed
