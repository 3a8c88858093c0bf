"""The shape of a dialect."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, ColumnElement, Connection, Executable, FromClause, Table, TextClause
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds."""

    connect: float
    statement: float
    lock: float


class ErrorKind(Enum):
    """What a failed statement means for whoever sent it."""

    TRANSIENT = "it lost a race, and would likely pass if run again"
    UNAVAILABLE = "the database is gone, refuses connections or took too long"
    NO_ROOM = "the database has no room: on its disk, in its memory, for one more connection"
    NO_WRITES = "this server, or this file, takes no writes"
    DAMAGED = "what is stored cannot be read"


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that a statement violated. `name` is None where the database doesn't tell (SQLite, foreign keys)."""

    kind: str
    """`uq`, `fk`, `ck` or `pk`, as names begin."""
    name: str | None


class Dialect(ABC):
    """One kind of database, as much of it as differs."""

    name: ClassVar[str]
    pings_idle_connections: ClassVar[bool]
    """Whether a connection can die while nobody looks, as all do that cross a network."""
    single_writer: ClassVar[bool]
    """Whether units of work take turns by nature, so that a second connection for writing would only wait."""
    keyset_by_rows: ClassVar[bool]
    """Whether a place in a list is told to it best as a pair, `(author_id, id) < (…, …)`."""
    author_first: ClassVar[bool]
    """Whether a list of one author is told so, and then looks them up once and not for each post."""
    ranges_by_pairs: ClassVar[bool]
    """Whether an index is searched by `(rank, id) < (…, …)`; else it takes an OR to that end."""
    sorts_for_bounds: ClassVar[bool]
    """Whether it would rather answer a bound of time by index, and sort, than check it along the index by rank."""
    locks_joins: ClassVar[bool]
    """Whether a locking read of a join shows all of it as of when it got the locks, not as of when it began."""
    bump_revision: ClassVar[Executable]
    """Adds one to the revision of `author_id`, or stores the first."""
    raise_fence: ClassVar[Executable]
    """Stores that the fence of `process_id` is up for `microseconds` from now, by the database's clock."""
    fence_is_up: ClassVar[Executable]
    """Reads one row while any fence is up, by the database's clock."""
    now: ClassVar[ColumnElement[datetime]]
    """The present by the database's clock, as of the statement."""
    ago: ClassVar[TextClause]
    """The moment `microseconds` before `now`. It does not keep an index from being used."""

    @abstractmethod
    def rows_with_words(self, phrases: int) -> FromClause:
        """Return the rows of `post_words` that hold every word of `match`, found by the full-text index.

        `all_of` makes `match`; `run0` and so on are the phrases as they stand in the text, as many as `phrases`.
        """
        ...

    @abstractmethod
    def all_of(self, words: Sequence[str]) -> str:
        """Return the query for all of these words; they are lower-case letters and digits of ASCII."""
        ...

    @abstractmethod
    def position(self, text: ColumnElement[str], part: ColumnElement[str]) -> ColumnElement[int]:
        """Return where `part` begins in `text`, counted from 1; 0: nowhere."""
        ...

    def quotient(self, dividend: ColumnElement[int], divisor: ColumnElement[int]) -> ColumnElement[int]:
        """Return the quotient of whole numbers from 0 on, without what remains."""
        return dividend // divisor

    @abstractmethod
    def insert_or_keep(self, table: Table) -> Executable:
        """Return an INSERT that leaves a row alone that is there already, by its primary key."""
        ...

    @abstractmethod
    def file(self, url: URL) -> Path | None: ...

    def existing(self, url: URL) -> URL:
        """Return where to connect to so that nothing is made that is not there."""
        return url

    @abstractmethod
    def engine_options(self, limits: Limits, url: URL) -> dict[str, Any]:
        """Return what `create_async_engine` needs for this database."""
        ...

    @abstractmethod
    def prepare(self, connection: DBAPIConnection, limits: Limits, *, read_only: bool, full: bool = True) -> None:
        """Set up a fresh connection, once. `full`: whether a commit waits for the disk, where that is up to us."""
        ...

    @abstractmethod
    def classify(self, error: DBAPIError) -> ErrorKind | None:
        """Judge an error that is neither a lost connection nor a violated constraint."""
        ...

    def is_demoted(self, error: DBAPIError) -> bool:
        """Tell whether the server no longer takes writes, so that its connections are as good as lost.

        After a fail-over the old primary keeps them, and answers reads from a state that falls behind.
        """
        return self.classify(error) is ErrorKind.NO_WRITES

    @abstractmethod
    def violation(self, error: DBAPIError) -> Violation | None: ...

    @abstractmethod
    def migration_lock(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep every other migration of the same database out."""
        ...
