"""The transaction of one unit of work, as its repositories see it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, Executable, Result

from adapters.sql.database import Database, Parameters
from adapters.sql.errors import CAUGHT, Named, translated
from application.shared.errors import VersionConflict
from domain.identity.events import ProfileChanged
from domain.posts.events import PostEvent
from domain.shared.events import Aggregate, DomainEvent
from domain.shared.ids import UserId


class Transaction:
    """Runs statements in one transaction, and knows whose events belong to it. It begins with its first statement."""

    def __init__(self, database: Database) -> None:
        self._dialect = database.dialect
        self._session = database.session()
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
            return await self._session.execute(statement, parameters)
        except CAUGHT as error:
            raise translated(error, self._dialect, named) from error

    async def execute_guarded(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> None:
        """Run a statement whose WHERE demands what was loaded. Raises `VersionConflict` when nothing matched."""
        result = await self.execute(statement, parameters, named)
        if not isinstance(result, CursorResult) or result.rowcount != 1:
            raise VersionConflict

    def touch(self, aggregate: Aggregate) -> None:
        """Remember whose events belong to this commit."""
        if not any(known is aggregate for known in self._touched):
            self._touched.append(aggregate)

    async def commit(self) -> Sequence[DomainEvent]:
        """Commit, and return the events that were committed with it, in order of touching."""
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        try:
            events = [event for aggregate in self._touched for event in aggregate.pull_events()]
            await self._store(events)
            await self._session.commit()
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
        """Write what must be committed together with the events. An outbox stores the events themselves here."""
        # In one order for everybody, since each row is locked until the commit.
        for author_id in sorted({author for event in events if (author := changed_author(event)) is not None}):
            await self.execute(self._dialect.bump_revision, {"author_id": author_id})

    async def _close(self) -> None:
        try:
            await self._session.close()
        except CAUGHT as error:
            # What was not committed is rolled back by the loss of the connection just as well; but after a pool that
            # is broken otherwise, going on would hide it.
            failure = translated(error, self._dialect)
            if failure is error:
                raise


def changed_author(event: DomainEvent) -> UserId | None:
    """Return whose list of own posts looks different after `event`; None: nobody's."""
    match event:
        case PostEvent():
            return event.author_id
        case ProfileChanged():
            return event.user_id
        case _:
            return None
