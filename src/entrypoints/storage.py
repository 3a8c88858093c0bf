"""What storage is, and that over SQL on one of four databases; `memory_storage` has the one in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

from adapters.sql.commit_counter import SqliteCommitCounter
from adapters.sql.database import Database
from adapters.sql.events.log import SqlEventLog
from adapters.sql.events.relay import relay_over
from adapters.sql.events.retention import SqlEventRetention
from adapters.sql.group_commit import GroupCommitted
from adapters.sql.health import SqlProbe
from adapters.sql.idempotency import SqlStoredResponses
from adapters.sql.identity.audit import AuditWriter, SqlAuditReader
from adapters.sql.identity.credentials import SqlApiKeyReader, purge_one_time_tokens
from adapters.sql.identity.directory import SqlSessionReader, SqlUserReader
from adapters.sql.identity.repositories import SqlAccountReader, SqlCredentialsReader
from adapters.sql.identity.revocations import RevocationWriter, SqliteRevocationLog, SqlRevocationLog
from adapters.sql.orders import SqlOrderReader
from adapters.sql.outbox import OutboxWriter
from adapters.sql.posts.authors import BatchedAuthorDirectory, SqlAuthorDirectory
from adapters.sql.posts.ballots.contention import ContentionTracker
from adapters.sql.posts.ballots.locking import LockingBallots
from adapters.sql.posts.ballots.optimistic import BallotLookups, OptimisticBallots
from adapters.sql.posts.counter_audit import SqlCounterAudit
from adapters.sql.posts.rank_history import purge_rank_history
from adapters.sql.posts.reader import SqlPostReader
from adapters.sql.posts.revisions import RevisionWriter, SqlAuthorRevisions, SqliteAuthorRevisions
from adapters.sql.posts.search import SqlPostSearch
from adapters.sql.posts.votes import SqlVoteReader
from adapters.sql.storage_time import SqlTime
from adapters.sql.transaction import Track, Transaction
from adapters.sql.unit_of_work import SqlUnitOfWork
from adapters.sql.webhooks.reader import SqlWebhookReader
from adapters.sql.webhooks.retention import SqlDeliveryRetention
from adapters.system.ids import Uuid7Generator
from adapters.system.origin import ContextOrigins
from application.events.ports import RelayLedger, RelayQueue
from application.events.retention import EventRetention
from application.identity.audit import Recorder
from application.identity.credentials import ApiKeyReader
from application.identity.ports import (
    AccountReader,
    AuditReader,
    CredentialsReader,
    IdentityUnitOfWork,
    RevocationLog,
    SessionReader,
    UserReader,
)
from application.orders.ports import OrderReader, OrdersUnitOfWork
from application.posts.ports import (
    AuthorDirectory,
    AuthorRevisions,
    CounterAudit,
    PostReader,
    PostsUnitOfWork,
    VoteReader,
)
from application.posts.search import PostSearch
from application.shared.clock import StorageTime
from application.shared.commit_counter import CommitCounter
from application.shared.event_log import EventLog
from application.shared.group_commit import GroupCommit
from application.shared.health import Probe
from application.shared.idempotency import StoredResponses
from application.shared.unit_of_work import CommitListener
from application.webhooks.ports import DeliveryRetention, WebhookReader, WebhooksUnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Every port that storage implements, over one database."""

    identity_units: Callable[[], IdentityUnitOfWork]
    posts_units: Callable[[], PostsUnitOfWork]
    orders_units: Callable[[], OrdersUnitOfWork]
    webhooks_units: Callable[[], WebhooksUnitOfWork]
    webhooks: WebhookReader
    deliveries: DeliveryRetention
    group_commit: GroupCommit
    accounts: AccountReader
    credentials: CredentialsReader
    users: UserReader
    sessions: SessionReader
    audit: AuditReader
    votes: VoteReader
    revocations: RevocationLog
    api_keys: ApiKeyReader
    posts: PostReader
    orders: OrderReader
    counters: CounterAudit
    purge_rank_history: Callable[[datetime], Awaitable[object]]
    """Forgets which ranks posts had before votes, as far as nobody may ask for them at that moment."""
    purge_one_time_tokens: Callable[[datetime], Awaitable[object]]
    """Forgets mailed tokens that had ended by then."""
    events: EventLog
    retention: EventRetention
    """Of the same log."""
    relay_queue: RelayQueue
    relay_ledger: RelayLedger
    stored_responses: StoredResponses
    search: PostSearch
    authors: AuthorDirectory
    revisions: AuthorRevisions
    commits: CommitCounter | None
    """None where a look at it would cost as much as a read."""
    time: StorageTime
    probe: Probe
    close: Callable[[], Awaitable[None]]


