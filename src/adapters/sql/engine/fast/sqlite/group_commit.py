"""Use cases that run on the event loop one after the other, in one transaction, and share its commit in a thread.

Each must stand or fall by itself. A savepoint gives that, but SQLite then copies every page before the use case changes
it, and beyond 64 KiB to a file: a quarter of what publishing a post costs. So there is none at first. One that fails
after it has changed something (most fail before they do) spoils the group: all of it is rolled back and begun anew,
this time with a savepoint for each, and so is what comes within the next second.
"""

import asyncio
import contextvars
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.shared.cancellation import CancelledInCommit
from adapters.sql.engine.fast.sqlite.slow_disk_breaker import SlowDiskBreaker
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from adapters.sql.errors import CAUGHT

R = TypeVar("R")

_GROUP_SECONDS: Final = 0.005
_GROUP_SIZE: Final = 64
_SAVEPOINT_SECONDS: Final = 1.0
"""For how long after a group was spoilt everybody gets a savepoint: where that is common, it is not run into often."""


class _NeedsSavepoint(Exception):
    """Something that was not committed is among what was, and can only be rolled back with it."""


@dataclass(slots=True, eq=False)
class Job:
    """A use case that waits to be run in a group."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    future: "asyncio.Future[Any]"
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The caller's, which knows whose request it is."""
    with_savepoint: bool = False
    """Whether its units of work have savepoints."""
    needs_savepoint: bool = False
    """Whether one of them, without a savepoint, has changed something and did not commit it."""
    result: Any = None
    error: BaseException | None = None
    on_durable: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What is to be told of it when it is durable."""

    def restart(self) -> None:
        """Forget the run so far, which was rolled back; the next one can be rolled back by itself."""
        self.with_savepoint, self.needs_savepoint = True, False
        self.result = self.error = None
        self.on_durable.clear()

    def resolve(self) -> None:
        if self.future.done():  # Its caller hung up.
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class SqliteGroupCommit:
    """Runs what waits in groups, one after the other, and answers when they are durable."""

    def __init__(self, writer: SqliteWriter, breaker: SlowDiskBreaker) -> None:
        self._writer = writer
        self._breaker = breaker
        self._waiting: deque[Job] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._notifying: set[asyncio.Task[None]] = set()
        self._savepoints_until = 0.0
        self.current_job: Job | None = None
        """The job that is being run right now, in the very call that looks."""

    async def run(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a use case in the next group, or by itself when nothing is to run on the loop."""
        if self.current_job is not None or time.monotonic() < self._breaker.until:
            return await work()
        loop = asyncio.get_running_loop()
        job = Job(work, loop.create_future())
        self._waiting.append(job)
        if self._runner is None:
            self._runner = loop.create_task(self._run_groups())
        try:
            result: R = await job.future
        except asyncio.CancelledError:
            if job in self._waiting:  # It has not begun, and never will.
                raise
            raise CancelledInCommit from None
        return result

    async def _run_groups(self) -> None:
        """Run groups until nobody waits."""
        try:
            while self._waiting:
                try:
                    await self._writer.acquire()
                except PoolTimeoutError as error:
                    self._fail(self._waiting, error)
                    continue
                try:
                    await self._run_group()
                finally:
                    self._writer.release()
        except BaseException as error:
            # A defect, or the end of the process: nobody must wait for ever.
            self._fail(self._waiting, error)
            raise
        finally:
            self._runner = None

    async def _run_group(self) -> None:
        try:
            await self._writer.begin()
        except CAUGHT as error:
            self._fail(self._waiting, error)
            return
        group: deque[Job] = deque()
        try:
            await self._run_and_commit(group)
        except _NeedsSavepoint:
            self._savepoints_until = time.monotonic() + _SAVEPOINT_SECONDS
            for job in group:
                job.restart()
            self._waiting.extendleft(reversed(group))
            return
        except BaseException as error:
            self._fail(group, error)
            if not isinstance(error, CAUGHT):
                raise
            return
        notified = [job for job in group if job.on_durable]
        for job in group:
            if not job.on_durable:
                job.resolve()
        if notified:
            notifying = asyncio.get_running_loop().create_task(_notify(notified))
            self._notifying.add(notifying)
            notifying.add_done_callback(self._notifying.discard)

    async def _run_and_commit(self, group: deque[Job]) -> None:
        raw = self._writer.link.raw
        try:
            self._run_waiting(group, raw)
            await self._writer.in_thread(self._writer.commit)
        finally:
            if raw.in_transaction:
                await self._writer.in_thread(self._writer.roll_back)

    def _run_waiting(self, group: deque[Job], raw: sqlite3.Connection) -> None:
        """Move jobs to `group` and run them, for as long as the loop may be held up."""
        begun = time.monotonic()
        with_savepoint = begun < self._savepoints_until
        spent = 0.0
        while self._waiting and len(group) < _GROUP_SIZE and spent < _GROUP_SECONDS:
            job = self._waiting.popleft()
            if job.future.done():  # Its caller hung up before it began.
                continue
            job.with_savepoint = job.with_savepoint or with_savepoint
            group.append(job)
            self._drive(job)
            before, spent = spent, time.monotonic() - begun
            self._breaker.note(spent - before)
            if not raw.in_transaction:
                # SQLite gave the whole transaction up: the disk is full or broken.
                raise OSError("SQLite rolled the transaction back")
            if job.needs_savepoint:
                raise _NeedsSavepoint

    def _drive(self, job: Job) -> None:
        """Run a use case to its end, which it reaches without waiting, since what it waits for is done at once."""
        self.current_job = job
        coroutine = job.work()
        try:
            job.context.run(coroutine.send, None)
        except StopIteration as end:
            job.result = end.value
        except Exception as error:  # noqa: BLE001 # it goes to the caller
            job.error = error
        else:
            coroutine.close()
            job.error = RuntimeError("a grouped use case waited for something besides the database")
        finally:
            self.current_job = None

    def _fail(self, jobs: deque[Job], error: BaseException) -> None:
        while jobs:
            job = jobs.popleft()
            job.error = error
            job.resolve()

    async def drain(self) -> None:
        """Wait until nobody waits any more, and everybody was told."""
        while self._runner is not None or self._notifying:
            await asyncio.wait({*self._notifying, *(() if self._runner is None else (self._runner,))})


async def _notify(jobs: Sequence[Job]) -> None:
    """Tell of what is durable, and answer."""
    for job in jobs:
        try:
            for callback in job.on_durable:
                await callback()
        except Exception as error:  # noqa: BLE001 # it goes to the caller
            job.error = error
        job.resolve()
