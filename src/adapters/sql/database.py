"""One database, whichever it is: what every adapter of storage runs its statements through."""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable, make_url

from adapters.shared.request import note_commit
from adapters.sql.crowds import Crowds
from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.engine.fast.servers.engine import PooledConnections
from adapters.sql.engine.fast.sqlite.engine import SqliteFile
from adapters.sql.engine.port import Connections, PoolState, Unit
from adapters.sql.errors import CAUGHT, translated
from adapters.sql.rows import AnyRow, Parameters
from adapters.sql.settings import DatabaseSettings
from adapters.sql.sqlite_file import FileGuard, FileId
from adapters.sql.write_watch import WriteWatch
from application.shared.errors import StorageUnavailable

__all__ = ["AnyRow", "Database", "DatabaseSettings", "Parameters"]

R = TypeVar("R")


class Database:
    """One database; no connection is made before it is needed."""

    def __init__(self, settings: DatabaseSettings, *, file: FileId | None = None) -> None:
        """`file`: which one the SQLite file is, when that is known: no other is ever used in its place."""
        self._file = file
        self._url = make_url(settings.url)
        self.dialect: Dialect = dialect_of(self._url)
        self._limits = Limits(
            connect=settings.connect_timeout_seconds,
            statement=settings.statement_timeout_seconds,
            lock=settings.lock_timeout_seconds,
        )
        self._connections = self._connections_of(settings)
        self.crowds = Crowds()
        self.writes = WriteWatch()
        self._shared: dict[Any, Any] = {}

    def _connections_of(self, settings: DatabaseSettings) -> Connections:
        path = self.sqlite_file
        if path is not None:
            return SqliteFile(
                FileGuard(path, self._file),
                self._limits,
                connections=settings.pool_size,
                turn_seconds=settings.pool_timeout_seconds,
                full=settings.survives_power_loss,
            )
        return PooledConnections(
            self._url,
            self.dialect,
            self._limits,
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_timeout_seconds=settings.pool_timeout_seconds,
            ping_after_idle_seconds=settings.ping_after_idle_seconds,
        )

    @property
    def sqlite_guard(self) -> FileGuard | None:
        """What knows whether the file is still in its place, when it is SQLite."""
        return self._connections.guard if isinstance(self._connections, SqliteFile) else None

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file, when it is SQLite."""
        return self.dialect.file(self._url)

    async def fetch_all(
        self, statement: Executable, parameters: Parameters, *, brief: bool = False
    ) -> Sequence[AnyRow]:
        """Read rows outside of any transaction; `brief` when they are few, and found by an index alone.

        Raises `StorageUnavailable`, `TransientFailure`.
        """
        try:
            return await self._connections.fetch_all(statement, parameters, brief=brief)
        except CAUGHT as error:
            raise translated(error, self.dialect) from error

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, brief: bool = False) -> AnyRow | None:
        """Read the first row, if there is one, outside of any transaction. See `fetch_all`."""
        try:
            return await self._connections.fetch_one(statement, parameters, brief=brief)
        except CAUGHT as error:
            raise translated(error, self.dialect) from error

    def shared(self, make: Callable[["Database"], R]) -> R:
        """Return what `make` makes, one for all who use this database."""
        if make not in self._shared:
            self._shared[make] = make(self)
        made: R = self._shared[make]
        return made

    def pools(self) -> Sequence[PoolState]:
        """Tell how many connections there are, and how many of them are in use."""
        return self._connections.pools()

    def unit(self) -> Unit:
        """Return what runs the statements of one unit of work."""
        return self._connections.unit()

    async def grouped(self, story: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a use case that waits for nothing but this database, where it pays under one commit with others.

        Raises what it raises, and what committing does: `StorageUnavailable`, `TransientFailure`.
        """
        try:
            result = await self._connections.grouped(story)
        except CAUGHT as error:
            meant = translated(error, self.dialect)
            if isinstance(meant, StorageUnavailable):
                self.writes.failed(meant)
            raise meant from error
        note_commit()
        return result

    async def demand_room(self) -> None:
        """Raise `StorageUnavailable` where this can be told without a write: the disk is full.

        On a server it cannot.
        """
        try:
            await self._connections.demand_room()
        except CAUGHT as error:
            meant = translated(error, self.dialect)
            if isinstance(meant, StorageUnavailable):
                self.writes.failed(meant)
            raise meant from error

    async def dispose(self) -> None:
        """Close every connection that is not in use. It may be used again afterwards."""
        await self._connections.dispose()
