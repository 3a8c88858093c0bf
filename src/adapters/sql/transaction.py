"""The transaction of one unit of work, as its repositories see it."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Executable, Insert, Result, insert

from adapters.sql.compiled import Rows
from adapters.sql.database import Database, Parameters
from adapters.sql.dialects.base import Dialect
from adapters.sql.errors import CAUGHT, Named, translated
from adapters.sql.models import AuditRow, RevocationRow, table_of
from adapters.sql.outbox import rows_for, statement_for
from application.events.own_posts import changed_author
from application.identity.audit import AuditRecord, Recorder
from application.identity.revocations import revocation_of
from application.shared.errors import VersionConflict
from domain.shared.events import Aggregate, DomainEvent

_RECORD = insert(table_of(AuditRow))


@cache
def _revoke(dialect: Dialect) -> Insert:
    # By the database's clock, which all processes share.
    return insert(table_of(RevocationRow)).values(created_at=dialect.now)


class Transaction:
    """Runs statements in one transaction, and knows whose events belong to it. It begins with its first statement.

    Without a `recorder` it is one of the program's own (a fence, a purge), which touches no aggregates.
    """

    def __init__(self, database: Database, recorder: Recorder | None = None) -> None:
        self._recorder = recorder
        self._dialect = database.dialect
        self._unit = database.unit()
        self._touched: list[Aggregate] = []
        self._ended = False

    async def execute(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> Result[Any]:
        """Run one statement.

        A violated constraint that `named` knows raises what it means there; `TransientFailure` and
        `StorageUnavailable` as everywhere.
        """
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        try:
            return await self._unit.execute(statement, parameters)
        except CAUGHT as error:
            raise translated(error, self._dialect, named) from error

    async def run(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> Rows:
        """Run one statement past SQLAlchemy where that is possible: what is run often. Raises as `execute` does."""
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        try:
            return await self._unit.run(statement, parameters)
        except CAUGHT as error:
            raise translated(error, self._dialect, named) from error

    async def execute_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of `rows`, in their order; for none, nothing. Raises as `execute` does."""
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        if not rows:
            return
        if len(rows) == 1:
            await self.run(statement, rows[0])
            return
        try:
            await self._unit.execute(statement, rows)
        except CAUGHT as error:
            raise translated(error, self._dialect) from error

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def execute_guarded(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> None:
        """Run a statement whose WHERE demands what was loaded. Raises `VersionConflict` when nothing matched."""
        if (await self.run(statement, parameters, named)).count != 1:
            raise VersionConflict

    async def record(self, records: Sequence[AuditRecord]) -> None:
        """Add to the audit trail."""
        for record in records:
            await self.run(_RECORD, _audit_values(record))

    @property
    def is_grouped(self) -> bool:
        """Whether a commit becomes durable only with the group that this is run in."""
        return self._unit.grouped

    def when_durable(self, news: Callable[[], Awaitable[None]]) -> None:
        """Have `news` run when this transaction, grouped and committed by now, is durable."""
        self._unit.defer(news)

    def touch(self, aggregate: Aggregate) -> None:
        """Remember whose events belong to this commit."""
        if self._recorder is None:
            raise RuntimeError("events would go unrecorded")
        if not any(known is aggregate for known in self._touched):
            self._touched.append(aggregate)

    async def commit(self) -> Sequence[DomainEvent]:
        """Commit, and return the events that were committed with it, in order of touching."""
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        try:
            events = [event for aggregate in self._touched for event in aggregate.pull_events()]
            await self._store(events)
            await self._unit.commit()
        except CAUGHT as error:
            raise translated(error, self._dialect) from error
        finally:
            await self.end()
        return events

    async def end(self) -> None:
        """Roll back what was not committed and give the connection back. Ending twice is ending once."""
        if not self._ended:
            self._ended = True
            await self._close()

    async def _store(self, events: Sequence[DomainEvent]) -> None:
        """Write what must be committed together with the events, and the events themselves."""
        # In one order for everybody, since each row is locked until the commit.
        for author_id in sorted({author for event in events if (author := changed_author(event)) is not None}):
            await self.run(self._dialect.bump_revision, {"author_id": author_id})
        if self._recorder is not None:
            await self.record(self._recorder.records_of(events))
            told = rows_for(self._dialect, events, self._recorder.new_id)
            await self.execute_many(statement_for(self._dialect), told)
        # Last of all: the sooner they are committed after their moment is taken, the better.
        for revocation in [found for event in events if (found := revocation_of(event)) is not None]:
            row = {"id": uuid4(), "session_id": revocation.session_id, "generation": revocation.generation}
            await self.execute(_revoke(self._dialect), row)

    async def _close(self) -> None:
        try:
            await self._unit.close()
        except CAUGHT as error:
            # What was not committed is rolled back by the loss of the connection just as well; but after a pool that
            # is broken otherwise, going on would hide it.
            failure = translated(error, self._dialect)
            if failure is error:
                raise


def _audit_values(record: AuditRecord) -> dict[str, Any]:
    entry, origin = record.entry, record.origin
    return {
        "id": record.id,
        "at": entry.at,
        "event": entry.event,
        "actor_id": entry.actor,
        "subject_id": entry.subject,
        "address": origin.address,
        "user_agent": origin.user_agent,
        "request_id": origin.request_id,
        "details": msgspec.json.encode(entry.details).decode(),
    }
