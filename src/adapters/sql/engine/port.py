"""What runs statements: for reads that need no transaction, and for units of work. There are two engines."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Executable

from adapters.sql.errors import CAUGHT, Named
from adapters.sql.rows import AnyRow, Parameters, Rows

R = TypeVar("R")


class Step(NamedTuple):
    """One statement of several that are sent together."""

    statement: Executable
    parameters: Parameters
    named: Named | None = None
    """What a violated constraint means here."""
    missed: Callable[[], Exception] | None = None
    """What to raise, and commit nothing, when it matched no row; None when that does not matter."""
    lost: Callable[[], Exception] | None = None
    """What to raise when it lost a race; None: `TransientFailure`, as everywhere."""
    row: UUID | None = None
    """The row that it changes only as it was seen, and else misses. A unit of work that has read nothing in its
    transaction and begins with such a step may be committed together with others."""


class StepFailed(Exception):
    """One of several statements failed. The cause is what it would have raised by itself."""

    def __init__(self, step: Step | None, among: Sequence[Step] = ()) -> None:
        super().__init__()
        self.step = step
        """Which one; None when it is not told, or was the commit."""
        self.among = (step,) if step is not None else among
        """Those that it may have been."""


class Unit(ABC):
    """The connection of one unit of work; it takes one, and begins, with its first statement.

    Statements raise what drivers and SQLAlchemy raise, see `errors.CAUGHT`; and `StepFailed` when it was one of those
    enqueued that failed.
    """

    grouped: ClassVar[bool] = False
    """Whether it becomes durable only when the group does that it is run in."""

    @abstractmethod
    async def run(self, statement: Executable, parameters: Parameters, named: Named | None = None) -> Rows:
        """Run a statement. `named` is for `StepFailed`, where it is sent together with what was enqueued."""
        ...

    @abstractmethod
    async def run_many(self, statement: Executable, rows: Sequence[Parameters]) -> None:
        """Run a statement once for each of `rows`, in their order."""
        ...

    async def enqueue(self, step: Step) -> None:
        """Run `step` at once; or where that saves round trips with the next statement, at the latest with the commit.

        Raises `StepFailed`, and what `Step.missed` returns.
        """
        try:
            rows = await self.run(step.statement, step.parameters)
        except CAUGHT as error:
            raise StepFailed(step) from error
        if rows.count == 0 and step.missed is not None:
            raise step.missed()

    @abstractmethod
    async def commit(self) -> None: ...

    @abstractmethod
    async def close(self) -> None:
        """Roll back what was not committed and let go of the connection."""
        ...

    def when_durable(self, callback: Callable[[], Awaitable[None]]) -> None:
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
    async def fetch_all(self, statement: Executable, parameters: Parameters, *, brief: bool) -> Sequence[AnyRow]: ...

    @abstractmethod
    async def fetch_one(self, statement: Executable, parameters: Parameters, *, brief: bool) -> AnyRow | None: ...

    @abstractmethod
    def unit(self) -> Unit: ...

    @abstractmethod
    async def dispose(self) -> None: ...

    def pools(self) -> Sequence[PoolState]:
        """Tell how the pools are that have been opened; none where there are none."""
        return ()

    async def grouped(self, story: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a use case that waits for nothing but this database; where it pays, under one commit with others."""
        return await story()
