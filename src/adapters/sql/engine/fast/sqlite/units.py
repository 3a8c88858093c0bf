"""Units of work on a SQLite file: one that has the write connection to itself, and one within a group."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Executable, Result
from sqlalchemy.orm import Session

from adapters.sql.cancelled import is_cancelled
from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.sqlite.connection import DIALECT, Link, executed, raise_translatable
from adapters.sql.engine.fast.sqlite.groups import Job
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from adapters.sql.engine.port import Unit
from adapters.sql.rows import Parameters, Rows, rows_of


class OwnUnit(Unit):
    """A unit of work that has the write connection to itself; each statement is a hop to the writer's thread."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._writer = writer
        self._session: Session | None = None
        self._has_turn = False
        self._begun = False

    async def execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        await self._begin()
        return await self._writer.in_thread(partial(self._execute, statement, parameters))

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        await self._begin()
        return await self._writer.in_thread(partial(self._run, statement, parameters))

    async def commit(self) -> None:
        if self._begun:
            await self._writer.in_thread(self._writer.commit)

    async def close(self) -> None:
        if self._has_turn:
            self._has_turn = False
            # Whoever closes may be cancelled in the middle; the turn is given only when the connection is free.
            ending = asyncio.ensure_future(self._end())
            if is_cancelled():
                # Its time is over: it does not wait for a thread that waits for a lock.
                self._writer.leave(ending)
            else:
                await asyncio.shield(ending)

    async def _begin(self) -> None:
        if not self._begun:
            await self._writer.take_turn()
            self._has_turn = True
            await self._writer.begin()
            self._begun = True

    async def _end(self) -> None:
        try:
            await self._writer.in_thread(self._clean_up)
        finally:
            self._writer.give_turn()

    def _clean_up(self) -> None:
        if self._session is not None:
            self._session.close()
        self._writer.roll_back()

    def _execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        return executed(self._opened(), statement, parameters)

    def _run(self, statement: Executable, parameters: Parameters) -> Rows:
        plan = compiled(statement, DIALECT, parameters)
        if plan is not None:
            return self._writer.link.run(plan, parameters)
        return rows_of(executed(self._opened(), statement, parameters))

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._writer.link.session()
        return self._session


class GroupedUnit(Unit):
    """A unit of work within a group: nothing that waits, and a savepoint only where the job is a careful one."""

    grouped = True

    def __init__(self, link: Link, job: Job) -> None:
        self._link = link
        self._job = job
        self._session: Session | None = None
        self._begun = False
        self._changes_before = 0

    async def execute(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result[Any]:
        self._begin()
        return executed(self._opened(), statement, parameters)

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        if not self._begun:
            self._begin()
        plan = compiled(statement, DIALECT, parameters)
        if plan is not None:
            return self._link.run(plan, parameters)
        return rows_of(executed(self._opened(), statement, parameters))

    async def commit(self) -> None:
        if self._begun:
            if self._job.careful:
                self._say("RELEASE unit")
            self._begun = False

    async def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._begun and self._link.raw.in_transaction:
            if self._job.careful:
                self._say("ROLLBACK TO unit")
                self._say("RELEASE unit")
            elif self._link.raw.total_changes != self._changes_before:
                self._job.spoilt = True
        self._begun = False

    def defer(self, news: Callable[[], Awaitable[None]]) -> None:
        self._job.news.append(news)

    def _begin(self) -> None:
        if not self._begun:
            if self._job.careful:
                self._say("SAVEPOINT unit")
            else:
                self._changes_before = self._link.raw.total_changes
            self._begun = True

    def _say(self, sql: str) -> None:
        try:
            self._link.raw.execute(sql)
        except sqlite3.Error as error:
            raise_translatable(error, sql)

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._link.session()
        return self._session
