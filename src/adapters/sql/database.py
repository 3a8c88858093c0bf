"""One database, whichever it is: what every adapter of storage runs its statements through."""

import asyncio
import errno
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Executable, make_url

from adapters.shared.request import note_commit
from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.engine.opening import open_engine
from adapters.sql.engine.port import PoolState, Unit
from adapters.sql.errors import CAUGHT, application_error
from adapters.sql.rows import AnyRow, Parameters
from adapters.sql.settings import DatabaseSettings
from adapters.sql.sqlite_file import FileGuard, FileId
from adapters.sql.write_health import WriteHealth
from application.shared.errors import StorageUnavailable

__all__ = ["AnyRow", "Database", "DatabaseSettings", "Parameters"]

R = TypeVar("R")

_ROOM_BYTES: Final = 1 << 18
"""What has to fit on the disk before it counts as no longer full."""


class Database:
    """One database; no connection is made before it is needed."""

    def __init__(self, settings: DatabaseSettings, *, file: FileId | None = None) -> None:
        """`file`: which one the SQLite file is, when that is known: no other is ever used in its place."""
        url = make_url(settings.url)
        self.dialect: Dialect = dialect_of(url)
        self.sqlite_file = self.dialect.file(url)
        """The database's file, when it is SQLite."""
        self.sqlite_guard = None if self.sqlite_file is None else FileGuard(self.sqlite_file, file)
        """What knows whether that file is still in its place."""
        limits = Limits(
            connect=settings.connect_timeout_seconds,
            statement=settings.statement_timeout_seconds,
            lock=settings.lock_timeout_seconds,
        )
        self._engine = open_engine(settings, url, self.dialect, limits, self.sqlite_guard)
        self.optimistic = self._engine.optimistic
        """Whether what can be read without a lock, and demanded as it was seen by the write, is best done so."""
        self.writes = WriteHealth()

    async def fetch_all(
        self, statement: Executable, parameters: Parameters, *, on_loop: bool = False
    ) -> Sequence[AnyRow]:
        """Read rows outside of any transaction; `on_loop` when they are few, and found by an index alone.

        Raises `StorageUnavailable`, `TransientFailure`.
        """
        try:
            return await self._engine.fetch_all(statement, parameters, on_loop=on_loop)
        except CAUGHT as error:
            raise application_error(error, self.dialect) from error

    async def fetch_one(self, statement: Executable, parameters: Parameters, *, on_loop: bool = False) -> AnyRow | None:
        """Read the first row, if there is one, outside of any transaction. See `fetch_all`."""
        try:
            return await self._engine.fetch_one(statement, parameters, on_loop=on_loop)
        except CAUGHT as error:
            raise application_error(error, self.dialect) from error

    def pools(self) -> Sequence[PoolState]:
        """Tell how many connections there are, and how many of them are in use."""
        return self._engine.pools()

    def unit(self) -> Unit:
        """Return what runs the statements of one unit of work."""
        return self._engine.unit()

    async def run_in_group(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a use case that waits for nothing but this database, where it pays under one commit with others.

        Raises what it raises, and what committing does: `StorageUnavailable`, `TransientFailure`.
        """
        try:
            result = await self._engine.run_in_group(work)
        except CAUGHT as error:
            raise self._write_failed(error) from error
        note_commit()
        return result

    async def require_disk_space(self) -> None:
        """Raise `StorageUnavailable` where this can be told without a write: the disk is full.

        On a server it cannot.
        """
        if self.sqlite_file is not None:
            try:
                await asyncio.to_thread(_require_disk_space, self.sqlite_file.absolute().parent)
            except OSError as error:
                raise self._write_failed(error) from error

    def _write_failed(self, error: Exception) -> Exception:
        meant = application_error(error, self.dialect)
        if isinstance(meant, StorageUnavailable):
            self.writes.failed(meant)
        return meant

    async def dispose(self) -> None:
        """Close every connection that is not in use. It may be used again afterwards."""
        await self._engine.dispose()


def _require_disk_space(folder: Path) -> None:
    """Raise `OSError` when the disk is full."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM_BYTES))
            file.flush()
    except OSError as error:
        # Whether the folder may be written to at all, a write of the database finds out.
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
