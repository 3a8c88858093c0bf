"""How statements reach a SQLite file: what is short runs where it is asked for, what may wait runs in a thread.

A statement by key takes 5 to 20 µs in SQLite, and a hop to a thread and back 40 to 100, most of it on the event loop
and in waiting for the interpreter's lock, which a busy loop gives up every 5 ms. So:

- *Brief reads* (a look-up by key, a page along an index) run on the event loop, over a connection that only reads. In
  a write-ahead log they wait for nobody. A read that turns out to be long is broken off after so many steps and begun
  anew in a thread. All other reads run in threads from the start (`reads`).
- *Grouped use cases*, which wait for nothing but the database, run on the event loop too, one after the other, in one
  transaction. Then a thread commits, which is what takes time (a sync of the disk), and only then is any of them
  answered, and are commit listeners told. Whoever comes meanwhile is in the next group. So many writers
  share one sync, and the loop is never held for longer than a group may take (`groups`).
- *Other units of work* have the one connection for writing to themselves, from their first statement to their commit,
  and hop to the thread for each statement: they may wait for anything in between (`units`).
- *Waiting for another process's lock* happens in the thread (`writer`).

Where the disk is so slow that reading from it shows, nothing runs on the loop for a second: then a hop is what costs
least (`breaker`).
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Executable
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.sql.dialects.base import Limits
from adapters.sql.engine.fast.sqlite.group_commit import SqliteGroupCommit
from adapters.sql.engine.fast.sqlite.reads import SqliteReads
from adapters.sql.engine.fast.sqlite.slow_disk_breaker import SlowDiskBreaker
from adapters.sql.engine.fast.sqlite.units import ExclusiveUnit, GroupedUnit
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from adapters.sql.engine.port import Engine, Unit
from adapters.sql.rows import AnyRow, Parameters
from adapters.sql.sqlite_file import FileGuard, log_of

R = TypeVar("R")

_LOOK_SECONDS: Final = 0.5
"""How often to look whether the file is still there: for reads; a commit looks for itself."""
_QUIET_SECONDS: Final = 3.0
"""For how long nobody has written before the log is copied into the file, so that nobody waits for that."""
_LONG_LOG_BYTES: Final = 1 << 20


class SqliteEngine(Engine):
    """All connections of one process to one SQLite file; used from one event loop."""

    def __init__(self, guard: FileGuard, limits: Limits, *, connections: int, turn_seconds: float, full: bool) -> None:
        self.guard = guard
        self.breaker = SlowDiskBreaker()
        self.reads = SqliteReads(guard, limits, self.breaker, connections=connections, on_open=self._begin_to_look)
        self.writer = SqliteWriter(guard, limits, turn_seconds=turn_seconds, full=full, on_open=self._begin_to_look)
        self.groups = SqliteGroupCommit(self.writer, self.breaker)
        self._next_look: asyncio.TimerHandle | None = None
        self._shortening: asyncio.Task[None] | None = None
        self._shortened_at = 0.0

    async def fetch_all(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> Sequence[AnyRow]:
        if self.groups.current_job is not None:
            return self.writer.link.run(statement, parameters).rows
        if on_loop and (rows := self.reads.read_on_loop(statement, parameters)) is not None:
            return rows
        return await self.reads.read(statement, parameters)

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> AnyRow | None:
        # Most of these take no longer than another coroutine for them would.
        rows = self.reads.read_on_loop(statement, parameters) if on_loop and self.groups.current_job is None else None
        if rows is None:
            rows = await self.fetch_all(statement, parameters, on_loop=False)
        return rows[0] if rows else None

    def unit(self) -> Unit:
        job = self.groups.current_job
        return ExclusiveUnit(self.writer) if job is None else GroupedUnit(self.writer.link, job)

    async def run_in_group(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        return await self.groups.run(work)

    def _begin_to_look(self) -> None:
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """See whether the file is still there, and whether its log is long and at rest."""
        self._next_look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)
        self.guard.look()
        if self._shortening is None and not self.guard.is_lost and self._log_is_long():
            self._shortening = asyncio.get_running_loop().create_task(self._shorten_log(), name="shortening the log")

    def _log_is_long(self) -> bool:
        if self.writer.is_acquired or time.monotonic() - self._shortened_at < _QUIET_SECONDS:
            return False
        try:
            log = log_of(self.guard.path).stat()
        except OSError:
            return False
        return log.st_size > _LONG_LOG_BYTES and time.time() - log.st_mtime > _QUIET_SECONDS

    async def _shorten_log(self) -> None:
        try:
            await self.writer.shorten_log()
        except (sqlite3.Error, OSError, PoolTimeoutError):
            pass  # Somebody else is at it, or reads what would be cut: it is tried again.
        finally:
            self._shortened_at = time.monotonic()
            self._shortening = None

    async def dispose(self) -> None:
        """Let what is running end, and close every connection. It may be used again afterwards."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if self._shortening is not None:
            await asyncio.wait([self._shortening])
        await self.groups.drain()
        await self.reads.dispose()
        await self.writer.dispose()
