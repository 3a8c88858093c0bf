"""Reads of a SQLite file that belong to no unit of work: brief ones on the event loop, all others in threads."""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError

from adapters.sql.dialects.base import Limits
from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.sqlite.connection import DIALECT, Link, opened
from adapters.sql.engine.fast.sqlite.slow_disk_breaker import SlowDiskBreaker
from adapters.sql.rows import AnyRow, Parameters
from adapters.sql.sqlite_file import FileGone, FileGuard

_READERS: Final = 4
"""Threads for reads that are not brief, at the most: more only take turns at the interpreter's lock."""
_BRIEF_STEPS: Final = 20_000
"""Steps of SQLite's virtual machine until a read on the loop is broken off: about a millisecond; a page takes 800."""


class SqliteReads:
    """The connections that only read; none is opened before it is needed."""

    def __init__(
        self,
        guard: FileGuard,
        limits: Limits,
        breaker: SlowDiskBreaker,
        *,
        connections: int,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_open` is called on the loop, before the first connection is opened."""
        self._guard = guard
        self._on_open = on_open
        self._limits = limits
        self._breaker = breaker
        self._threads = max(1, min(_READERS, connections - 1))
        self._brief_link: Link | None = None
        self._idle: deque[Link] = deque()
        self._age = 0
        """How often all connections were let go of."""
        guard.when_reopened(self._let_go)
        self._executor: ThreadPoolExecutor | None = None
        self.under_way = 0
        """How many reads are in threads, or wait for one."""

    async def read(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        """Read in a thread."""
        if self._executor is None:
            self._on_open()
            self._executor = ThreadPoolExecutor(self._threads, "sqlite-read")
        self.under_way += 1
        try:
            work = partial(self.read_in_thread, statement, parameters)
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self.under_way -= 1

    def read_on_loop(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow] | None:
        """Read on the loop; None when that is not to be."""
        plan = compiled(statement, DIALECT, parameters)
        begun = time.monotonic()
        if plan is None or begun < self._breaker.until or self._guard.is_lost:
            return None
        try:
            link = self._brief_link
            if link is None:
                # wait=0: the loop never sleeps in here.
                self._on_open()
                link = self._brief_link = self._opened(wait=0)
            link.limit_steps(_BRIEF_STEPS)
            fetched = link.raw.execute(plan.sql, plan.bind(parameters)).fetchall()
        except (sqlite3.Error, DBAPIError, FileGone):
            # Too long, locked for a moment (recovery after a crash), or not there: a thread finds out.
            return None
        self._breaker.note(time.monotonic() - begun)
        return plan.rows(fetched)

    def read_in_thread(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        """Read in whatever thread this is, within the time that a statement has. Raises `FileGone`."""
        if self._guard.known is not None:
            self._guard.require_same_file()
        age = self._age
        try:
            link = self._idle.pop()
        except IndexError:
            link = self._opened(wait=self._limits.lock)
        try:
            link.limit_seconds(self._limits.statement)
            return link.run(statement, parameters).rows
        finally:
            if age == self._age:
                self._idle.append(link)
            else:
                link.close()

    def _opened(self, *, wait: float) -> Link:
        link = opened(self._guard.path, read_only=True, wait=wait)
        try:
            self._guard.require_same_file()
        except FileGone:
            link.close()  # It leads to another file, which must not be read even when ours is back.
            raise
        return link

    async def dispose(self) -> None:
        """Let what is running end, and close every connection."""
        if self._executor is not None:
            executor, self._executor = self._executor, None
            await asyncio.get_running_loop().run_in_executor(None, executor.shutdown)
        self._let_go()

    def _let_go(self) -> None:
        self._age += 1
        brief, self._brief_link = self._brief_link, None
        if brief is not None:
            brief.close()
        while self._idle:
            with suppress(IndexError):  # A thread was faster.
                self._idle.popleft().close()
