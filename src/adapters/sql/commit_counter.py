"""Whether anything was committed to a SQLite file, as the file itself tells."""

import asyncio
import sqlite3
from typing import Any

from adapters.sql.sqlite_file import FileGone, FileGuard
from application.shared.commit_counter import CommitCounter


class SqliteCommitCounter(CommitCounter):
    """`PRAGMA data_version` changes with each commit by another connection, of this process or any other.

    It is asked on the event loop, over a connection that only reads, so that every commit is another's: there is
    nothing to wait for in a write-ahead log, and a hop to a thread would cost ten times as much. One is enough for a
    process, since asking changes nothing: the feed, the authors' revisions and the revocations share it. The numbers of
    two connections have nothing to do with each other; after each failure there is a new one, so what was stored under
    numbers of the old is told by the count of connections, in the upper half.

    One look serves all who ask in the same turn of the event loop, some thirty requests under load; each look costs
    3 µs, and lets other threads have the interpreter. That is exact for whoever hears of a commit by way of the loop,
    as requests, acknowledgements and results of threads all come: the loop runs callbacks in the order in which they
    were queued, so what runs before `_end_iteration` was queued before that, and so before the look. Only code that
    commits, or is told of a commit, without giving the loop a turn in between would see the mark from before.
    """

    def __init__(self, guard: FileGuard) -> None:
        self._guard = guard
        guard.when_reopened(self._forget)
        self._connection: sqlite3.Connection | None = None
        self._connections = 0
        self._turn_of: asyncio.AbstractEventLoop | None = None
        """The loop in whose present turn `_version` was read. Another loop knows nothing of its turns."""
        self._version: int | None = None

    def current(self) -> int | None:
        loop = asyncio.get_running_loop()
        if self._turn_of is not loop:
            # Queued before the look: see above for what depends on it.
            loop.call_soon(self._end_iteration)
            self._version = self._read_counter()
            self._turn_of = loop
        return self._version

    def _end_iteration(self) -> None:
        self._turn_of = None

    def _read_counter(self) -> int | None:
        if self._guard.is_lost:
            return None
        try:
            version: int = self.read_one("PRAGMA data_version")[0]
        except sqlite3.OperationalError:
            # Locked for a moment (recovery after a crash), or not there: nobody can say.
            return None
        return self._connections << 32 | version

    def read_one(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        """Read a row by its key over the same connection; None when there is none. It must be a short read.

        Raises `sqlite3.OperationalError`, and begins anew with a new connection the next time.
        """
        try:
            connection = self._connection or self._connect()
            return connection.execute(statement, parameters).fetchone()
        except sqlite3.OperationalError:
            self._forget()
            raise

    async def close(self) -> None:
        self._forget()

    def _connect(self) -> sqlite3.Connection:
        # timeout=0: the event loop never sleeps in here. No thread check: whoever closes it may be another one.
        self._connections += 1
        connection = sqlite3.connect(
            f"{self._guard.path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._guard.require_same_file()
        except FileGone as gone:
            connection.close()  # It leads to another file, which must not be read even when ours is back.
            raise sqlite3.OperationalError(str(gone)) from gone
        self._connection = connection
        return connection

    def _forget(self) -> None:
        self._turn_of = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
