"""What runs statements: for reads that need no transaction, and for units of work. There are two engines."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Executable

from adapters.sql.errors import CAUGHT, ConstraintErrors
from adapters.sql.rows import AnyRow, Parameters, Rows

R = TypeVar("R")


class BatchedStatement(NamedTuple):
    """One statement of several that are sent together."""

    statement: Executable
    parameters: Parameters
    constraint_errors: ConstraintErrors | None = None
    """What a violated constraint means here."""
    on_no_match: Callable[[], Exception] | None = None
    """What to raise, and commit nothing, when it matched no row; None when that does not matter."""
    on_conflict: Callable[[], Exception] | None = None
    """What to raise when it lost a race; None: `TransientFailure`, as everywhere."""
    row: UUID | None = None
    """The row that it changes only as it was seen, and else misses. A unit of work that has read nothing in its
    transaction and begins with such a step may be committed together with others."""


class BatchedStatementFailed(Exception):
    """One of several statements failed. The cause is what it would have raised by itself."""

    def __init__(self, step: BatchedStatement | None, among: Sequence[BatchedStatement] = ()) -> None:
        super().__init__()
        self.step = step
        """Which one; None when it is not told, or was the commit."""
        self.among = (step,) if step is not None else among
        """Those that it may have been."""


class Unit(ABC):
    """The connection of one unit of work; it takes one, and begins, with its first statement.

    Statements raise what drivers and SQLAlchemy raise, see `errors.CAUGHT`; and `BatchedStatementFailed` when it was
    one of those enqueued that failed.
    """

    grouped: ClassVar[bool] = False
    """Whether it becomes durable only when the group does that it is run in."""

    @abstractmethod
    async def run(
        self, statement: Executable, parameters: Parameters, constraint_errors: ConstraintErrors | None = None
    ) -> Rows:
        """Run a statement. `constraint_errors` is for `BatchedStatementFailed`, where it is sent together with what was
        enqueued.
        """
        ...

    @abstractmethod
    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        """Run a statement once for each of `rows`, in their order."""
        ...

    async def enqueue(self, step: BatchedStatement) -> None:
        """Run `step` at once; or where that saves round trips with the next statement, at the latest with the commit.

        Raises `BatchedStatementFailed`, and what `Step.on_no_match` returns.
        """
        try:
            rows = await self.run(step.statement, step.parameters)
        except CAUGHT as error:
            raise BatchedStatementFailed(step) from error
        if rows.count == 0 and step.on_no_match is not None:
            raise step.on_no_match()

    @abstractmethod
    async def commit(self) -> None: ...

    @abstractmethod
    async def close(self) -> None:
        """Roll back what was not committed and let go of the connection."""
        ...

    def on_durable(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have `callback` run when a grouped unit of work, committed by now, is durable."""
        del callback
        raise RuntimeError("it is durable with its own commit")


class PoolState(NamedTuple):
    """One pool of connections at one moment."""

    name: str
    size: int
    """How many there may be, those opened under load included."""
    open: int
    in_use: int


class Engine(ABC):
    """What runs statements on one database: all connections that one process has to it."""

    optimistic: ClassVar[bool] = False
    """Whether what can be read without a lock, and demanded as it was seen, is best done so (`Step.row`)."""

    @abstractmethod
    async def fetch_all(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> Sequence[AnyRow]: ...

    @abstractmethod
    async def fetch_one(self, statement: Executable, parameters: Parameters, *, on_loop: bool) -> AnyRow | None: ...

    @abstractmethod
    def unit(self) -> Unit: ...

    @abstractmethod
    async def dispose(self) -> None: ...

    def pools(self) -> Sequence[PoolState]:
        """Tell how the pools are that have been opened; none where there are none."""
        return ()

    async def run_in_group(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a use case that waits for nothing but this database; where it pays, under one commit with others."""
        return await work()
