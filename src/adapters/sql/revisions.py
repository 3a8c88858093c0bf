"""How each author's revision is read: one look-up for many at once, or on SQLite mostly none."""

import asyncio
import contextlib
import sqlite3
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Select, bindparam, select

from adapters.sql.commits import SqliteCommits
from adapters.sql.database import Database
from adapters.sql.models import AuthorRevisionRow, table_of
from adapters.sql.types import Id
from application.posts.ports import AuthorRevisions
from application.shared.errors import Unavailable
from domain.shared.ids import UserId

_REVISIONS = table_of(AuthorRevisionRow)

LOOK_UPS_AT_ONCE: Final = 2
"""Under way at the same time. With more, each would carry fewer; with one, a look-up that hangs would hold up all."""
AUTHORS_A_LOOK_UP: Final = 64
_REMEMBERED_AUTHORS: Final = 10_000


@lru_cache(maxsize=AUTHORS_A_LOOK_UP.bit_length())
def _look_up(authors: int) -> Select[*tuple[Any, ...]]:
    """Build the look-up of so many authors: for each power of two once, so that databases know it by its text."""
    columns = _REVISIONS.c
    ids = [bindparam(f"id_{number}", type_=Id) for number in range(authors)]
    return select(columns.author_id, columns.revision).where(columns.author_id.in_(ids))


class _Batch:
    """Authors who are looked up together."""

    __slots__ = ("authors", "found")

    def __init__(self) -> None:
        self.authors: set[UserId] = set()
        self.found: asyncio.Future[dict[UserId, int] | None] = asyncio.get_running_loop().create_future()
        """None when they could not be looked up."""


class SqlAuthorRevisions(AuthorRevisions):
    """Looks revisions up by primary key, together those that are asked for at the same time.

    A look-up begins at once while few are under way; what is asked for meanwhile goes out with the next, in one
    statement. So whoever is alone waits for nobody, and under load a round trip is shared by all who would each have
    made one. It is as exact as if they had, over all workers and instances: a batch takes nobody in once its look-up
    has begun, so nobody is told what was read before they asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Batch] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def current(self, author_id: UserId) -> int | None:
        if not self._waiting or len(self._waiting[-1].authors) >= AUTHORS_A_LOOK_UP:
            self._waiting.append(_Batch())
        batch = self._waiting[-1]
        batch.authors.add(author_id)
        self._begin()
        # Shielded: one of those who wait may hang up, and the others still wait.
        found = await asyncio.shield(batch.found)
        return None if found is None else found.get(author_id, 0)

    async def close(self) -> None:
        """Do nothing: the connections are the database's."""

    def _begin(self) -> None:
        if self._waiting and len(self._under_way) < LOOK_UPS_AT_ONCE:
            task = asyncio.create_task(self._work(), name="a look-up of revisions")
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            self._begin()  # It fell: others may still wait.

    async def _work(self) -> None:
        while self._waiting:
            # From here on it takes nobody in.
            batch = self._waiting.popleft()
            found: dict[UserId, int] | None = None
            try:
                with contextlib.suppress(Unavailable):
                    found = await self._read(list(batch.authors))
            finally:
                # Also when this is cancelled, or falls: nobody waits for ever.
                if not batch.found.done():
                    batch.found.set_result(found)

    async def _read(self, authors: list[UserId]) -> dict[UserId, int]:
        places = 1 << (len(authors) - 1).bit_length()
        ids = authors + authors[:1] * (places - len(authors))
        rows = await self._database.fetch_all(_look_up(places), {f"id_{n}": id for n, id in enumerate(ids)})
        return {row[0]: int(row[1]) for row in rows}


class SqliteAuthorRevisions(AuthorRevisions):
    """Asks the file whether anything at all was committed, which takes microseconds, and looks up only then."""

    def __init__(self, path: Path) -> None:
        self._commits = SqliteCommits(path)
        self._mark: int | None = None
        self._known: dict[int, int] = {}
        """By the number of the author's id, whose hash costs nothing: that of a UUID is computed in Python."""

    async def current(self, author_id: UserId) -> int | None:
        # Before the look-up: a commit in between is then found out the next time, never missed.
        mark = self._commits.current()
        if mark is None:
            return None
        if mark != self._mark or len(self._known) > _REMEMBERED_AUTHORS:
            self._known.clear()
            self._mark = mark
        revision = self._known.get(author_id.int)
        if revision is None:
            try:
                row = self._commits.read_one(_OF_AUTHOR, (author_id.bytes,))
            except sqlite3.OperationalError:
                return None
            revision = self._known[author_id.int] = 0 if row is None else int(row[0])
        return revision

    async def close(self) -> None:
        await self._commits.close()


_OF_AUTHOR: Final = "SELECT revision FROM author_revisions WHERE author_id = ?"
