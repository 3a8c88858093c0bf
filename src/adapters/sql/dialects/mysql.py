"""MySQL 8.4 and 9, and MariaDB from 10.6 on, through asyncmy."""

import logging
import re
import ssl
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
    String,
    Table,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    text,
    union,
)
from sqlalchemy.dialects.mysql import insert, match
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from adapters.sql.dialects.base import Dialect, ErrorKind, Limits, Violation
from adapters.sql.tables import AuthorRevisionRow, CacheFenceRow, PostWordsRow, table_of
from adapters.sql.types import Id

_TRANSIENT = frozenset(
    {
        1020,  # record has changed since last read: MariaDB's snapshot isolation
        1205,  # lock wait time-out
        1213,  # deadlock; Galera reports a lost certification so too
        1412,  # table definition has changed: a migration ran by
        3101,  # Group Replication rolled it back: a lost certification, or a member that is leaving
    }
)
_NO_WRITES = frozenset(
    {
        1047,  # WSREP has not yet prepared the node: it is not, or no longer, part of its cluster
        1290,  # running read-only: the old primary after a switch-over
        1792,  # cannot write in a read-only transaction
        1836,  # running in read-only mode
        3098,  # Group Replication refuses the table
        3100,  # Group Replication's hook failed: the member was expelled
    }
)
_NO_ROOM = frozenset(
    {
        3,  # error writing a file
        20, 21,  # disk full
        1021,  # disk full
        1026,  # error writing a file
        1030,  # error from the storage engine, such as 28: no space left on the device
        1037, 1038, 1041,  # out of memory, of memory to sort, of the server's resources
        1040,  # too many connections
        1114,  # the table is full, as its disk is
        1135,  # cannot create a thread
        1197,  # the cache of the binary log is full
        1203,  # too many connections of this user
        1206,  # the locks of one transaction fill the table of locks
        1226,  # the user's resource is used up
        1534, 1598,  # the binary log cannot be written
        1878,  # a temporary file cannot be written
    }
)  # fmt: skip
_DAMAGED = frozenset(
    {
        126, 127, 145,  # wrong index or record file; crashed
        1024,  # error reading a file
        1034, 1035,  # incorrect key file
        1194, 1195,  # the table is marked as crashed
        1712,  # the index is corrupted
        1877,  # the table is corrupted
        1932,  # the table does not exist in the engine
    }
)  # fmt: skip
_UNAVAILABLE = frozenset(
    {
        1044,  # access to the database denied
        1045,  # access denied
        1049,  # unknown database
        1129, 1130,  # the host is blocked, or not allowed
        1698,  # access denied without a password
        1053,  # server shutdown in progress
        1077,  # normal shutdown
        1079,  # shutdown complete
        1152,  # aborted connection
        *range(1158, 1162),  # network read or write error, or time-out
        1180, 1181,  # an error during COMMIT or ROLLBACK
        1184,  # new aborting connection
        1317,  # query execution was interrupted
        1927,  # connection was killed
        1969,  # MariaDB: max_statement_time exceeded
        3024,  # MySQL: max_execution_time exceeded
        3032, 3168, 3169,  # MySQL: the server does not take it now, is not available, has killed the session
        2002, 2003, 2005, 2006, 2012, 2013, 2014, 2055,  # the client's own: cannot connect, gone away, lost
        4031,  # disconnected by the server because of inactivity
    }
)  # fmt: skip
_VERDICTS: Final = {
    code: verdict
    for verdict, codes in (
        (ErrorKind.TRANSIENT, _TRANSIENT),
        (ErrorKind.NO_WRITES, _NO_WRITES),
        (ErrorKind.NO_ROOM, _NO_ROOM),
        (ErrorKind.DAMAGED, _DAMAGED),
        (ErrorKind.UNAVAILABLE, _UNAVAILABLE),
    )
    for code in codes
}
_LEAVING: Final = 3101
"""What a member that leaves its group says too; the connections of one that has only lost a race are opened anew."""

