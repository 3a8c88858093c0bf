"""The unit of work: one transaction, from the first load to the commit."""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from application.shared.idempotency import IdempotencyKeys
from domain.shared.events import DomainEvent


class UnitOfWork(Protocol):
    """One transaction. Leaving the block without `commit` rolls back, with or without an error.

    What a repository's `get` returns stays locked against other units of work until this one ends, so that a decision
    made on it still holds when it is saved; or, where the repository says so, the commit finds out that it does not.
    The version guard stays all the same: it catches an aggregate kept from an earlier unit of work.
    """

    @property
    def idempotency(self) -> IdempotencyKeys: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def commit(self) -> None:
        """Make it durable. The events of every aggregate that was added or saved are committed with it.

        A step may be sent only now, and then fails now: where a repository says so, what it raises may come from here.
        Raises `TransientFailure` when the unit of work lost a race, `StorageUnavailable` when the database is gone.
        """
        ...


class CommitListener(Protocol):
    """Is told of what was committed, after the commit and before the caller is answered.

    That order carries the promise that a caller's acknowledged write is seen by their next read.
    """

    async def committed(self, events: Sequence[DomainEvent]) -> None: ...
