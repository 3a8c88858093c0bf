"""The unit of work in memory."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from adapters.memory.audit import MemoryAuditTrail
from adapters.memory.credentials import (
    MemoryApiKeyRepository,
    MemoryOneTimeTokenRepository,
    MemorySecondFactorRepository,
)
from adapters.memory.idempotency import MemoryIdempotencyKeys, delete_keys_of
from adapters.memory.identity import AccountRemoval, MemorySessionRepository, MemoryUserRepository
from adapters.memory.orders import MemoryOrderRepository, forget_customer
from adapters.memory.posts import MemoryBallotRepository, MemoryPostRepository, delete_posts_of, revert_votes
from adapters.memory.store import MemoryStore, Transaction
from adapters.memory.webhooks import MemoryDeliveryRepository, MemoryFanOutCursor, MemoryWebhookRepository
from adapters.shared.request import note_commit
from application.identity.audit import Recorder
from application.identity.ports import IdentityUnitOfWork
from application.orders.ports import OrdersUnitOfWork
from application.posts.ports import PostsUnitOfWork
from application.shared.unit_of_work import CommitListener
from application.webhooks.ports import WebhooksUnitOfWork
from domain.shared.events import DomainEvent

R = TypeVar("R")

ACCOUNT_REMOVALS: Final[tuple[AccountRemoval, ...]] = (revert_votes, delete_posts_of, forget_customer, delete_keys_of)
"""What each context does, in this order: votes are reverted while all posts are there."""


class MemoryUnitOfWork(IdentityUnitOfWork, PostsUnitOfWork, OrdersUnitOfWork, WebhooksUnitOfWork):
    """One transaction over `store`; good for one `async with`."""

    def __init__(self, store: MemoryStore, recorder: Recorder, listeners: Sequence[CommitListener] = ()) -> None:
        self._listeners = listeners
        self._transaction = Transaction(store, recorder)
        self._recorder = recorder
        self._repositories: dict[Any, Any] = {}
        # Held here, since the event loop holds its tasks weakly.
        self._telling: asyncio.Future[None] | None = None

    def _made(self, make: Callable[[Transaction], R]) -> R:
        """Return the repository that `make` makes, one a unit of work: few use more than two of them."""
        if make not in self._repositories:
            self._repositories[make] = make(self._transaction)
        made: R = self._repositories[make]
        return made

    @property
    def users(self) -> MemoryUserRepository:
        return MemoryUserRepository(self._transaction, ACCOUNT_REMOVALS)

    @property
    def sessions(self) -> MemorySessionRepository:
        return self._made(MemorySessionRepository)

    @property
    def one_time_tokens(self) -> MemoryOneTimeTokenRepository:
        return self._made(MemoryOneTimeTokenRepository)

    @property
    def second_factors(self) -> MemorySecondFactorRepository:
        return self._made(MemorySecondFactorRepository)

    @property
    def api_keys(self) -> MemoryApiKeyRepository:
        return self._made(MemoryApiKeyRepository)

    @property
    def audit(self) -> MemoryAuditTrail:
        return MemoryAuditTrail(self._transaction, self._recorder)

    @property
    def idempotency(self) -> MemoryIdempotencyKeys:
        return self._made(MemoryIdempotencyKeys)

    @property
    def posts(self) -> MemoryPostRepository:
        return self._made(MemoryPostRepository)

    @property
    def ballots(self) -> MemoryBallotRepository:
        return self._made(MemoryBallotRepository)

    @property
    def orders(self) -> MemoryOrderRepository:
        return self._made(MemoryOrderRepository)

    @property
    def webhooks(self) -> MemoryWebhookRepository:
        return self._made(MemoryWebhookRepository)

    @property
    def deliveries(self) -> MemoryDeliveryRepository:
        return self._made(MemoryDeliveryRepository)

    @property
    def fan_out(self) -> MemoryFanOutCursor:
        return self._made(MemoryFanOutCursor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transaction.end()

    async def commit(self) -> None:
        events = self._transaction.commit()
        note_commit()
        if events and self._listeners:
            # It is committed: a caller who hangs up now must not keep the listeners from hearing of it.
            self._telling = asyncio.ensure_future(self._tell(events))
            await asyncio.shield(self._telling)

    async def _tell(self, events: Sequence[DomainEvent]) -> None:
        for listener in self._listeners:
            await listener.committed(events)
