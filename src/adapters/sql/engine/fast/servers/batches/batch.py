"""The shape of a batch, and of how a driver's database takes it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from adapters.sql.engine.fast.compiled import Compiled
from adapters.sql.engine.fast.servers.drivers import Link
from adapters.sql.engine.port import BatchedStatement
from adapters.sql.rows import Rows

L = TypeVar("L", bound=Link)


class Batch:
    """Statements that go together, and what became of them."""

    def __init__(self) -> None:
        self.steps: list[BatchedStatement] = []
        self.plans: list[Compiled] = []
        self.failed: BatchedStatement | None = None
        """Which one failed, as far as that is known."""
        self.matched: Sequence[int] = ()
        """How many rows each of them matched."""

    def add(self, step: BatchedStatement, plan: Compiled) -> None:
        self.steps.append(step)
        self.plans.append(plan)

    @property
    def sql(self) -> str:
        return "; ".join(plan.sql for plan in self.plans)

    def check(self) -> None:
        """Raise what a step says that matched nothing, though it had to."""
        for step, count in zip(self.steps, self.matched, strict=True):
            if count == 0 and step.on_no_match is not None:
                raise step.on_no_match()


class BatchRunner(ABC, Generic[L]):
    """How one driver's database takes several statements at once."""

    @abstractmethod
    def fits(self, batch: Batch, step: BatchedStatement, plan: Compiled) -> bool:
        """Whether the statement may go together with those that are there, at least one."""
        ...

    @abstractmethod
    async def run(self, link: L, batch: Batch) -> Rows:
        """Run them in the transaction, which begins if it has not; return what the last one returned.

        Raises DB-API errors, and `OSError` as the drivers do. The caller must have the batch checked then.
        """
        ...

    @abstractmethod
    async def commit_batch(self, link: L, batch: Batch) -> bool:
        """Run them and commit, unless one has missed. False: they are run, and to be committed once they are checked.

        Raises as `run` does.
        """
        ...

    @abstractmethod
    def form(self, batch: Batch) -> object:
        """Return what those have in common that can be committed together with this one; None: it goes alone.

        Each is all that one unit of work has to say, and its first statement demands a row.
        """
        ...

    @abstractmethod
    async def commit_batches(self, link: L, batches: Sequence[Batch]) -> None:
        """Commit these, all of one form and in this order, on a connection that has begun nothing: each of them whose
        first statement does not miss. What has missed does nothing, which the caller must have each checked for.

        Raises as `run` does; the caller must roll back then.
        """
        ...
