"""How statements reach a SQLite file: what is short runs where it is asked for, what may wait runs in a thread.

A statement by key takes 5 to 20 µs in SQLite, and a hop to a thread and back 40 to 100, most of it on the event loop
and in waiting for the interpreter's lock, which a busy loop gives up every 5 ms. So:

- *Brief reads* (a look-up by key, a page along an index) run on the event loop, over a connection that only reads. In
  a write-ahead log they wait for nobody. A read that turns out to be long is broken off after so many steps and begun
  anew in a thread. All other reads run in threads from the start.
- *Grouped use cases*, which wait for nothing but the database, run on the event loop too, one after the other, each in
  a savepoint of one transaction. Then a thread commits, which is what takes time (a sync of the disk), and only then
  is any of them answered, and are commit listeners told. Whoever comes meanwhile is in the next group. So many writers
  share one sync, and the loop is never held for longer than `_GROUP_SECONDS`.
- *Other units of work* have the one connection for writing to themselves, from their first statement to their commit,
  and hop to the thread for each statement: they may wait for anything in between.
- *Waiting for another process's lock* happens in the thread.

Where the disk is so slow that reading from it shows (`_SLOW_SCORE`), nothing runs on the loop for a second: then a
hop is what costs least.

Whoever holds `_turn` has the write connection: a group, or one unit of work. It is fair: first come, first served.
"""

import asyncio
import contextvars
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from sqlalchemy import Connection, Executable, Result, create_engine
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from adapters.sql.compiled import AnyRow, Compiled, Parameters, Rows, compiled, rows_of
from adapters.sql.connections import Connections, Unit
from adapters.sql.dialects.base import Limits

R = TypeVar("R")

_DIALECT: Final = pysqlite.dialect()
_READERS: Final = 4
"""Threads for reads that are not brief, at the most: more only take turns at the interpreter's lock."""
_BRIEF_STEPS: Final = 20_000
"""Steps of SQLite's virtual machine until a read on the loop is broken off: about a millisecond; a page takes 800."""
_STEPS_BETWEEN_LOOKS: Final = 100_000
_SLOW_SECONDS: Final = 0.005
_SLOW_SCORE: Final = 16
"""Four in a row, or more than one of five: a machine that is merely busy interrupts us, too, but not that often."""
_CAUTION_SECONDS: Final = 1.0
_GROUP_SECONDS: Final = 0.005
_GROUP_SIZE: Final = 64
_LOCK_POLL_SECONDS: Final = 0.001
"""SQLite's own waiting sleeps for up to 100 ms, and is overtaken by a process that writes all the time."""
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")


