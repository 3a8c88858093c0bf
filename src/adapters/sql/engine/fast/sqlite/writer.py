"""The one connection by which a process writes to a SQLite file, the thread that waits for it, and whose turn it is."""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.shared.cancellation import detach
from adapters.sql.dialects.base import Limits
from adapters.sql.engine.fast.sqlite.connection import (
    Link,
    dbapi_error,
    error_name,
    is_busy,
    opened,
    raise_dbapi_error,
)
from adapters.sql.errors import CommitInDoubt
from adapters.sql.sqlite_file import FileGone, FileGuard, file_id, log_of

R = TypeVar("R")

_LOCK_POLL_SECONDS: Final = 0.001
"""SQLite's own waiting sleeps for up to 100 ms, and is overtaken by a process that writes all the time."""


class SqliteWriter:
    """Lends the write connection to one at a time: a group, or a unit of work. First come, first served."""

    def __init__(
        self,
        guard: FileGuard,
        limits: Limits,
        *,
        turn_seconds: float,
        full: bool,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_open` is called on the loop, before the connection is opened."""
        self._guard = guard
        self._log: FileGuard | None = None
        """Knows the log of the connection, which is there as long as anybody has the file open; None before."""
        self._on_open = on_open
        self._limits = limits
        self._turn_seconds = turn_seconds
        self._full = full
        self._turn = asyncio.Lock()
        self._left: set[asyncio.Future[None]] = set()
        self._link: Link | None = None
        self._executor: ThreadPoolExecutor | None = None

    @property
    def is_acquired(self) -> bool:
        return self._turn.locked()

    @property
    def link(self) -> Link:
        """The write connection. Raises `RuntimeError` when nothing was begun."""
        if self._link is None:
            raise RuntimeError("nothing was begun")
        return self._link

    async def acquire(self) -> None:
        """Wait for the write connection. Raises `PoolTimeoutError`."""
        if not self._turn.locked():
            await self._turn.acquire()
            return
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            raise PoolTimeoutError("other writers kept the connection for too long") from error

    def leave(self, ending: "asyncio.Future[None]") -> None:
        """Have what gives the turn back, in the end, go on without anybody who waits for it."""
        self._left.add(ending)
        ending.add_done_callback(self._left.discard)
        detach(ending)

    def release(self) -> None:
        self._turn.release()

    async def begin(self) -> None:
        """Begin to write; what waits for another process does so in the thread."""
        if self._link is not None and not self._guard.is_lost:
            try:
                self._link.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                pass  # The thread waits for the lock, or finds out what it is.
            else:
                return
        try:
            await self.in_thread(self._begin_waiting)
        except DBAPIError as error:
            if error_name(error.orig).startswith("SQLITE_READONLY"):
                self._guard.reopen()
            raise

    async def in_thread(self, work: Callable[[], R]) -> R:
        """Do it in the writer's thread, after what was begun there before; it ends even if its caller hangs up."""
        if self._executor is None:
            self._on_open()
            self._executor = ThreadPoolExecutor(1, "sqlite-write")
        running = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            detach(running)
            raise

    def _begin_waiting(self) -> None:
        if self._guard.known is not None:
            self._guard.require_same_file()
        is_new = self._link is None
        link = self._link = self._link or self._opened()
        until = time.monotonic() + self._limits.lock
        while True:
            try:
                link.raw.execute("BEGIN IMMEDIATE")
                if is_new:
                    # Changes nothing, and fails where the file was opened to be read only, which BEGIN does not.
                    link.raw.execute("PRAGMA incremental_vacuum(1)").fetchall()
            except sqlite3.Error as error:
                if not is_busy(error):
                    # One that was opened while the file could not be written stays so.
                    self._let_go()
                    raise_dbapi_error(error, "BEGIN IMMEDIATE")
                if time.monotonic() > until:
                    raise_dbapi_error(error, "BEGIN IMMEDIATE")
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                break
        if self._log is None and file_id(log := log_of(self._guard.path)) is not None:
            self._log = FileGuard(log)
            self._log.require_same_file()

    def _opened(self) -> Link:
        link = opened(self._guard.path, read_only=False, wait=self._limits.lock, full=self._full)
        try:
            self._guard.require_same_file()
        except OSError:
            link.close()
            raise
        link.raw.execute("PRAGMA busy_timeout = 0")
        return link

    def _let_go(self) -> None:
        link, self._link, self._log = self._link, None, None
        if link is not None:
            link.close()

    def commit(self) -> None:
        """Commit, and make sure that it is in the file that is in its place. Raises `CommitInDoubt` when it may not
        be.
        """
        try:
            self.link.raw.execute("COMMIT")
        except sqlite3.Error as error:
            failure = dbapi_error(error, "COMMIT")
            if error_name(error).startswith("SQLITE_IOERR"):
                # What was written of it to the log may be all of it.
                raise CommitInDoubt from failure
            raise failure from error
        try:
            self._guard.require_same_file()
            if self._log is not None:
                self._log.require_same_file()
        except FileGone as gone:
            # It is in a file that may be brought back.
            raise CommitInDoubt from gone

    async def shorten_log(self) -> None:
        """Copy the log into the file and cut it, unless somebody else writes or does the same."""
        if self._link is not None and not self.is_acquired:
            await self.acquire()
            try:
                await self.in_thread(self._checkpoint)
            finally:
                self.release()

    def _checkpoint(self) -> None:
        if self._link is None or self._guard.is_lost:
            return
        # A lock on the folder keeps the other workers from doing the same at once. SQLite up to 3.51.2 can damage the
        # file when one checkpoint follows another while somebody begins the log anew (sqlite.org/wal.html, "the
        # WAL-reset bug"). The lock is not on the file itself: letting go of it would let go of SQLite's own.
        folder = os.open(self._guard.path.absolute().parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._link.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            os.close(folder)

    def roll_back(self) -> None:
        """Roll back what is begun, if anything is."""
        if self._link is not None and self._link.raw.in_transaction:
            try:
                self._link.raw.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise_dbapi_error(error, "ROLLBACK")

    async def dispose(self) -> None:
        """Wait for the turn and close the connection. It may be used again afterwards."""
        await self.acquire()
        try:
            if self._executor is not None:
                executor, self._executor = self._executor, None
                await asyncio.get_running_loop().run_in_executor(None, executor.shutdown)
            if self._link is not None:
                self._let_go()
        finally:
            self._turn.release()
            self._turn = asyncio.Lock()  # the next one may live on another loop
