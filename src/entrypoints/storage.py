"""Which storage stands behind the ports: memory, or SQL on one of four databases."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.memory.audit import MemoryAuditReader
from adapters.memory.credentials import MemoryApiKeyReader
from adapters.memory.directory import MemorySessionReader, MemoryUserReader
from adapters.memory.event_log import MemoryEventLog
from adapters.memory.grouping import MemoryGrouping
from adapters.memory.health import MemoryProbe
from adapters.memory.idempotency import MemoryKeptAnswers
from adapters.memory.identity import MemoryAccountReader, MemoryCredentialsReader
from adapters.memory.orders import MemoryOrderReader
from adapters.memory.posts import MemoryAuthorDirectory, MemoryAuthorRevisions, MemoryCounterAudit, MemoryPostReader
from adapters.memory.relay import MemoryRelay
from adapters.memory.revocations import MemoryRevocationLog
from adapters.memory.search import MemoryPostSearch
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.votes import MemoryVoteReader
from adapters.memory.webhooks import MemoryDeliveryRetention, MemoryWebhookReader, MemoryWebhooksUnitOfWork
from adapters.sql.audit import SqlAuditReader
from adapters.sql.authors import SqlAuthorDirectory
from adapters.sql.ballots import SqlCounterAudit, purge_past_ranks
from adapters.sql.commits import SqliteCommits
from adapters.sql.credentials import SqlApiKeyReader
from adapters.sql.database import Database
from adapters.sql.directory import SqlSessionReader, SqlUserReader
from adapters.sql.event_log import SqlEventLog
from adapters.sql.grouped import SqlGrouping
from adapters.sql.health import SqlProbe
from adapters.sql.idempotency import SqlKeptAnswers
from adapters.sql.identity import SqlAccountReader, SqlCredentialsReader
from adapters.sql.orders import SqlOrderReader
from adapters.sql.post_reader import SqlPostReader
from adapters.sql.relay import relay_over
from adapters.sql.retention import SqlEventRetention
from adapters.sql.revisions import SqlAuthorRevisions, SqliteAuthorRevisions
from adapters.sql.revocations import SqliteRevocationLog, SqlRevocationLog
from adapters.sql.search import SqlPostSearch
from adapters.sql.unit_of_work import SqlUnitOfWork
from adapters.sql.votes import SqlVoteReader
from adapters.sql.webhooks import SqlDeliveryRetention, SqlWebhookReader, SqlWebhooksUnitOfWork
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
from application.shared.commits import CommitMarks
from application.shared.event_log import EventLog
from application.shared.grouping import Grouping
from application.shared.health import Probe
from application.shared.idempotency import KeptAnswers
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
    grouped: Grouping
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
    purge_past_ranks: Callable[[datetime], Awaitable[object]]
    """Forgets which ranks posts had before votes, as far as nobody may ask for them at that moment."""
    events: EventLog
    retention: EventRetention
    """Of the same log."""
    relay_queue: RelayQueue
    relay_ledger: RelayLedger
    kept_answers: KeptAnswers
    search: PostSearch
    authors: AuthorDirectory
    revisions: AuthorRevisions
    commits: CommitMarks | None
    """None where a look at it would cost as much as a read."""
    probe: Probe
    close: Callable[[], Awaitable[None]]


def _recorder() -> Recorder:
    return Recorder(ids=Uuid7Generator(), origins=ContextOrigins())


def memory_storage(listeners: Sequence[CommitListener] = (), store: MemoryStore | None = None) -> Storage:
    """Build storage that lives and dies with this process; two over one `store` see the same."""
    store = MemoryStore() if store is None else store
    recorder = _recorder()

    def units() -> MemoryUnitOfWork:
        return MemoryUnitOfWork(store, recorder, listeners)

    posts = MemoryPostReader(store)
    events, relay = MemoryEventLog(store), MemoryRelay(store)

    async def nothing(_: datetime) -> None:
        """Do nothing: a post's own past is cut with each vote."""

    async def close() -> None:
        store.clear()

    return Storage(
        identity_units=units,
        posts_units=units,
        orders_units=units,
        webhooks_units=lambda: MemoryWebhooksUnitOfWork(store, recorder, listeners),
        webhooks=MemoryWebhookReader(store),
        deliveries=MemoryDeliveryRetention(store),
        grouped=MemoryGrouping(),
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
        purge_past_ranks=nothing,
        events=events,
        retention=events,
        relay_queue=relay,
        relay_ledger=relay,
        kept_answers=MemoryKeptAnswers(store),
        search=MemoryPostSearch(store, posts),
        authors=MemoryAuthorDirectory(store),
        revisions=MemoryAuthorRevisions(store),
        commits=None,
        probe=MemoryProbe(),
        close=close,
    )


def sql_storage(database: Database, listeners: Sequence[CommitListener] = ()) -> Storage:
    """Build storage over `database`, whichever of the four it is."""
    recorder = _recorder()

    def units() -> SqlUnitOfWork:
        return SqlUnitOfWork(database, recorder, listeners)

    # On SQLite the file itself says whether anything changed, at the cost of a few microseconds; elsewhere the
    # revision is one look-up by primary key.
    sqlite_file = database.sqlite_file
    revisions = SqlAuthorRevisions(database) if sqlite_file is None else SqliteAuthorRevisions(sqlite_file)
    commits = None if sqlite_file is None else SqliteCommits(sqlite_file)

    posts = SqlPostReader(database)
    events, relay = SqlEventLog(database), relay_over(database)
    log = SqlRevocationLog(database)
    revocations = log if sqlite_file is None else SqliteRevocationLog(log, sqlite_file)

    async def purge(now: datetime) -> None:
        while await purge_past_ranks(database, now=now):
            pass

    async def close() -> None:
        await revocations.close()
        await revisions.close()
        if commits is not None:
            await commits.close()
        await database.dispose()

    return Storage(
        identity_units=units,
        posts_units=units,
        orders_units=units,
        webhooks_units=lambda: SqlWebhooksUnitOfWork(database, recorder, listeners),
        webhooks=SqlWebhookReader(database),
        deliveries=SqlDeliveryRetention(database),
        grouped=SqlGrouping(database),
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
        purge_past_ranks=purge,
        events=events,
        retention=SqlEventRetention(database),
        relay_queue=relay,
        relay_ledger=relay,
        kept_answers=SqlKeptAnswers(database),
        search=SqlPostSearch(database, posts),
        authors=SqlAuthorDirectory(database),
        revisions=revisions,
        commits=commits,
        probe=SqlProbe(database),
        close=close,
    )
