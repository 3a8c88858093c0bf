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
from adapters.sql.engine.fast.sqlite.slow_disk import Caution
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from adapters.sql.errors import CAUGHT

R = TypeVar("R")

_GROUP_SECONDS: Final = 0.005
_GROUP_SIZE: Final = 64
_CAREFUL_SECONDS: Final = 1.0
"""For how long after a group was spoilt everybody gets a savepoint: where that is common, it is not run into often."""


class _Spoilt(Exception):
    """Something that was not committed is among what was, and can only be rolled back with it."""


@dataclass(slots=True, eq=False)
class Job:
    """A use case that waits to be run in a group."""

    story: Callable[[], Coroutine[Any, Any, Any]]
    answer: "asyncio.Future[Any]"
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The caller's, which knows whose request it is."""
    careful: bool = False
    """Whether its units of work have savepoints."""
    spoilt: bool = False
    """Whether one of them, without a savepoint, has changed something and did not commit it."""
    result: Any = None
    error: BaseException | None = None
    news: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What is to be told of it when it is durable."""

    def begin_anew(self) -> None:
        """Forget the run so far, which was rolled back; the next one can be rolled back by itself."""
        self.careful, self.spoilt = True, False
        self.result = self.error = None
        self.news.clear()

    def settle(self) -> None:
        if self.answer.done():  # Its caller hung up.
            return
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class SqliteGroups:
    """Runs what waits in groups, one after the other, and answers when they are durable."""

    def __init__(self, writer: SqliteWriter, caution: Caution) -> None:
        self._writer = writer
        self._caution = caution
        self._waiting: deque[Job] = deque()
        self._leader: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._careful_until = 0.0
        self.driven: Job | None = None
        """The job that is being run right now, in the very call that looks."""

    async def run(self, story: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a use case in the next group, or by itself when nothing is to run on the loop."""
        if self.driven is not None or time.monotonic() < self._caution.until:
            return await story()
        loop = asyncio.get_running_loop()
        job = Job(story, loop.create_future())
        self._waiting.append(job)
        if self._leader is None:
            self._leader = loop.create_task(self._lead())
        try:
            answer: R = await job.answer
        except asyncio.CancelledError:
            if job in self._waiting:  # It has not begun, and never will.
                raise
            raise CancelledInCommit from None
        return answer

    async def _lead(self) -> None:
        """Run groups until nobody waits."""
        try:
            while self._waiting:
                try:
                    await self._writer.take_turn()
                except PoolTimeoutError as error:
                    self._fail(self._waiting, error)
                    continue
                try:
                    await self._run_group()
                finally:
                    self._writer.give_turn()
        except BaseException as error:
            # A defect, or the end of the process: nobody must wait for ever.
            self._fail(self._waiting, error)
            raise
        finally:
            self._leader = None

    async def _run_group(self) -> None:
        try:
            await self._writer.begin()
        except CAUGHT as error:
            self._fail(self._waiting, error)
            return
        group: deque[Job] = deque()
        try:
            await self._run_and_commit(group)
        except _Spoilt:
            self._careful_until = time.monotonic() + _CAREFUL_SECONDS
            for job in group:
                job.begin_anew()
            self._waiting.extendleft(reversed(group))
            return
        except BaseException as error:
            self._fail(group, error)
            if not isinstance(error, CAUGHT):
                raise
            return
        told = [job for job in group if job.news]
        for job in group:
            if not job.news:
                job.settle()
        if told:
            telling = asyncio.get_running_loop().create_task(_tell(told))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

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
        careful = begun < self._careful_until
        spent = 0.0
        while self._waiting and len(group) < _GROUP_SIZE and spent < _GROUP_SECONDS:
            job = self._waiting.popleft()
            if job.answer.done():  # Its caller hung up before it began.
                continue
            job.careful = job.careful or careful
            group.append(job)
            self._drive(job)
            before, spent = spent, time.monotonic() - begun
            self._caution.note(spent - before)
            if not raw.in_transaction:
                # SQLite gave the whole transaction up: the disk is full or broken.
                raise OSError("SQLite rolled the transaction back")
            if job.spoilt:
                raise _Spoilt

    def _drive(self, job: Job) -> None:
        """Run a use case to its end, which it reaches without waiting, since what it waits for is done at once."""
        self.driven = job
        coroutine = job.story()
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
            self.driven = None

    def _fail(self, jobs: deque[Job], error: BaseException) -> None:
        while jobs:
            job = jobs.popleft()
            job.error = error
            job.settle()

    async def finish(self) -> None:
        """Wait until nobody waits any more, and everybody was told."""
        while self._leader is not None or self._telling:
            await asyncio.wait({*self._telling, *(() if self._leader is None else (self._leader,))})


async def _tell(jobs: Sequence[Job]) -> None:
    """Tell of what is durable, and answer."""
    for job in jobs:
        try:
            for news in job.news:
                await news()
        except Exception as error:  # noqa: BLE001 # it goes to the caller
            job.error = error
        job.settle()
