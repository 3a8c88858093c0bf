"""PostgreSQL 13 and later, through asyncpg."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Integer,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from adapters.sql.dialects.base import Dialect, ErrorKind, Limits, Violation
from adapters.sql.tables import AuthorRevisionRow, CacheFenceRow, PostWordsRow, table_of
from adapters.sql.types import Id

_TRANSIENT = frozenset(
    {
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock not available: lock_timeout
    }
)
_UNAVAILABLE = frozenset(
    {
        "25P03",  # idle in transaction for too long
        "28000",  # log-in refused
        "28P01",  # wrong password
        "3D000",  # unknown database
        "57014",  # statement_timeout, or cancelled by an administrator
        "57P01",  # terminated by an administrator
        "57P02",  # crash shutdown
        "57P03",  # cannot connect now: starting up or shutting down
        "57P04",  # the database was dropped
        "57P05",  # idle for too long
        "F0000", "F0001",  # the server's own configuration or lock file
    }
)  # fmt: skip
_NO_WRITES = "25006"
"""A read-only transaction: the old primary after a switch-over."""
_DAMAGED = frozenset({"XX001", "XX002"})
"""Corrupted data, a corrupted index. XX000 is the server's own confusion, and may well be ours."""
_VERDICT_BY_CLASS = {
    "08": ErrorKind.UNAVAILABLE,  # connections
    "53": ErrorKind.NO_ROOM,  # disk full, out of memory, too many connections
    "58": ErrorKind.UNAVAILABLE,  # errors of the system around it: input and output, files
}
_KINDS = {"23505": "uq", "23503": "fk", "23514": "ck"}

_GRACE_SECONDS = 2.0
"""By how much the driver waits longer than the server may work: the server's own error says more."""

_MIGRATION_LOCK = 0x706F_7374_6572_6E00
"""A key for advisory locks; they are per database."""


class PostgresqlDialect(Dialect):
    name = "postgresql"
    pings_idle_connections = True
    single_writer = False
    keyset_by_rows = True
    author_first = False
    ranges_by_pairs = True
    sorts_for_bounds = False
    locks_joins = False

    _revisions = table_of(AuthorRevisionRow)
    _fences = table_of(CacheFenceRow)
    bump_revision = (
        insert(_revisions)
        .values(revision=1)
        .on_conflict_do_update(index_elements=["author_id"], set_={"revision": _revisions.c.revision + literal(1)})
    )
    raise_fence = text(
        "INSERT INTO cache_fences (process_id, expires_at) "
        "VALUES (:process_id, clock_timestamp() + CAST(:microseconds AS bigint) * interval '1 microsecond') "
        "ON CONFLICT (process_id) DO UPDATE SET expires_at = excluded.expires_at"
    ).bindparams(bindparam("process_id", type_=Id))
    # Not now(): that is the beginning of the transaction.
    fence_is_up = select(_fences.c.process_id).where(_fences.c.expires_at > func.clock_timestamp()).limit(1)
    # Not clock_timestamp() either, which counts as different for each row, so that no index could be used.
    now = literal_column("statement_timestamp()")
    ago = text("statement_timestamp() - CAST(:microseconds AS bigint) * interval '1 microsecond'")

    # A generated column, which no model speaks of. It holds words as they are: `to_tsvector` would have them parsed,
    # stemmed and looked up once more.
    _with_words = literal_column("post_words.fts_words", TSVECTOR).op("@@", is_comparison=True)(
        cast(bindparam("match", type_=Text), TSQUERY)
    )

    def rows_with_words(self, phrases: int) -> FromClause:
        del phrases
        return select(table_of(PostWordsRow)).where(self._with_words).subquery("words")

    def all_of(self, words: Sequence[str]) -> str:
        return " & ".join(words)

    def position(self, text: ColumnElement[str], part: ColumnElement[str]) -> ColumnElement[int]:
        return func.strpos(text, part, type_=Integer)

    def insert_or_keep(self, table: Table) -> Executable:
        return insert(table).on_conflict_do_nothing()

    def file(self, url: URL) -> Path | None:
        del url
        return None

    def engine_options(self, limits: Limits, url: URL) -> dict[str, Any]:
        del url
        return {
            "connect_args": {
                "timeout": limits.connect,
                "command_timeout": limits.statement + _GRACE_SECONDS,
                "server_settings": {
                    "application_name": "postern",
                    "timezone": "UTC",
                    "default_transaction_isolation": "read committed",
                    "statement_timeout": _milliseconds(limits.statement),
                    "lock_timeout": _milliseconds(limits.lock),
                    # A process that hangs in the middle of a unit of work must not keep its locks for ever.
                    "idle_in_transaction_session_timeout": _milliseconds(4 * limits.statement),
                },
            }
        }

    def prepare(self, connection: DBAPIConnection, limits: Limits, *, read_only: bool, full: bool = True) -> None:
        """Do nothing: everything was said in connecting."""

    def classify(self, error: DBAPIError) -> ErrorKind | None:
        state = _state(error)
        if state in _TRANSIENT:
            return ErrorKind.TRANSIENT
        if state in _UNAVAILABLE:
            return ErrorKind.UNAVAILABLE
        if state == _NO_WRITES:
            return ErrorKind.NO_WRITES
        return ErrorKind.DAMAGED if state in _DAMAGED else _VERDICT_BY_CLASS.get(state[:2])

    def violation(self, error: DBAPIError) -> Violation | None:
        kind = _KINDS.get(_state(error))
        if kind is None:
            return None
        name: str | None = getattr(error.driver_exception, "constraint_name", None)
        # Its own name for a primary key, since ours would be lost on the others, which name none.
        return Violation("pk", None) if name is not None and name.endswith("_pkey") else Violation(kind, name)

    @contextmanager
    def migration_lock(self, connection: Connection) -> Iterator[None]:
        # It ends with the transaction that the whole migration is, however that ends. Whoever waits for it waits for
        # somebody else's migration, so the limits of requests do not apply.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        yield


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
