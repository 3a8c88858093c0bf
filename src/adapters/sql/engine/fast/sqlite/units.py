"""Units of work on a SQLite file: one that has the write connection to itself, and one within a group."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import Executable

from adapters.shared.cancellation import is_cancelled
from adapters.sql.engine.fast.sqlite.connection import Link, raise_dbapi_error
from adapters.sql.engine.fast.sqlite.group_commit import Job
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from adapters.sql.engine.port import Unit
from adapters.sql.errors import ConstraintErrors
from adapters.sql.rows import Parameters, Rows


class ExclusiveUnit(Unit):
    """A unit of work that has the write connection to itself; each statement is a hop to the writer's thread."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._writer = writer
        self._has_turn = False
        self._begun = False

    async def run(
        self, statement: Executable, parameters: Parameters, constraint_errors: ConstraintErrors | None = None
    ) -> Rows:
        del constraint_errors
        await self._begin()
        return await self._writer.in_thread(lambda: self._writer.link.run(statement, parameters))

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        await self._begin()
        await self._writer.in_thread(lambda: _run_many(self._writer.link, statement, rows))

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
            await self._writer.acquire()
            self._has_turn = True
            await self._writer.begin()
            self._begun = True

    async def _end(self) -> None:
        try:
            await self._writer.in_thread(self._writer.roll_back)
        finally:
            self._writer.release()


class GroupedUnit(Unit):
    """A unit of work within a group: nothing that waits, and a savepoint only where the job is a careful one."""

    grouped = True

    def __init__(self, link: Link, job: Job) -> None:
        self._link = link
        self._job = job
        self._begun = False
        self._changes_before = 0

    async def run(
        self,
        statement: Executable,
        parameters: Parameters,
        constraint_errors: ConstraintErrors | None = None,  # noqa: ARG002 # as declared
    ) -> Rows:
        if not self._begun:
            self._begin()
        return self._link.run(statement, parameters)

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        self._begin()
        _run_many(self._link, statement, rows)

    async def commit(self) -> None:
        if self._begun:
            if self._job.with_savepoint:
                self._say("RELEASE unit")
            self._begun = False

    async def close(self) -> None:
        if self._begun and self._link.raw.in_transaction:
            if self._job.with_savepoint:
                self._say("ROLLBACK TO unit")
                self._say("RELEASE unit")
            elif self._link.raw.total_changes != self._changes_before:
                self._job.needs_savepoint = True
        self._begun = False

    def on_durable(self, callback: Callable[[], Awaitable[None]]) -> None:
        self._job.on_durable.append(callback)

    def _begin(self) -> None:
        if not self._begun:
            if self._job.with_savepoint:
                self._say("SAVEPOINT unit")
            else:
                self._changes_before = self._link.raw.total_changes
            self._begun = True

    def _say(self, sql: str) -> None:
        try:
            self._link.raw.execute(sql)
        except sqlite3.Error as error:
            raise_dbapi_error(error, sql)


def _run_many(link: Link, statement: Executable, rows: Sequence[Parameters]) -> None:
    for row in rows:
        link.run(statement, row)
