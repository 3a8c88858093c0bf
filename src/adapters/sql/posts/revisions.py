"""How each author's revision is read: one look-up for many at once, or on SQLite mostly none."""

import sqlite3
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, select, type_coerce

from adapters.sql.batched_lookups import KEYS_A_LOOK_UP, NAMES, BatchedLookups, padded
from adapters.sql.commit_counter import SqliteCommitCounter
from adapters.sql.database import Database
from adapters.sql.tables import AuthorRevisionRow, table_of
from adapters.sql.transaction import CommitParticipant, Transaction
from adapters.sql.types import Id, IdNumber
from application.events.changed_authors import changed_author
from application.posts.ports import AuthorRevisions
from domain.shared.events import DomainEvent
from domain.shared.ids import UserId

_REVISIONS = table_of(AuthorRevisionRow)

_REMEMBERED_AUTHORS: Final = 10_000


@lru_cache(maxsize=KEYS_A_LOOK_UP.bit_length())
def _look_up(authors: int) -> Select[*tuple[Any, ...]]:
    """Build the look-up of so many authors: for each power of two once, so that databases know it by its text."""
    columns = _REVISIONS.c
    ids = [bindparam(name, type_=Id) for name in NAMES[:authors]]
    return select(type_coerce(columns.author_id, IdNumber), columns.revision).where(columns.author_id.in_(ids))


class RevisionWriter(CommitParticipant):
    """Raises the revision of every author whose list of own posts an event changes."""

    async def before_commit(self, transaction: Transaction, events: Sequence[DomainEvent]) -> None:
        # In one order for all transactions, since each row is locked until the commit.
        for author_id in sorted({author for event in events if (author := changed_author(event)) is not None}):
            await transaction.enqueue(transaction.dialect.bump_revision, {"author_id": author_id})


class SqlAuthorRevisions(BatchedLookups[UserId, int], AuthorRevisions):
    """Looks revisions up by primary key, together those that are asked for at the same time."""

    is_none_when_unavailable = True

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def current(self, author_id: UserId) -> Awaitable[int | None]:
        return self.look_up(author_id)

    async def read(self, keys: Sequence[UserId]) -> dict[int, int]:
        parameters = padded(keys)
        rows = await self._database.fetch_all(_look_up(len(parameters)), parameters)
        # Who has written nothing yet has no row.
        found = {author.int: 0 for author in keys}
        found.update(rows)
        return found


class SqliteAuthorRevisions(AuthorRevisions):
    """Asks the file whether anything at all was committed, which takes microseconds, and looks up only then."""

    def __init__(self, commits: SqliteCommitCounter) -> None:
        self._commits = commits
        self._version: int | None = None
        self._known: dict[int, int] = {}
        """By the number of the author's id, whose hash costs nothing: that of a UUID is computed in Python."""

    def current(self, author_id: UserId) -> int | None:
        # Before the look-up: a commit in between is then found out the next time, never missed.
        version = self._commits.current()
        if version is None:
            return None
        if version != self._version:
            self._known.clear()
            self._version = version
        revision = self._known.get(author_id.int)
        if revision is None:
            if len(self._known) > _REMEMBERED_AUTHORS:
                self._known.clear()
            try:
                row = self._commits.read_one(_OF_AUTHOR, (author_id.bytes,))
            except sqlite3.OperationalError:
                return None
            revision = self._known[author_id.int] = 0 if row is None else int(row[0])
        return revision


_OF_AUTHOR: Final = "SELECT revision FROM author_revisions WHERE author_id = ?"
