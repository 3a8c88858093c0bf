"""The unit of work over a database."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from adapters.shared.cancellation import CancelledInCommit, detach
from adapters.shared.request import Request, current, note_commit
from adapters.sql.database import Database
from adapters.sql.idempotency import SqlIdempotencyKeys
from adapters.sql.identity.audit import SqlAuditTrail
from adapters.sql.identity.credentials import SqlApiKeyRepository, SqlOneTimeTokenRepository, SqlSecondFactorRepository
from adapters.sql.identity.repositories import AccountRemoval, SqlSessionRepository, SqlUserRepository
from adapters.sql.orders import SqlOrderRepository, forget_customer
from adapters.sql.posts.ballots.locking import LockingBallots
from adapters.sql.posts.ballots.removal import revert_votes
from adapters.sql.posts.repository import SqlPostRepository
from adapters.sql.posts.threads import delete_posts_of
from adapters.sql.transaction import CommitParticipant, Track, Transaction
from adapters.sql.webhooks.deliveries import SqlDeliveryRepository
from adapters.sql.webhooks.endpoints import SqlWebhookRepository
from adapters.sql.webhooks.fan_out import SqlFanOutCursor
from application.identity.audit import Recorder
from application.identity.ports import IdentityUnitOfWork
from application.orders.ports import OrdersUnitOfWork
from application.posts.ports import PostsUnitOfWork
from application.shared.unit_of_work import CommitListener
from application.webhooks.ports import WebhooksUnitOfWork
from domain.shared.events import Aggregate, DomainEvent

ACCOUNT_REMOVALS: Final[tuple[AccountRemoval, ...]] = (revert_votes, delete_posts_of, forget_customer)
"""What each context does, in this order: votes are reverted while all posts are there."""


class SqlUnitOfWork(IdentityUnitOfWork, PostsUnitOfWork, OrdersUnitOfWork, WebhooksUnitOfWork):
    """One transaction on `database`; good for one `async with`."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        ballots: Callable[[Transaction, Track], LockingBallots],
        participants: Sequence[CommitParticipant],
        listeners: Sequence[CommitListener],
    ) -> None:
        self._make_ballots = ballots
        self._ballots: LockingBallots | None = None
        self._participants = participants
        self._listeners = listeners
        self._recorder = recorder
        self.transaction = Transaction(database)
        self._tracked: list[Aggregate] = []
        self._committing: asyncio.Task[None] | None = None

    def _track(self, aggregate: Aggregate) -> None:
        """Remember whose events belong to this commit."""
        for known in self._tracked:
            if known is aggregate:
                return
        self._tracked.append(aggregate)

    @property
    def users(self) -> SqlUserRepository:
        return SqlUserRepository(self.transaction, self._track, ACCOUNT_REMOVALS)

    @property
    def sessions(self) -> SqlSessionRepository:
        return SqlSessionRepository(self.transaction, self._track)

    @property
    def one_time_tokens(self) -> SqlOneTimeTokenRepository:
        return SqlOneTimeTokenRepository(self.transaction, self._track)

    @property
    def second_factors(self) -> SqlSecondFactorRepository:
        return SqlSecondFactorRepository(self.transaction, self._track)

    @property
    def api_keys(self) -> SqlApiKeyRepository:
        return SqlApiKeyRepository(self.transaction, self._track)

    @property
    def posts(self) -> SqlPostRepository:
        return SqlPostRepository(self.transaction, self._track)

    @property
    def ballots(self) -> LockingBallots:
        if self._ballots is None:
            self._ballots = self._make_ballots(self.transaction, self._track)
        return self._ballots

    @property
    def orders(self) -> SqlOrderRepository:
        return SqlOrderRepository(self.transaction, self._track)

    @property
    def webhooks(self) -> SqlWebhookRepository:
        return SqlWebhookRepository(self.transaction, self._track)

    @property
    def deliveries(self) -> SqlDeliveryRepository:
        return SqlDeliveryRepository(self.transaction, self._track)

    @property
    def fan_out(self) -> SqlFanOutCursor:
        return SqlFanOutCursor(self.transaction, self._track)

    @property
    def idempotency(self) -> SqlIdempotencyKeys:
        return SqlIdempotencyKeys(self.transaction, self._track)

    @property
    def audit(self) -> SqlAuditTrail:
        return SqlAuditTrail(self.transaction, self._recorder)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._committing is None:
            await self.transaction.end()

    async def commit(self) -> None:
        if self.transaction.is_grouped:
            # Nobody hangs up in the middle of what is run in one go; and it is not durable yet.
            events = await self._commit_events()
            if events and self._listeners:
                self.transaction.on_durable(partial(self._tell_durable, current.get(), events))
            return
        # A caller who hangs up in the middle must not keep the listeners from hearing of what is committed: a shared
        # cache would go on serving what it has. So from here on it runs to its end, whoever waits for it.
        self._committing = asyncio.ensure_future(self._commit())
        try:
            await asyncio.shield(self._committing)
        except asyncio.CancelledError:
            if self._committing.cancelled():
                raise
            detach(self._committing)
            raise CancelledInCommit from None

    async def _commit_events(self) -> Sequence[DomainEvent]:
        """Commit, and return the events that were committed with it, in the order in which aggregates were tracked."""
        try:
            events = [event for aggregate in self._tracked for event in aggregate.pull_events()]
            for participant in self._participants:
                await participant.before_commit(self.transaction, events)
            await self.transaction.commit()
        finally:
            await self.transaction.end()
        return events

    async def _commit(self) -> None:
        events = await self._commit_events()
        note_commit()
        if events:
            await self._notify(events)

    async def _tell_durable(self, request: Request | None, events: Sequence[DomainEvent]) -> None:
        # In the task of the group, which works for no request.
        if request is not None:
            request.has_committed = True
        await self._notify(events)

    async def _notify(self, events: Sequence[DomainEvent]) -> None:
        for listener in self._listeners:
            await listener.committed(events)
