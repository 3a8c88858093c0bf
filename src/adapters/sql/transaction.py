"""The transaction of one unit of work, as its repositories see it."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Executable, Insert, insert

from adapters.sql.database import Database, Parameters
from adapters.sql.dialects.base import Dialect
from adapters.sql.engine.port import Step, StepFailed
from adapters.sql.errors import CAUGHT, Named, translated
from adapters.sql.outbox import rows_for, statement_for
from adapters.sql.rows import Rows
from adapters.sql.tables import AuditRow, RevocationRow, table_of
from application.events.own_posts import changed_author
from application.identity.audit import AuditRecord, Recorder
from application.identity.revocations import revocation_of
from application.shared.errors import StorageUnavailable, TransientFailure, VersionConflict
from domain.shared.events import Aggregate, DomainEvent

_RECORD = insert(table_of(AuditRow))


@cache
def _revoke(dialect: Dialect) -> Insert:
    # By the database's clock, which all processes share.
    return insert(table_of(RevocationRow)).values(created_at=dialect.now)


class Transaction:
    """Runs statements in one transaction, and knows whose events belong to it. It begins with its first statement.

    As a context manager it ends itself, and what was not committed is rolled back.

    Without a `recorder` it is one of the program's own (a fence, a purge), which touches no aggregates.
    """

    def __init__(self, database: Database, recorder: Recorder | None = None) -> None:
        self._recorder = recorder
        self._database = database
        self._dialect = database.dialect
        self._unit = database.unit()
        self._touched: list[Aggregate] = []
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.end()

    async def run(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> Rows:
        """Run one statement.

        A violated constraint that `named` knows raises what it means there; `TransientFailure` and
        `StorageUnavailable` as everywhere.
        """
        self._demand_open()
        try:
            return await self._unit.run(statement, parameters, named)
        except StepFailed as failed:
            raise self._meant(failed) from failed.__cause__
        except CAUGHT as error:
            raise self._translated(error, named) from error

    async def put(
        self,
        statement: Executable,
        parameters: Parameters,
        named: Named | None = None,
        *,
        missed: Callable[[], Exception] | None = None,
        lost: Callable[[], Exception] | None = None,
        row: UUID | None = None,
    ) -> None:
        """Have one statement run whose answer nobody needs before the commit.

        It is sent at once, or where that saves round trips with the next one whose answer is needed, at the latest
        with the commit: in order, and raising there what `run` would have raised; where it matched no row what
        `missed` returns, and where it lost a race what `lost` does. Some databases do not tell who of those that are
        sent together lost one: then it is taken for the first that has a `lost`. For `row` see `Step`.
        """
        self._demand_open()
        try:
            await self._unit.enqueue(Step(statement, parameters, named, missed, lost, row))
        except StepFailed as failed:
            raise self._meant(failed) from failed.__cause__

    def _meant(self, failed: StepFailed) -> Exception:
        cause = failed.__cause__
        if not isinstance(cause, CAUGHT):
            raise TypeError("a failed step without its cause") from failed
        meant = self._translated(cause, None if failed.step is None else failed.step.named)
        if isinstance(meant, TransientFailure):
            return next((step.lost() for step in failed.among if step.lost is not None), meant)
        return meant

    def _translated(self, error: Exception, named: Named | None = None) -> Exception:
        meant = translated(error, self._dialect, named)
        if isinstance(meant, StorageUnavailable):
            self._database.writes.failed(meant)
        return meant

    def _demand_open(self) -> None:
        if self._ended:
            raise RuntimeError("the unit of work has ended")

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of `rows`, in their order; for none, nothing. Raises as `run` does."""
        self._demand_open()
        if not rows:
            return
        if len(rows) == 1:
            await self.run(statement, rows[0])
            return
        try:
            await self._unit.run_many(statement, rows)
        except StepFailed as failed:
            raise self._meant(failed) from failed.__cause__
        except CAUGHT as error:
            raise self._translated(error) from error

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def run_guarded(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> None:
        """Run a statement whose WHERE demands what was loaded. Raises `VersionConflict` when nothing matched."""
        if (await self.run(statement, parameters, named)).count != 1:
            raise VersionConflict

    async def record(self, records: Sequence[AuditRecord]) -> None:
        """Add to the audit trail."""
        for record in records:
            await self.put(_RECORD, _audit_values(record))

    @property
    def is_grouped(self) -> bool:
        """Whether a commit becomes durable only with the group that this is run in."""
        return self._unit.grouped

    def when_durable(self, news: Callable[[], Awaitable[None]]) -> None:
        """Have `news` run when this transaction, grouped and committed by now, is durable."""
        self._unit.when_durable(news)

    def touch(self, aggregate: Aggregate) -> None:
        """Remember whose events belong to this commit."""
        if self._recorder is None:
            raise RuntimeError("events would go unrecorded")
        for known in self._touched:
            if known is aggregate:
                return
        self._touched.append(aggregate)

    async def commit(self) -> Sequence[DomainEvent]:
        """Commit, and return the events that were committed with it, in order of touching."""
        self._demand_open()
        try:
            events = [event for aggregate in self._touched for event in aggregate.pull_events()]
            await self._store(events)
            await self._unit.commit()
        except StepFailed as failed:
            raise self._meant(failed) from failed.__cause__
        except CAUGHT as error:
            raise self._translated(error) from error
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
            await self.put(self._dialect.bump_revision, {"author_id": author_id})
        if self._recorder is not None:
            await self.record(self._recorder.records_of(events))
            told = rows_for(self._dialect, events, self._recorder.new_id)
            if len(told) == 1:
                await self.put(statement_for(self._dialect), told[0])
            else:
                await self.run_many(statement_for(self._dialect), told)
        # Last of all: the sooner they are committed after their moment is taken, the better.
        for revocation in [found for event in events if (found := revocation_of(event)) is not None]:
            row = {"id": uuid4(), "session_id": revocation.session_id, "generation": revocation.generation}
            await self.run(_revoke(self._dialect), row)

    async def _close(self) -> None:
        try:
            await self._unit.close()
        except CAUGHT as error:
            # What was not committed is rolled back by the loss of the connection just as well; but after a pool that
            # is broken otherwise, going on would hide it.
            failure = translated(error, self._dialect)
            if failure is error:
                raise


async def write(database: Database, statement: Executable, parameters: Parameters) -> int:
    """Run one statement in a transaction of its own, and return how many rows it matched. Raises as `run` does."""
    async with Transaction(database) as transaction:
        rows = await transaction.run(statement, parameters)
        await transaction.commit()
    return rows.count


async def write_each(database: Database, statement: Executable, rows: Sequence[Parameters]) -> int:
    """Run one statement for each of `rows` in a transaction of its own, and return how many they are.

    Purges delete by key so: two at once do not wait for each other's ranges.
    """
    if rows:
        async with Transaction(database) as transaction:
            await transaction.run_many(statement, rows)
            await transaction.commit()
    return len(rows)


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
