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
least (`caution`).
"""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable

from adapters.sql.compiled import AnyRow, Parameters
from adapters.sql.connections import Connections, Unit
from adapters.sql.dialects.base import Limits
from adapters.sql.sqlite.caution import Caution
from adapters.sql.sqlite.groups import SqliteGroups
from adapters.sql.sqlite.reads import SqliteReads
from adapters.sql.sqlite.units import GroupedUnit, OwnUnit
from adapters.sql.sqlite.writer import SqliteWriter

R = TypeVar("R")


class SqliteFile(Connections):
    """All connections of one process to one SQLite file; used from one event loop."""

    def __init__(self, path: Path, limits: Limits, *, connections: int, turn_seconds: float, full: bool) -> None:
        self.caution = Caution()
        self.reads = SqliteReads(path, limits, self.caution, connections=connections)
        self.writer = SqliteWriter(path, limits, turn_seconds=turn_seconds, full=full)
        self.groups = SqliteGroups(self.writer, self.caution)

    async def fetch_all(self, statement: Executable, parameters: Parameters, *, brief: bool) -> Sequence[AnyRow]:
        if self.groups.driven is not None:
            return self.writer.link.read(statement, parameters)
        if brief and (rows := self.reads.read_briefly(statement, parameters)) is not None:
            return rows
        return await self.reads.read(statement, parameters)

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, brief: bool) -> AnyRow | None:
        # Most of these take no longer than another coroutine for them would.
        rows = self.reads.read_briefly(statement, parameters) if brief and self.groups.driven is None else None
        if rows is None:
            rows = await self.fetch_all(statement, parameters, brief=False)
        return rows[0] if rows else None

    def unit(self) -> Unit:
        job = self.groups.driven
        return OwnUnit(self.writer) if job is None else GroupedUnit(self.writer.link, job)

    async def grouped(self, story: Callable[[], Coroutine[Any, Any, R]]) -> R:
        return await self.groups.run(story)

    async def dispose(self) -> None:
        """Let what is running end, and close every connection. It may be used again afterwards."""
        await self.groups.finish()
        await self.reads.dispose()
        await self.writer.dispose()
