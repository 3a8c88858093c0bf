"""The shape of a dialect."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Executable
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds."""

    connect: float
    statement: float
    lock: float


class Verdict(Enum):
    """What a failed statement means for whoever sent it."""

    TRANSIENT = "it lost a race, and would likely pass if run again"
    UNAVAILABLE = "the database is gone, refuses connections or took too long"


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that a statement violated. `name` is None where the database doesn't tell (SQLite, foreign keys)."""

    kind: str
    """`uq`, `fk`, `ck` or `pk`, as names begin."""
    name: str | None


class Dialect(Protocol):
    """One kind of database, as much of it as differs."""

    @property
    def name(self) -> str: ...

    @property
    def pings_idle_connections(self) -> bool:
        """Whether a connection can die while nobody looks, as all do that cross a network."""
        ...

    @property
    def single_writer(self) -> bool:
        """Whether units of work take turns by nature, so that a second connection for writing would only wait."""
        ...

    @property
    def bump_revision(self) -> Executable:
        """Adds one to the revision of `author_id`, or stores the first."""
        ...

    @property
    def raise_fence(self) -> Executable:
        """Stores that the fence of `process_id` is up for `microseconds` from now, by the database's clock."""
        ...

    @property
    def fence_is_up(self) -> Executable:
        """Reads one row while any fence is up, by the database's clock."""
        ...

    def file(self, url: URL) -> Path | None: ...

    def engine_options(self, limits: Limits, url: URL) -> dict[str, Any]:
        """Return what `create_async_engine` needs for this database."""
        ...

    def prepare(self, connection: DBAPIConnection, limits: Limits, *, read_only: bool) -> None:
        """Set up a fresh connection, once."""
        ...

    def begin(self, connection: Connection) -> None:
        """Begin a unit of work, where the driver doesn't do it right by itself."""
        ...

    def verdict(self, error: DBAPIError) -> Verdict | None:
        """Judge an error that is neither a lost connection nor a violated constraint."""
        ...

    def violation(self, error: DBAPIError) -> Violation | None: ...

    def migration_lock(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep every other migration of the same database out."""
        ...
