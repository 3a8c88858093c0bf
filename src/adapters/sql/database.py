"""One database, whichever it is: settings, and what every adapter of storage runs its statements through."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable, make_url

from adapters.sql.compiled import AnyRow, Parameters
from adapters.sql.connections import Connections, PoolState, Unit
from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.errors import CAUGHT, translated
from adapters.sql.servers import PooledConnections
from adapters.sql.sqlite_file import SqliteFile

__all__ = ["AnyRow", "Database", "DatabaseSettings", "Parameters"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the database is, and how much of it one process may take. Times are in seconds."""

    url: str = field(repr=False)
    """`sqlite+aiosqlite:///…`, `mysql+asyncmy://…` or `postgresql+asyncpg://…`; it may hold a password."""
    pool_size: int = 20
    """Connections kept open, one half of them for units of work: writers share the server's group commit. Many more
    help nobody on few cores, and a hundred workers share a server's limit."""
    max_overflow: int = 0
    """Connections beyond those, opened under load and closed as soon as they are given back. With 10 and 10, 64 writers
    opened and closed them without end, which cost a fifth to a quarter of the throughput (MariaDB, one core)."""
    pool_timeout_seconds: float = 5.0
    """How long to wait for a connection. Longer than that, the caller has given up."""
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 10.0
    """A hundred times what the slowest of our statements takes."""
    lock_timeout_seconds: float = 5.0
    """How long to wait for somebody else's lock before the unit of work counts as having lost the race."""
    survives_power_loss: bool = True
    """SQLite: whether a commit waits for the disk (`synchronous = FULL`). Servers have settings of their own."""
    ping_after_idle_seconds: float = 1.0
    """A pooled connection that has lain idle for longer is checked before it is used.

    Checking each time would cost every statement a second round trip; never checking would answer the first requests
    after a fail-over or a firewall's time-out with 503. Under load connections do not lie idle, so nothing is paid.
    """


class Database:
    """One database; no connection is made before it is needed."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._url = make_url(settings.url)
        self.dialect: Dialect = dialect_of(self._url)
        self._limits = Limits(
            connect=settings.connect_timeout_seconds,
            statement=settings.statement_timeout_seconds,
            lock=settings.lock_timeout_seconds,
        )
        self._connections = self._connections_of(settings)

    def _connections_of(self, settings: DatabaseSettings) -> Connections:
        path = self.sqlite_file
        if path is not None:
            return SqliteFile(
                path,
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
            return await self._connections.grouped(story)
        except CAUGHT as error:
            raise translated(error, self.dialect) from error

    async def dispose(self) -> None:
        """Close every connection that is not in use. It may be used again afterwards."""
        await self._connections.dispose()
