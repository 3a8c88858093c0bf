"""How each author's revision is read: one look-up, or on SQLite mostly none."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import bindparam, select

from adapters.sql.database import Database
from adapters.sql.models import AuthorRevisionRow, table_of
from application.posts.ports import AuthorRevisions
from application.shared.errors import Unavailable
from domain.shared.ids import UserId

_REVISIONS = table_of(AuthorRevisionRow)
_REVISION = select(_REVISIONS.c.revision).where(_REVISIONS.c.author_id == bindparam("at_id"))

_REMEMBERED_AUTHORS = 10_000


class SqlAuthorRevisions(AuthorRevisions):
    """One look-up by primary key for each question: exact over all workers and instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, author_id: UserId) -> int | None:
        try:
            row = await self._database.fetch_one(_REVISION, {"at_id": author_id})
        except Unavailable:
            return None
        return 0 if row is None else int(row[0])

    async def close(self) -> None:
        """Do nothing: the connections are the database's."""


class SqliteAuthorRevisions(AuthorRevisions):
    """Asks the file whether anything at all was committed, which takes microseconds, and looks up only then.

    `PRAGMA data_version` changes with each commit by another connection, of this process or any other. It is asked on
    the event loop, over a connection of its own that only reads: there is nothing to wait for in a write-ahead log,
    and a hop to a thread would cost ten times as much.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._known: dict[UserId, int] = {}

    async def current(self, author_id: UserId) -> int | None:
        try:
            return self._look_up(author_id)
        except sqlite3.OperationalError:
            # Locked for a moment (recovery after a crash), or not there: nobody can say. Begin anew the next time.
            self._forget()
            return None

    async def close(self) -> None:
        self._forget()

    def _look_up(self, author_id: UserId) -> int:
        connection = self._connection or self._connect()
        # Before the look-up: a commit in between is then found out the next time, never missed.
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._known) > _REMEMBERED_AUTHORS:
            self._known.clear()
            self._version = version
        revision = self._known.get(author_id)
        if revision is None:
            row = connection.execute(
                "SELECT revision FROM author_revisions WHERE author_id = ?", (author_id.bytes,)
            ).fetchone()
            revision = self._known[author_id] = 0 if row is None else int(row[0])
        return revision

    def _connect(self) -> sqlite3.Connection:
        # timeout=0: the event loop never sleeps in here. No thread check: whoever closes it may be another one.
        self._connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=ro",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
        return self._connection

    def _forget(self) -> None:
        connection, self._connection, self._version = self._connection, None, None
        self._known.clear()
        if connection is not None:
            connection.close()
