"""One connection of Python's driver to a SQLite file, and what its errors mean."""

import sqlite3
import time
from functools import cached_property
from pathlib import Path
from typing import Final, NoReturn

from sqlalchemy import Connection, Executable, create_engine
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.rows import Parameters, Rows, rows_of

DIALECT: Final = pysqlite.dialect()
_STEPS_BETWEEN_LOOKS: Final = 100_000
_CHECKPOINT_PAGES: Final = 4_000
"""How long the log grows, 16 MB, until it is copied into the file: a page that is in it several times is copied once.
Beyond 4,062 a reader looks into a second table of what is in the log."""
_LOG_BYTES: Final = 16 << 20
"""To what the log's file is cut when it begins anew, after a reader has kept it from that for long."""
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")


class Link:
    """One connection to the file, for one user at a time. Opening one raises what the driver raises."""

    def __init__(self, path: Path, *, read_only: bool, wait: float, full: bool = True) -> None:
        """`wait`: seconds for somebody else's lock. `full`: whether a commit waits for the disk."""
        # isolation_level=None: the driver begins nothing by itself.
        # mode=rw: a file that is not there is never made here, which would be an empty one in place of what was lost.
        self.raw = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        self._deadline = 0.0
        self._looks = 0
        if read_only:
            self.raw.execute("PRAGMA query_only = ON")
        else:
            self.raw.execute("PRAGMA journal_mode = WAL")
            self.raw.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self.raw.execute("PRAGMA foreign_keys = ON")
            self.raw.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            self.raw.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            # Now: to say AUTOCOMMIT, which SQLAlchemy does once, makes the driver commit what is begun.
            _ = self._connection

    def run(self, statement: Executable, parameters: Parameters) -> Rows:
        """Run any statement."""
        plan = compiled(statement, DIALECT, parameters)
        if plan is None:
            return self._run_by_sqlalchemy(statement, parameters)
        values = plan.bind(parameters)
        try:
            cursor = self.raw.execute(plan.sql, values)
            return Rows(plan.rows(cursor.fetchall()) if plan.returns_rows else (), cursor.rowcount)
        except sqlite3.Error as error:
            raise_dbapi_error(error, plan.sql)

    def _run_by_sqlalchemy(self, statement: Executable, parameters: Parameters) -> Rows:
        try:
            return rows_of(self._connection.execute(statement, parameters))
        finally:
            # Nothing is sent: SQLAlchemy begins in its own mind alone.
            self._connection.rollback()

    def limit_steps(self, steps: int) -> None:
        """Break the next statement off after so many steps, or up to twice as many."""
        if not self._looks:
            self.raw.set_progress_handler(self._looked_too_often, steps)
        # SQLite counts the steps of a statement over all its runs, so the first look may come at any time.
        self._looks = 2

    def _looked_too_often(self) -> bool:
        self._looks -= 1
        return self._looks <= 0

    def limit_seconds(self, seconds: float) -> None:
        """Break every statement off that takes longer than `seconds` after this."""
        if not self._deadline:
            self.raw.set_progress_handler(lambda: time.monotonic() > self._deadline, _STEPS_BETWEEN_LOOKS)
        self._deadline = time.monotonic() + seconds

    def close(self) -> None:
        if "_connection" in self.__dict__:
            self._connection.close()
        self.raw.close()

    @cached_property
    def _connection(self) -> Connection:
        # For statements whose text depends on their values. It neither begins nor commits.
        engine = create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self.raw,
            poolclass=StaticPool,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        return engine.connect()


def opened(path: Path, *, read_only: bool, wait: float, full: bool = True) -> Link:
    """Open a connection. Raises `DBAPIError`."""
    try:
        return Link(path, read_only=read_only, wait=wait, full=full)
    except sqlite3.Error as error:
        raise_dbapi_error(error, "PRAGMA journal_mode")


def raise_dbapi_error(error: sqlite3.Error, sql: str) -> NoReturn:
    """Raise what SQLAlchemy would, which is what `errors` translates."""
    raise dbapi_error(error, sql) from error


def dbapi_error(error: sqlite3.Error, sql: str) -> Exception:
    return DBAPIError.instance(sql, None, error, sqlite3.Error, dialect=DIALECT)


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether somebody else has the lock."""
    return error_name(error).startswith(_BUSY)


def error_name(error: BaseException | None) -> str:
    return getattr(error, "sqlite_errorname", None) or ""