class _Link:
    """One connection to the file, for one user at a time."""

    def __init__(self, path: Path, *, read_only: bool, full: bool, wait: float) -> None:
        # isolation_level=None: the driver begins nothing by itself.
        self.raw = sqlite3.connect(
            path, timeout=wait, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        self._deadline = 0.0
        self._looks = 0
        if read_only:
            self.raw.execute("PRAGMA query_only = ON")
        else:
            self.raw.execute("PRAGMA journal_mode = WAL")
            self.raw.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self.raw.execute("PRAGMA foreign_keys = ON")
            # Now: to say AUTOCOMMIT, which SQLAlchemy does once, makes the driver commit what is begun.
            _ = self._connection

    def run(self, plan: Compiled, parameters: Parameters) -> Rows:
        values = plan.bind(parameters)
        try:
            cursor = self.raw.execute(plan.sql, values)
            return Rows(plan.rows(cursor.fetchall()) if plan.returns_rows else (), cursor.rowcount)
        except sqlite3.Error as error:
            _raise(error, plan.sql)

    def session(self) -> Session:
        return Session(self._connection, autoflush=False, expire_on_commit=False)

    def limit_steps(self, steps: int) -> None:
        """Break the next statement off after so many steps, or up to twice as many."""
        if not self._looks:
            self.raw.set_progress_handler(self._looked_too_often, steps)
        # SQLite counts the steps of a statement over all its runs, so the first look may come at any time.
        self._looks = 2

    def _looked_too_often(self) -> bool:
        self._looks -= 1
        return self._looks <= 0

    def limit_seconds(self, seconds: float) -> None:
        """Break every statement off that takes longer than `seconds` after this."""
        if not self._deadline:
            self.raw.set_progress_handler(lambda: time.monotonic() > self._deadline, _STEPS_BETWEEN_LOOKS)
        self._deadline = time.monotonic() + seconds

    def close(self) -> None:
        if "_connection" in self.__dict__:
            self._connection.close()
        self.raw.close()

    @cached_property
    def _connection(self) -> Connection:
        # For statements whose text depends on their values, and for ORM entities. It neither begins nor commits.
        engine = create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self.raw,
            poolclass=StaticPool,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        return engine.connect()


def _raise(error: sqlite3.Error, sql: str) -> NoReturn:
    raise DBAPIError.instance(sql, None, error, sqlite3.Error, dialect=_DIALECT) from error


def _is(error: sqlite3.Error, *names: str) -> bool:
    return (getattr(error, "sqlite_errorname", None) or "").startswith(names)


@dataclass(slots=True, eq=False)
class _Job:
    """A use case that waits to be run in a group."""

    story: Callable[[], Coroutine[Any, Any, Any]]
    answer: "asyncio.Future[Any]"
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The caller's, which knows whose request it is."""
    result: Any = None
    error: BaseException | None = None
    news: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What is to be told of it when it is durable."""

    def settle(self) -> None:
        if self.answer.done():  # Its caller hung up.
            return
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class SqliteFile(Connections):
    """All connections of one process to one SQLite file; used from one event loop."""

    def __init__(self, path: Path, limits: Limits, *, connections: int, turn_seconds: float, full: bool) -> None:
        self._path = path
        self._limits = limits
        self._connections = connections
        self._turn_seconds = turn_seconds
        self._full = full
        self._slow = 0
        self._cautious_until = 0.0
        # Reading
        self._brief_link: _Link | None = None
        self._idle: deque[_Link] = deque()
        self._reading = 0
        self._readers: ThreadPoolExecutor | None = None
        # Writing
        self._turn = asyncio.Lock()
        self._link: _Link | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._waiting: deque[_Job] = deque()
        self._leader: asyncio.Task[None] | None = None
        self._driven: _Job | None = None
        """The job that is being run right now, in the very call that looks."""
        self._telling: set[asyncio.Task[None]] = set()

    # Reading

    async def fetch_all(self, statement: Executable, parameters: Parameters, *, brief: bool) -> Sequence[AnyRow]:
        if self._driven is not None:
            return self._read(self.link, statement, parameters)
        if brief and (rows := self._read_briefly(statement, parameters)) is not None:
            return rows
        return await self._in_reader(partial(self._read_in_thread, statement, parameters))

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, brief: bool) -> AnyRow | None:
        rows = await self.fetch_all(statement, parameters, brief=brief)
        return rows[0] if rows else None

    def _read_briefly(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow] | None:
        """Read on the loop; None when that is not to be."""
        plan = compiled(statement, _DIALECT, parameters)
        begun = time.monotonic()
        if plan is None or begun < self._cautious_until:
            return None
        try:
            # timeout=0: the loop never sleeps in here.
            link = self._brief_link
            if link is None:
                link = self._brief_link = _Link(self._path, read_only=True, full=self._full, wait=0)
            link.limit_steps(_BRIEF_STEPS)
            fetched = link.raw.execute(plan.sql, plan.bind(parameters)).fetchall()
        except sqlite3.Error:
            # Too long, locked for a moment (recovery after a crash), or not there: a thread finds out.
            return None
        self._note(time.monotonic() - begun)
        return plan.rows(fetched)

    def _read_in_thread(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        try:
            link = self._idle.pop()
        except IndexError:
            link = self._opened(read_only=True)
        try:
            link.limit_seconds(self._limits.statement)
            return self._read(link, statement, parameters)
        finally:
            self._idle.append(link)

    @staticmethod
    def _read(link: _Link, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        plan = compiled(statement, _DIALECT, parameters)
        if plan is not None:
            return link.run(plan, parameters).rows
        with link.session() as session:
            return session.execute(statement, dict(parameters)).all()

    async def _in_reader(self, work: Callable[[], R]) -> R:
        if self._readers is None:
            self._readers = ThreadPoolExecutor(max(1, min(_READERS, self._connections - 1)), "sqlite-read")
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        finally:
            self._reading -= 1

    def _note(self, seconds: float) -> None:
        if seconds <= _SLOW_SECONDS:
            self._slow = max(0, self._slow - 1)
            return
        self._slow += 4
        if self._slow >= _SLOW_SCORE:
            self._slow = 0
            self._cautious_until = time.monotonic() + _CAUTION_SECONDS

    # Writing, together

    async def grouped(self, story: Callable[[], Coroutine[Any, Any, R]]) -> R:
        if self._driven is not None or time.monotonic() < self._cautious_until:
            return await story()
        loop = asyncio.get_running_loop()
        job = _Job(story, loop.create_future())
        self._waiting.append(job)
        if self._leader is None:
            self._leader = loop.create_task(self._lead())
        answer: R = await job.answer
        return answer

    async def _lead(self) -> None:
        """Run groups until nobody waits."""
        try:
            while self._waiting:
                try:
                    await self.take_turn()
                except PoolTimeoutError as error:
                    self._fail(self._waiting, error)
                    continue
                try:
                    await self._run_group()
                finally:
                    self._turn.release()
        except BaseException as error:
            # A defect, or the end of the process: nobody must wait for ever.
            self._fail(self._waiting, error)
            raise
        finally:
            self._leader = None

    async def _run_group(self) -> None:
        try:
            await self.begin()
        except (DBAPIError, OSError) as error:
            self._fail(self._waiting, error)
            return
        group: deque[_Job] = deque()
        try:
            await self._run_and_commit(group)
        except BaseException as error:
            self._fail(group, error)
            if not isinstance(error, (DBAPIError, OSError)):
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

    async def _run_and_commit(self, group: deque[_Job]) -> None:
        begun = time.monotonic()
        spent = 0.0
        while self._waiting and len(group) < _GROUP_SIZE and spent < _GROUP_SECONDS:
            job = self._waiting.popleft()
            if job.answer.done():  # Its caller hung up before it began.
                continue
            self._drive(job)
            group.append(job)
            before, spent = spent, time.monotonic() - begun
            self._note(spent - before)
            if not self.link.raw.in_transaction:
                # SQLite gave the whole transaction up: the disk is full or broken.
                raise OSError("SQLite rolled the transaction back")
        try:
            await self.in_writer(self.commit)
        finally:
            if self.link.raw.in_transaction:
                await self.in_writer(self.roll_back)

    def _drive(self, job: _Job) -> None:
        """Run a use case to its end, which it reaches without waiting, since what it waits for is done at once."""
        self._driven = job
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
            self._driven = None

    def _fail(self, jobs: deque[_Job], error: BaseException) -> None:
        while jobs:
            job = jobs.popleft()
            job.error = error
            job.settle()

    # Writing: what groups and units of work have in common

    def unit(self) -> Unit:
        return _OwnUnit(self) if self._driven is None else _GroupedUnit(self.link, self._driven)

    async def take_turn(self) -> None:
        """Wait for the write connection. Raises `PoolTimeoutError`."""
        if not self._turn.locked():
            await self._turn.acquire()
            return
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            raise PoolTimeoutError from error

    def give_turn(self) -> None:
        self._turn.release()

    async def begin(self) -> None:
        """Begin to write; what waits for another process does so in the thread."""
        if self._link is not None:
            try:
                self._link.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is(error, *_BUSY):
                    _raise(error, "BEGIN IMMEDIATE")
            else:
                return
        await self.in_writer(self._begin_waiting)

    async def in_writer(self, work: Callable[[], R]) -> R:
        """Do it in the writer's thread, after what was begun there before; it ends even if its caller hangs up."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "sqlite-write")
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, work))

    def _begin_waiting(self) -> None:
        if self._link is None:
            self._link = self._opened(read_only=False)
            self._link.raw.execute("PRAGMA busy_timeout = 0")
        until = time.monotonic() + self._limits.lock
        while True:
            try:
                self._link.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is(error, *_BUSY) or time.monotonic() > until:
                    _raise(error, "BEGIN IMMEDIATE")
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return

    def commit(self) -> None:
        try:
            self.link.raw.execute("COMMIT")
        except sqlite3.Error as error:
            _raise(error, "COMMIT")

    def roll_back(self) -> None:
        """Roll back what is begun, if anything is."""
        if self._link is not None and self._link.raw.in_transaction:
            try:
                self._link.raw.execute("ROLLBACK")
            except sqlite3.Error as error:
                _raise(error, "ROLLBACK")

    @property
    def link(self) -> _Link:
        """The write connection. Raises `RuntimeError` when nothing was begun."""
        if self._link is None:
            raise RuntimeError("nothing was begun")
        return self._link

    def _opened(self, *, read_only: bool) -> _Link:
        try:
            return _Link(self._path, read_only=read_only, full=self._full, wait=self._limits.lock)
        except sqlite3.Error as error:
            _raise(error, "PRAGMA journal_mode")

    async def dispose(self) -> None:
        """Let what is running end, and close every connection. It may be used again afterwards."""
        while self._leader is not None or self._telling:
            await asyncio.wait({*self._telling, *(() if self._leader is None else (self._leader,))})
        loop = asyncio.get_running_loop()
        await self.take_turn()
        try:
            for name in ("_readers", "_writer"):
                executor: ThreadPoolExecutor | None = getattr(self, name)
                if executor is not None:
                    setattr(self, name, None)
                    await loop.run_in_executor(None, executor.shutdown)
            links = [*self._idle, *(link for link in (self._brief_link, self._link) if link is not None)]
            self._idle.clear()
            self._brief_link = self._link = None
            for link in links:
                link.close()
        finally:
            self._turn.release()
            self._turn = asyncio.Lock()  # the next one may live on another loop


