"""The unit of work in memory."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from adapters.memory.audit import MemoryAuditTrail
from adapters.memory.credentials import (
    MemoryApiKeyRepository,
    MemoryOneTimeTokenRepository,
    MemorySecondFactorRepository,
)
from adapters.memory.idempotency import MemoryIdempotencyKeys
from adapters.memory.identity import MemorySessionRepository, MemoryUserRepository
from adapters.memory.orders import MemoryOrderRepository
from adapters.memory.posts import MemoryBallotRepository, MemoryPostRepository
from adapters.memory.store import MemoryStore, Transaction
from adapters.shared.request import note_commit
from application.identity.audit import Recorder
from application.identity.ports import IdentityUnitOfWork
from application.orders.ports import OrdersUnitOfWork
from application.posts.ports import PostsUnitOfWork
from application.shared.unit_of_work import CommitListener
from domain.shared.events import DomainEvent


class MemoryUnitOfWork(IdentityUnitOfWork, PostsUnitOfWork, OrdersUnitOfWork):
    """One transaction over `store`; good for one `async with`."""

    def __init__(self, store: MemoryStore, recorder: Recorder, listeners: Sequence[CommitListener] = ()) -> None:
        self._listeners = listeners
        self._transaction = Transaction(store, recorder)
        self._users = MemoryUserRepository(self._transaction)
        self._sessions = MemorySessionRepository(self._transaction)
        self._one_time_tokens = MemoryOneTimeTokenRepository(self._transaction)
        self._second_factors = MemorySecondFactorRepository(self._transaction)
        self._api_keys = MemoryApiKeyRepository(self._transaction)
        self._posts = MemoryPostRepository(self._transaction)
        self._ballots = MemoryBallotRepository(self._transaction)
        self._orders = MemoryOrderRepository(self._transaction)
        self._audit = MemoryAuditTrail(self._transaction, recorder)
        self._idempotency = MemoryIdempotencyKeys(self._transaction)
        # Held here, since the event loop holds its tasks weakly.
        self._telling: asyncio.Future[None] | None = None

    @property
    def users(self) -> MemoryUserRepository:
        return self._users

    @property
    def sessions(self) -> MemorySessionRepository:
        return self._sessions

    @property
    def one_time_tokens(self) -> MemoryOneTimeTokenRepository:
        return self._one_time_tokens

    @property
    def second_factors(self) -> MemorySecondFactorRepository:
        return self._second_factors

    @property
    def api_keys(self) -> MemoryApiKeyRepository:
        return self._api_keys

    @property
    def audit(self) -> MemoryAuditTrail:
        return self._audit

    @property
    def idempotency(self) -> MemoryIdempotencyKeys:
        return self._idempotency

    @property
    def posts(self) -> MemoryPostRepository:
        return self._posts

    @property
    def ballots(self) -> MemoryBallotRepository:
        return self._ballots

    @property
    def orders(self) -> MemoryOrderRepository:
        return self._orders

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
