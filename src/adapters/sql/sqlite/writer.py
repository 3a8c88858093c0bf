"""The one connection by which a process writes to a SQLite file, the thread that waits for it, and whose turn it is."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.sql.dialects.base import Limits
from adapters.sql.sqlite.link import Link, is_busy, opened, raise_translatable

R = TypeVar("R")

_LOCK_POLL_SECONDS: Final = 0.001
"""SQLite's own waiting sleeps for up to 100 ms, and is overtaken by a process that writes all the time."""


class SqliteWriter:
    """Lends the write connection to one at a time: a group, or a unit of work. First come, first served."""

    def __init__(self, path: Path, limits: Limits, *, turn_seconds: float, full: bool) -> None:
        self._path = path
        self._limits = limits
        self._turn_seconds = turn_seconds
        self._full = full
        self._turn = asyncio.Lock()
        self._link: Link | None = None
        self._executor: ThreadPoolExecutor | None = None

    @property
    def is_lent(self) -> bool:
        return self._turn.locked()

    @property
    def link(self) -> Link:
        """The write connection. Raises `RuntimeError` when nothing was begun."""
        if self._link is None:
            raise RuntimeError("nothing was begun")
        return self._link

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
                if not is_busy(error):
                    raise_translatable(error, "BEGIN IMMEDIATE")
            else:
                return
        await self.in_thread(self._begin_waiting)

    async def in_thread(self, work: Callable[[], R]) -> R:
        """Do it in the writer's thread, after what was begun there before; it ends even if its caller hangs up."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "sqlite-write")
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, work))

    def _begin_waiting(self) -> None:
        if self._link is None:
            self._link = opened(self._path, read_only=False, wait=self._limits.lock, full=self._full)
            self._link.raw.execute("PRAGMA busy_timeout = 0")
        until = time.monotonic() + self._limits.lock
        while True:
            try:
                self._link.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > until:
                    raise_translatable(error, "BEGIN IMMEDIATE")
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return

    def commit(self) -> None:
        try:
            self.link.raw.execute("COMMIT")
        except sqlite3.Error as error:
            raise_translatable(error, "COMMIT")

    def roll_back(self) -> None:
        """Roll back what is begun, if anything is."""
        if self._link is not None and self._link.raw.in_transaction:
            try:
                self._link.raw.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise_translatable(error, "ROLLBACK")

    async def dispose(self) -> None:
        """Wait for the turn and close the connection. It may be used again afterwards."""
        await self.take_turn()
        try:
            if self._executor is not None:
                executor, self._executor = self._executor, None
                await asyncio.get_running_loop().run_in_executor(None, executor.shutdown)
            if self._link is not None:
                link, self._link = self._link, None
                link.close()
        finally:
            self._turn.release()
            self._turn = asyncio.Lock()  # the next one may live on another loop