async def _tell(jobs: Sequence[_Job]) -> None:
    """Tell of what is durable, and answer."""
    for job in jobs:
        try:
            for news in job.news:
                await news()
        except Exception as error:  # noqa: BLE001 # it goes to the caller
            job.error = error
        job.settle()


class _OwnUnit(Unit):
    """A unit of work that has the write connection to itself; each statement is a hop to the writer's thread."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._session: Session | None = None
        self._has_turn = False
        self._begun = False

    async def execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        await self._begin()
        return await self._file.in_writer(partial(self._execute, statement, parameters))

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        await self._begin()
        return await self._file.in_writer(partial(_run, self._file.link, statement, parameters, self._opened))

    async def commit(self) -> None:
        if self._begun:
            await self._file.in_writer(self._file.commit)

    async def close(self) -> None:
        if self._has_turn:
            self._has_turn = False
            # Whoever closes may be cancelled in the middle; the turn is given only when the connection is free.
            await asyncio.shield(asyncio.ensure_future(self._end()))

    async def _begin(self) -> None:
        if not self._begun:
            await self._file.take_turn()
            self._has_turn = True
            await self._file.begin()
            self._begun = True

    async def _end(self) -> None:
        try:
            await self._file.in_writer(self._clean_up)
        finally:
            self._file.give_turn()

    def _clean_up(self) -> None:
        if self._session is not None:
            self._session.close()
        self._file.roll_back()

    def _execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        return _executed(self._opened(), statement, parameters)

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._file.link.session()
        return self._session


class _GroupedUnit(Unit):
    """A unit of work within a group: a savepoint, and nothing that waits."""

    grouped = True

    def __init__(self, link: _Link, job: _Job) -> None:
        self._link = link
        self._job = job
        self._session: Session | None = None
        self._begun = False

    async def execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        self._begin()
        return _executed(self._opened(), statement, parameters)

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        self._begin()
        return _run(self._link, statement, parameters, self._opened)

    async def commit(self) -> None:
        if self._begun:
            self._say("RELEASE unit")
            self._begun = False

    async def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._begun and self._link.raw.in_transaction:
            self._say("ROLLBACK TO unit")
            self._say("RELEASE unit")
        self._begun = False

    def defer(self, news: Callable[[], Awaitable[None]]) -> None:
        self._job.news.append(news)

    def _begin(self) -> None:
        if not self._begun:
            self._say("SAVEPOINT unit")
            self._begun = True

    def _say(self, sql: str) -> None:
        try:
            self._link.raw.execute(sql)
        except sqlite3.Error as error:
            _raise(error, sql)

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._link.session()
        return self._session


def _run(link: _Link, statement: Executable, parameters: Parameters, session: Callable[[], Session]) -> Rows:
    plan = compiled(statement, _DIALECT, parameters)
    if plan is not None:
        return link.run(plan, parameters)
    return rows_of(_executed(session(), statement, parameters))


def _executed(session: Session, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
    # Buffered, so that nobody steps through a statement of a connection that is another's by then.
    return session.execute(statement, parameters, execution_options={"prebuffer_rows": True})
