"""Revocations in a table that every process reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Insert, Integer, Select, bindparam, delete, insert, select

from adapters.sql.commit_counter import SqliteCommitCounter
from adapters.sql.database import Database
from adapters.sql.dialects.base import Dialect
from adapters.sql.tables import RevocationRow, table_of
from adapters.sql.transaction import CommitParticipant, Transaction, write
from adapters.sql.types import Id
from application.identity.ports import RevocationLog
from application.identity.revocations import Revocation, revocation_of
from domain.shared.events import DomainEvent
from domain.shared.ids import SessionId

_REVOCATIONS = table_of(RevocationRow)
_DELETE = delete(_REVOCATIONS).where(_REVOCATIONS.c.id.in_(bindparam("ids", expanding=True, type_=Id)))


@dataclass(frozen=True, slots=True)
class _Statements:
    """What depends on how a database tells the time."""

    since: Select[*tuple[Any, ...]]
    older: Select[*tuple[Any, ...]]
    insert: Insert


@cache
def _statements(dialect: Dialect) -> _Statements:
    columns = _REVOCATIONS.c
    return _Statements(
        since=select(columns.session_id, columns.generation).where(columns.created_at >= dialect.ago),
        older=select(columns.id)
        .where(columns.created_at < dialect.ago)
        .order_by(columns.created_at)
        .limit(bindparam("rows", type_=Integer)),
        # By the database's clock, which all processes share.
        insert=insert(_REVOCATIONS).values(created_at=dialect.now),
    )


class RevocationWriter(CommitParticipant):
    """Writes which tokens events kill."""

    async def before_commit(self, transaction: Transaction, events: Sequence[DomainEvent]) -> None:
        for event in events:
            if (revocation := revocation_of(event)) is not None:
                row = {"id": uuid4(), "session_id": revocation.session_id, "generation": revocation.generation}
                await transaction.run(_statements(transaction.dialect).insert, row)


class SqlRevocationLog(RevocationLog):
    """One look-up of an index range for each reading."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = _statements(database.dialect)

    async def since(self, seconds: float) -> Sequence[Revocation]:
        rows = await self._database.fetch_all(self._statements.since, _microseconds(seconds))
        return [Revocation(SessionId(row.session_id), row.generation) for row in rows]

    async def purge(self, *, older_than_seconds: float, limit: int) -> int:
        # Looked for outside of the transaction, so that nothing is locked but what is deleted; of two processes that
        # find the same ones, the second deletes nothing.
        older = {**_microseconds(older_than_seconds), "rows": limit}
        ids = [row.id for row in await self._database.fetch_all(self._statements.older, older)]
        if ids:
            await write(self._database, _DELETE, {"ids": ids})
        return len(ids)


class _Reading(NamedTuple):
    version: int
    seconds: float
    found: Sequence[Revocation]


class SqliteRevocationLog(RevocationLog):
    """Asks the file whether anything at all was committed, which takes microseconds, and reads only then.

    What was found the last time is returned again when nothing was: more than was asked for, since some of it is older
    by now, and never less.
    """

    def __init__(self, log: SqlRevocationLog, commits: SqliteCommitCounter) -> None:
        self._log = log
        self._commits = commits
        self._last: _Reading | None = None

    async def since(self, seconds: float) -> Sequence[Revocation]:
        version = self._commits.current()
        last = self._last
        if version is not None and last is not None and (last.version, last.seconds) == (version, seconds):
            return last.found
        # The mark is from before the reading: a commit in between is noticed the next time, never missed.
        found = await self._log.since(seconds)
        self._last = None if version is None else _Reading(version, seconds, found)
        return found

    async def purge(self, *, older_than_seconds: float, limit: int) -> int:
        return await self._log.purge(older_than_seconds=older_than_seconds, limit=limit)


def _microseconds(seconds: float) -> dict[str, Any]:
    return {"microseconds": round(seconds * 1_000_000)}
