"""Storage in the memory of one process. Apart from the other, so that a server over a database does not import it."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from adapters.memory.audit import MemoryAuditReader
from adapters.memory.credentials import MemoryApiKeyReader
from adapters.memory.directory import MemorySessionReader, MemoryUserReader
from adapters.memory.event_log import MemoryEventLog
from adapters.memory.health import MemoryProbe
from adapters.memory.idempotency import MemoryStoredResponses
from adapters.memory.identity import MemoryAccountReader, MemoryCredentialsReader
from adapters.memory.orders import MemoryOrderReader
from adapters.memory.posts import MemoryAuthorDirectory, MemoryAuthorRevisions, MemoryCounterAudit, MemoryPostReader
from adapters.memory.relay import MemoryRelay
from adapters.memory.revocations import MemoryRevocationLog
from adapters.memory.search import MemoryPostSearch
from adapters.memory.store import MemoryStore
from adapters.memory.time import MemoryTime
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.votes import MemoryVoteReader
from adapters.memory.webhooks import MemoryDeliveryRetention, MemoryWebhookReader
from adapters.system.clock import SystemClock
from application.shared.unit_of_work import CommitListener
from application.shared.use_case import UseCase
from entrypoints.storage import Storage, recording

C = TypeVar("C")
R = TypeVar("R")


def _alone(use_case: UseCase[C, R], /) -> UseCase[C, R]:
    """Return it as it is: in memory, commits cost nothing that they could share."""
    return use_case


def memory_storage(listeners: Sequence[CommitListener] = (), store: MemoryStore | None = None) -> Storage:
    """Build storage that lives and dies with this process; two over one `store` see the same."""
    store = MemoryStore() if store is None else store
    recorder = recording()

    def units() -> MemoryUnitOfWork:
        return MemoryUnitOfWork(store, recorder, listeners)

    posts = MemoryPostReader(store)
    events, relay = MemoryEventLog(store), MemoryRelay(store)

    async def nothing(_: datetime) -> None:
        """Do nothing: a post's own past is cut with each vote, and mailed tokens end with the process."""

    async def close() -> None:
        store.clear()

    return Storage(
        identity_units=units,
        posts_units=units,
        orders_units=units,
        webhooks_units=units,
        webhooks=MemoryWebhookReader(store),
        deliveries=MemoryDeliveryRetention(store),
        group_commit=_alone,
        accounts=MemoryAccountReader(store),
        credentials=MemoryCredentialsReader(store),
        users=MemoryUserReader(store),
        sessions=MemorySessionReader(store),
        audit=MemoryAuditReader(store),
        votes=MemoryVoteReader(store),
        revocations=MemoryRevocationLog(store),
        api_keys=MemoryApiKeyReader(store),
        posts=posts,
        orders=MemoryOrderReader(store),
        counters=MemoryCounterAudit(store),
        purge_rank_history=nothing,
        purge_one_time_tokens=nothing,
        events=events,
        retention=events,
        relay_queue=relay,
        relay_ledger=relay,
        stored_responses=MemoryStoredResponses(store),
        search=MemoryPostSearch(store, posts),
        authors=MemoryAuthorDirectory(store),
        revisions=MemoryAuthorRevisions(store),
        commits=None,
        time=MemoryTime(store, SystemClock()),
        probe=MemoryProbe(),
        close=close,
    )