# The last quoted word, because the value before it is the user's; MySQL 8 puts the table in front.
_DUPLICATE_KEY = re.compile(r"for key '(?:[^'.]+\.)?([^'.]+)'\s*$")
_FOREIGN_KEY = re.compile(r"CONSTRAINT `([^`]+)` FOREIGN KEY")
_CHECK = re.compile(r"(?:CONSTRAINT `|constraint ')([^`']+)[`'] (?:failed|is violated)")

_SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

_GRACE_SECONDS = 2.0
"""By how much the driver waits longer than the server may work: the server's own error says more."""

_MIGRATION_WAIT_SECONDS = 600

_LATEST = literal_column("256", Integer)
"""Rows that are searched without the index: about as many as short posts make InnoDB write its memory out."""


class MysqlDialect(Dialect):
    name = "mysql"
    pings_idle_connections = True
    single_writer = False
    keyset_by_rows = False
    author_first = False
    ranges_by_pairs = False
    sorts_for_bounds = False
    locks_joins = True

    _revisions = table_of(AuthorRevisionRow)
    _fences = table_of(CacheFenceRow)
    bump_revision = (
        insert(_revisions).values(revision=1).on_duplicate_key_update(revision=_revisions.c.revision + literal(1))
    )
    # `VALUES()` would be shorter, but MySQL has deprecated it, and MariaDB does not know MySQL's row alias.
    raise_fence = text(
        "INSERT INTO cache_fences (process_id, expires_at) "
        "VALUES (:process_id, UTC_TIMESTAMP(6) + INTERVAL :microseconds MICROSECOND) "
        "ON DUPLICATE KEY UPDATE expires_at = UTC_TIMESTAMP(6) + INTERVAL :microseconds MICROSECOND"
    ).bindparams(bindparam("process_id", type_=Id))
    fence_is_up = select(_fences.c.process_id).where(_fences.c.expires_at > func.utc_timestamp(text("6"))).limit(1)
    now = literal_column("UTC_TIMESTAMP(6)")
    ago = text("UTC_TIMESTAMP(6) - INTERVAL :microseconds MICROSECOND")

    def rows_with_words(self, phrases: int) -> FromClause:
        words = table_of(PostWordsRow)
        indexed = select(words.c.id).where(match(words.c.words, against=bindparam("match"), in_boolean_mode=True))
        # InnoDB keeps the latest words in memory, and while it writes them out, which takes some milliseconds and
        # happens every few hundred posts, other connections find them in neither place. So the latest rows are looked
        # through besides: there is what somebody has just written, and expects to find.
        latest = select(words.c.id, words.c.words).order_by(words.c.id.desc()).limit(_LATEST).subquery("latest")
        read = select(latest.c.id).where(
            *(self.position(latest.c.words, bindparam(f"run{n}", type_=String)) > 0 for n in range(phrases))
        )
        hits = union(indexed, read).subquery("hits")
        return select(words).join_from(hits, words, words.c.id == hits.c.id).subquery("words")

    def all_of(self, words: Sequence[str]) -> str:
        return " ".join(f"+{word}" for word in words)

    def position(self, text: ColumnElement[str], part: ColumnElement[str]) -> ColumnElement[int]:
        return func.instr(text, part, type_=Integer)

    def quotient(self, dividend: ColumnElement[int], divisor: ColumnElement[int]) -> ColumnElement[int]:
        # FLOOR(a / b) is not that: the division is rounded to a few decimals first.
        return dividend.op("DIV", precedence=8, return_type=Integer())(divisor)

    def insert_or_keep(self, table: Table) -> Executable:
        # Not INSERT IGNORE, which would let other errors pass too.
        key = next(iter(table.primary_key.columns))
        return insert(table).on_duplicate_key_update({key.name: key})

    def file(self, url: URL) -> Path | None:
        del url
        return None

    def engine_options(self, limits: Limits, url: URL) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "charset": "utf8mb4",
            "connect_timeout": limits.connect,
            "read_timeout": limits.statement + _GRACE_SECONDS,
        }
        if isinstance(mode := url.query.get("ssl"), str):
            arguments["ssl"] = _tls(mode)
        return {"connect_args": arguments}

    def prepare(self, connection: DBAPIConnection, limits: Limits, *, read_only: bool, full: bool = True) -> None:
        del read_only, full
        version = str(connection.driver_connection.get_server_info())
        milliseconds = round(limits.statement * 1000)
        # Each knows only its own names. MySQL's limit is for SELECT alone; a write is bounded by the lock wait, and by
        # the driver's read time-out.
        own = (
            # A process that hangs in the middle of a unit of work must not keep its locks for ever. MySQL knows no such
            # limit; there only `wait_timeout` ends it.
            f"tx_isolation = 'READ-COMMITTED', max_statement_time = {limits.statement}, "
            f"idle_transaction_timeout = {max(1, round(4 * limits.statement))}"
            if "mariadb" in version.lower()
            else f"transaction_isolation = 'READ-COMMITTED', max_execution_time = {milliseconds}"
        )
        cursor = connection.cursor()
        cursor.execute(
            f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', "
            f"innodb_lock_wait_timeout = {max(1, round(limits.lock))}, {own}"
        )
        cursor.close()

    def classify(self, error: DBAPIError) -> ErrorKind | None:
        code = _code(error)
        return None if code is None else _VERDICTS.get(code)

    def is_demoted(self, error: DBAPIError) -> bool:
        return super().is_demoted(error) or _code(error) == _LEAVING

    def violation(self, error: DBAPIError) -> Violation | None:
        message = str(error.orig.args[1]) if error.orig is not None and len(error.orig.args) > 1 else ""
        match _code(error):
            case 1062 | 1586:
                name = _first(_DUPLICATE_KEY, message)
                return Violation("pk", None) if name == "PRIMARY" else Violation("uq", name)
            case 1452 | 1216:
                return Violation("fk", _first(_FOREIGN_KEY, message))
            case 3819 | 4025:
                return Violation("ck", _first(_CHECK, message))
            case _:
                return None

    @contextmanager
    def migration_lock(self, connection: Connection) -> Iterator[None]:
        # Bound to the connection, not to a transaction, which every DDL statement here would end. Names are the
        # server's, not the database's, and have at most 64 characters.
        name = connection.scalar(select(func.concat("postern:", func.left(func.sha2(func.database(), 256), 40))))
        if connection.scalar(select(func.get_lock(name, _MIGRATION_WAIT_SECONDS))) != 1:
            raise TimeoutError("another migration of this database has been running for ten minutes")
        notes = logging.getLogger("asyncmy")
        notes.addFilter(_says_something)
        try:
            # Released by closing the connection, which is what follows; a statement to that end would hide why it
            # failed.
            yield
        finally:
            notes.removeFilter(_says_something)


def _says_something(record: logging.LogRecord) -> bool:
    # Alembic names the primary key of its own table, and the server says that primary keys have no names here. The
    # driver passes such notes on as warnings, and this one would be the first thing that a new operator reads.
    return "ignored for PRIMARY key" not in record.getMessage()


def _code(error: DBAPIError) -> int | None:
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return code if isinstance(code, int) else None


def _first(pattern: re.Pattern[str], message: str) -> str | None:
    found = pattern.search(message)
    return found.group(1) if found else None


def _tls(mode: str) -> ssl.SSLContext | None:
    """Read `?ssl=`, with the words that PostgreSQL's drivers know. Raises `ValueError` for any other."""
    match mode.lower():
        case "disable" | "false" | "0":
            return None
        case "require":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        case "verify-ca":
            context = ssl.create_default_context()
            context.check_hostname = False
        case "verify-full" | "true" | "1":
            context = ssl.create_default_context()
        case _:
            raise ValueError(f"ssl={mode} is none of disable, require, verify-ca and verify-full")
    return context