def recording() -> Recorder:
    """Return what every unit of work records by."""
    return Recorder(ids=Uuid7Generator(), origins=ContextOrigins())


Ballots: TypeAlias = Callable[[Transaction, Track], LockingBallots]


def ballots_on(database: Database, contention: ContentionTracker) -> Ballots:
    """Choose how votes read their post: locked where writers wait for each other anyway, as on SQLite."""
    if not database.optimistic:
        return LockingBallots
    return partial(OptimisticBallots, lookups=BallotLookups(database), contention=contention)


def sql_storage(
    database: Database, listeners: Sequence[CommitListener] = (), *, ballots: Ballots | None = None
) -> Storage:
    """Build storage over `database`, whichever of the four it is; `ballots`: other than those chosen for it."""
    recorder = recording()
    ballots = ballots or ballots_on(database, ContentionTracker())

    # Revisions first, whose rows are locked in one order by all. Revocations last: the sooner they are committed after
    # their time is taken, the better. The others lock nothing that another transaction changes.
    participants = (RevisionWriter(), AuditWriter(recorder), OutboxWriter(recorder.new_id), RevocationWriter())

    def units() -> SqlUnitOfWork:
        return SqlUnitOfWork(database, recorder, ballots, participants, listeners)

    # On SQLite the file itself says whether anything changed, at the cost of a few microseconds; elsewhere the
    # revision is one look-up by primary key.
    guard, log = database.sqlite_guard, SqlRevocationLog(database)
    commits = None if guard is None else SqliteCommitCounter(guard)
    revisions = SqlAuthorRevisions(database) if commits is None else SqliteAuthorRevisions(commits)
    revocations = log if commits is None else SqliteRevocationLog(log, commits)
    authors = BatchedAuthorDirectory(database) if commits is None else SqlAuthorDirectory(database)

    posts = SqlPostReader(database)
    events, relay = SqlEventLog(database), relay_over(database)

    async def purge(now: datetime) -> None:
        while await purge_rank_history(database, now=now):
            pass

    async def close() -> None:
        if commits is not None:
            await commits.close()
        await database.dispose()

    return Storage(
        identity_units=units,
        posts_units=units,
        orders_units=units,
        webhooks_units=units,
        webhooks=SqlWebhookReader(database),
        deliveries=SqlDeliveryRetention(database),
        group_commit=partial(GroupCommitted, database),
        accounts=SqlAccountReader(database),
        credentials=SqlCredentialsReader(database),
        users=SqlUserReader(database),
        sessions=SqlSessionReader(database),
        audit=SqlAuditReader(database),
        votes=SqlVoteReader(database),
        revocations=revocations,
        api_keys=SqlApiKeyReader(database),
        posts=posts,
        orders=SqlOrderReader(database),
        counters=SqlCounterAudit(database),
        purge_rank_history=purge,
        purge_one_time_tokens=lambda now: purge_one_time_tokens(database, until=now),
        events=events,
        retention=SqlEventRetention(database),
        relay_queue=relay,
        relay_ledger=relay,
        stored_responses=SqlStoredResponses(database),
        search=SqlPostSearch(database, posts),
        authors=authors,
        revisions=revisions,
        commits=commits,
        time=SqlTime(database),
        probe=SqlProbe(database),
        close=close,
    )
