"""The transaction of one unit of work, as its repositories see it."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias
from uuid import UUID

from sqlalchemy import Executable

from adapters.sql.database import Database, Parameters
from adapters.sql.dialects.base import Dialect
from adapters.sql.engine.port import BatchedStatement, BatchedStatementFailed
from adapters.sql.errors import CAUGHT, ConstraintErrors, application_error
from adapters.sql.rows import Rows
from application.shared.errors import StorageUnavailable, TransientFailure, VersionConflict
from domain.shared.events import Aggregate, DomainEvent

_ENDED: Final = "the unit of work has ended"


class Transaction:
    """Runs statements in one transaction, which begins with the first of them.

    As a context manager it ends itself, and what was not committed is rolled back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect: Dialect = database.dialect
        self._unit = database.unit()
        self.is_grouped = self._unit.grouped
        """Whether a commit becomes durable only with the group that this is run in."""
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.end()

    async def run(
        self, statement: Executable, parameters: Parameters, constraint_errors: ConstraintErrors | None = None
    ) -> Rows:
        """Run one statement.

        A violated constraint that `constraint_errors` knows raises what it means there; `TransientFailure` and
        `StorageUnavailable` as everywhere.
        """
        if self._ended:
            raise RuntimeError(_ENDED)
        try:
            return await self._unit.run(statement, parameters, constraint_errors)
        except BatchedStatementFailed as failed:
            raise self._meant(failed) from failed.__cause__
        except CAUGHT as error:
            raise self._translated(error, constraint_errors) from error

    async def enqueue(
        self,
        statement: Executable,
        parameters: Parameters,
        constraint_errors: ConstraintErrors | None = None,
        *,
        on_no_match: Callable[[], Exception] | None = None,
        on_conflict: Callable[[], Exception] | None = None,
        row: UUID | None = None,
    ) -> None:
        """Have one statement run whose answer nobody needs before the commit.

        It is sent at once, or where that saves round trips with the next one whose answer is needed, at the latest
        with the commit: in order, and raising there what `run` would have raised; where it matched no row what
        `on_no_match` returns, and where it lost a race what `on_conflict` does. Some databases do not tell who of those
        that are sent together lost one: then it is taken for the first that has a `on_conflict`. For `row` see `Step`.
        """
        if self._ended:
            raise RuntimeError(_ENDED)
        try:
            await self._unit.enqueue(
                BatchedStatement(statement, parameters, constraint_errors, on_no_match, on_conflict, row)
            )
        except BatchedStatementFailed as failed:
            raise self._meant(failed) from failed.__cause__

    def _meant(self, failed: BatchedStatementFailed) -> Exception:
        cause = failed.__cause__
        if not isinstance(cause, CAUGHT):
            raise TypeError("a failed step without its cause") from failed
        meant = self._translated(cause, None if failed.step is None else failed.step.constraint_errors)
        if isinstance(meant, TransientFailure):
            return next((step.on_conflict() for step in failed.among if step.on_conflict is not None), meant)
        return meant

    def _translated(self, error: Exception, constraint_errors: ConstraintErrors | None = None) -> Exception:
        meant = application_error(error, self.dialect, constraint_errors)
        if isinstance(meant, StorageUnavailable):
            self._database.writes.failed(meant)
        return meant

    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of `rows`, in their order; for none, nothing. Raises as `run` does."""
        if self._ended:
            raise RuntimeError(_ENDED)
        if not rows:
            return
        if len(rows) == 1:
            await self.run(statement, rows[0])
            return
        try:
            await self._unit.run_many(statement, rows)
        except BatchedStatementFailed as failed:
            raise self._meant(failed) from failed.__cause__
        except CAUGHT as error:
            raise self._translated(error) from error

    async def run_guarded(
        self, statement: Executable, parameters: Parameters, constraint_errors: ConstraintErrors | None = None
    ) -> None:
        """Run a statement whose WHERE demands what was loaded. Raises `VersionConflict` when nothing matched."""
        if (await self.run(statement, parameters, constraint_errors)).count != 1:
            raise VersionConflict

    def on_durable(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have `callback` run when this transaction, grouped and committed by now, is durable."""
        self._unit.on_durable(callback)

    async def commit(self) -> None:
        if self._ended:
            raise RuntimeError(_ENDED)
        try:
            await self._unit.commit()
        except BatchedStatementFailed as failed:
            raise self._meant(failed) from failed.__cause__
        except CAUGHT as error:
            raise self._translated(error) from error

    async def end(self) -> None:
        """Roll back what was not committed and give the connection back. Ending twice is ending once."""
        if self._ended:
            return
        self._ended = True
        try:
            await self._unit.close()
        except CAUGHT as error:
            # What was not committed is rolled back by the loss of the connection just as well; but after a pool that
            # is broken otherwise, going on would hide it.
            failure = application_error(error, self.dialect)
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


Track: TypeAlias = Callable[[Aggregate], None]


class SqlRepository:
    """What writes in a unit of work: in its transaction, and it tells which aggregates' events belong to the commit."""

    def __init__(self, transaction: Transaction, track: Track) -> None:
        self._transaction = transaction
        self._track = track


class CommitParticipant(Protocol):
    """Writes what must be committed together with events."""

    async def before_commit(self, transaction: Transaction, events: Sequence[DomainEvent]) -> None:
        """Run or put statements. Raises as these do."""
        ...
