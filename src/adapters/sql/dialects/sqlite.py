"""SQLite 3.35 and later: one file, many readers, one writer at a time."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Integer,
    Table,
    UniqueConstraint,
    bindparam,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from adapters.sql.dialects.base import Dialect, ErrorKind, Limits, Violation
from adapters.sql.tables import AuthorRevisionRow, CacheFenceRow, PostWordsRow, Row, table_of
from adapters.sql.types import Id

_VERDICTS: Final = {
    "SQLITE_BUSY": ErrorKind.TRANSIENT,
    "SQLITE_LOCKED": ErrorKind.TRANSIENT,
    "SQLITE_CANTOPEN": ErrorKind.UNAVAILABLE,
    "SQLITE_PROTOCOL": ErrorKind.UNAVAILABLE,
    "SQLITE_INTERRUPT": ErrorKind.UNAVAILABLE,  # a read took too long
    "SQLITE_IOERR": ErrorKind.UNAVAILABLE,
    "SQLITE_FULL": ErrorKind.NO_ROOM,
    "SQLITE_NOMEM": ErrorKind.NO_ROOM,
    "SQLITE_NOLFS": ErrorKind.NO_ROOM,  # the file would be larger than its file system can hold
    "SQLITE_READONLY": ErrorKind.NO_WRITES,
    "SQLITE_PERM": ErrorKind.NO_WRITES,
    "SQLITE_CORRUPT": ErrorKind.DAMAGED,
    "SQLITE_NOTADB": ErrorKind.DAMAGED,
}
"""By the name of the error without what extends it: `SQLITE_IOERR_FSYNC` is a `SQLITE_IOERR`."""
_MIGRATION_WAIT_SECONDS = 600

_COLUMNS = re.compile(r"UNIQUE constraint failed: (.+)")
_CHECK = re.compile(r"CHECK constraint failed: (\S+)")

_NOW = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
"""The present as times are stored here; SQLite's clock counts milliseconds."""


def _unique_names() -> dict[str, str]:
    """Return the name of each unique constraint by its columns, all that SQLite says of a violated one."""
    return {
        ", ".join(f"{table.name}.{column.name}" for column in constraint.columns): str(constraint.name)
        for table in Row.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    }


class _RolledBack(sqlite3.Connection):
    """A connection that lets go of its locks when it is closed.

    SQLite keeps a closed connection, and the lock of the file, for as long as any statement of it is referred to: by
    the trace of a cancelled task, that is until garbage is collected.
    """

    def close(self) -> None:
        try:
            self.rollback()  # nothing is done when nothing is begun
        finally:
            super().close()


class SqliteDialect(Dialect):
    """Write-ahead log, so that readers never wait for the writer nor it for them.

    `synchronous` is FULL unless the settings say otherwise: what was acknowledged survives a loss of power, as it does
    with the defaults of MySQL and PostgreSQL. With NORMAL a commit does not wait for the disk, and the last ones can
    be lost with the power, though never the file's consistency.
    """

    name = "sqlite"
    pings_idle_connections = False
    single_writer = True
    keyset_by_rows = False
    author_first = True
    ranges_by_pairs = True
    sorts_for_bounds = True
    locks_joins = True

    _revisions = table_of(AuthorRevisionRow)
    _fences = table_of(CacheFenceRow)
    _names = _unique_names()
    bump_revision = (
        insert(_revisions)
        .values(revision=1)
        .on_conflict_do_update(index_elements=["author_id"], set_={"revision": _revisions.c.revision + literal(1)})
    )
    raise_fence = text(
        "INSERT INTO cache_fences (process_id, expires_at) "
        "VALUES (:process_id, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', (:microseconds / 1000000.0) || ' seconds')) "
        "ON CONFLICT (process_id) DO UPDATE SET expires_at = excluded.expires_at"
    ).bindparams(bindparam("process_id", type_=Id))
    fence_is_up = select(_fences.c.process_id).where(text(f"expires_at > {_NOW}")).limit(1)
    now = literal_column(_NOW)
    ago = text("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', (:microseconds / -1000000.0) || ' seconds')")

    # A column named like its table stands for the whole row.
    _index = table("fts_post_words", column("rowid", Integer), column("fts_post_words"))
    _with_words = table_of(PostWordsRow).c.id.in_(
        select(_index.c.rowid).where(_index.c.fts_post_words.op("MATCH")(bindparam("match")))
    )

    def rows_with_words(self, phrases: int) -> FromClause:
        del phrases
        return select(table_of(PostWordsRow)).where(self._with_words).subquery("words")

    def all_of(self, words: Sequence[str]) -> str:
        return " AND ".join(f'"{word}"' for word in words)

    def position(self, text: ColumnElement[str], part: ColumnElement[str]) -> ColumnElement[int]:
        return func.instr(text, part, type_=Integer)

    def insert_or_keep(self, table: Table) -> Executable:
        return insert(table).on_conflict_do_nothing()

    def file(self, url: URL) -> Path | None:
        return Path(url.database) if url.database else None

    def existing(self, url: URL) -> URL:
        file = self.file(url)
        if file is None:
            return url
        return url.set(database=file.absolute().as_uri(), query={"mode": "rw", "uri": "true"})

    def engine_options(self, limits: Limits, url: URL) -> dict[str, Any]:
        del url
        # isolation_level=None keeps the driver from beginning transactions by itself.
        return {"connect_args": {"timeout": limits.lock, "isolation_level": None, "factory": _RolledBack}}

    def prepare(self, connection: DBAPIConnection, limits: Limits, *, read_only: bool, full: bool = True) -> None:
        del limits
        cursor = connection.cursor()
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def classify(self, error: DBAPIError) -> ErrorKind | None:
        return _VERDICTS.get("_".join(_error_name(error).split("_", 2)[:2]))

    def violation(self, error: DBAPIError) -> Violation | None:
        message = str(error.orig)
        match _error_name(error):
            case "SQLITE_CONSTRAINT_UNIQUE":
                found = _COLUMNS.search(message)
                return Violation("uq", self._names.get(found.group(1)) if found else None)
            case "SQLITE_CONSTRAINT_PRIMARYKEY" | "SQLITE_CONSTRAINT_ROWID":
                return Violation("pk", None)
            case "SQLITE_CONSTRAINT_FOREIGNKEY":
                return Violation("fk", None)
            case "SQLITE_CONSTRAINT_CHECK":
                found = _CHECK.search(message)
                return Violation("ck", found.group(1) if found else None)
            case _:
                return None

    @contextmanager
    def migration_lock(self, connection: Connection) -> Iterator[None]:
        # The write lock itself, from the first statement on, so that the whole migration is one transaction. Changing
        # a table means copying it, and dropping the old one would delete what refers to it, were foreign keys on.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_MIGRATION_WAIT_SECONDS * 1000}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"the migration left {len(broken)} rows that refer to nothing")


def _error_name(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlite_errorname", None) or ""
