"""The unit of work in memory."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

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

ACCOUNT_REMOVALS: Final[tuple[AccountRemoval, ...]] = (revert_votes, delete_posts_of, forget_customer, delete_keys_of)
"""What each context does, in this order: votes are reverted while all posts are there."""


class MemoryUnitOfWork(IdentityUnitOfWork, PostsUnitOfWork, OrdersUnitOfWork, WebhooksUnitOfWork):
    """One transaction over `store`; good for one `async with`."""

    def __init__(self, store: MemoryStore, recorder: Recorder, listeners: Sequence[CommitListener] = ()) -> None:
        self._listeners = listeners
        self._transaction = Transaction(store, recorder)
        self._recorder = recorder
        # Held here, since the event loop holds its tasks weakly.
        self._notifying: asyncio.Future[None] | None = None

    @property
    def users(self) -> MemoryUserRepository:
        return MemoryUserRepository(self._transaction, ACCOUNT_REMOVALS)

    @property
    def sessions(self) -> MemorySessionRepository:
        return MemorySessionRepository(self._transaction)

    @property
    def one_time_tokens(self) -> MemoryOneTimeTokenRepository:
        return MemoryOneTimeTokenRepository(self._transaction)

    @property
    def second_factors(self) -> MemorySecondFactorRepository:
        return MemorySecondFactorRepository(self._transaction)

    @property
    def api_keys(self) -> MemoryApiKeyRepository:
        return MemoryApiKeyRepository(self._transaction)

    @property
    def audit(self) -> MemoryAuditTrail:
        return MemoryAuditTrail(self._transaction, self._recorder)

    @property
    def idempotency(self) -> MemoryIdempotencyKeys:
        return MemoryIdempotencyKeys(self._transaction)

    @property
    def posts(self) -> MemoryPostRepository:
        return MemoryPostRepository(self._transaction)

    @property
    def ballots(self) -> MemoryBallotRepository:
        return MemoryBallotRepository(self._transaction)

    @property
    def orders(self) -> MemoryOrderRepository:
        return MemoryOrderRepository(self._transaction)

    @property
    def webhooks(self) -> MemoryWebhookRepository:
        return MemoryWebhookRepository(self._transaction)

    @property
    def deliveries(self) -> MemoryDeliveryRepository:
        return MemoryDeliveryRepository(self._transaction)

    @property
    def fan_out(self) -> MemoryFanOutCursor:
        return MemoryFanOutCursor(self._transaction)

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
            self._notifying = asyncio.ensure_future(self._notify(events))
            await asyncio.shield(self._notifying)

    async def _notify(self, events: Sequence[DomainEvent]) -> None:
        for listener in self._listeners:
            await listener.committed(events)
