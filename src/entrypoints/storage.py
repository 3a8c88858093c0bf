"""Which storage stands behind the ports: memory, or SQL on one of four databases."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from adapters.memory.health import MemoryProbe
from adapters.memory.identity import MemoryAccountReader, MemoryCredentialsReader
from adapters.memory.posts import MemoryAuthorDirectory, MemoryAuthorRevisions, MemoryPostReader
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.sql.database import Database
from adapters.sql.health import SqlProbe
from adapters.sql.identity import SqlAccountReader, SqlCredentialsReader
from adapters.sql.posts import SqlAuthorDirectory, SqlPostReader
from adapters.sql.revisions import SqlAuthorRevisions, SqliteAuthorRevisions
from adapters.sql.unit_of_work import SqlUnitOfWork
from application.identity.ports import AccountReader, CredentialsReader, IdentityUnitOfWork
from application.posts.ports import AuthorDirectory, AuthorRevisions, PostReader, PostsUnitOfWork
from application.shared.health import Probe
from application.shared.unit_of_work import CommitListener


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Every port that storage implements, over one database."""

    identity_units: Callable[[], IdentityUnitOfWork]
    posts_units: Callable[[], PostsUnitOfWork]
    accounts: AccountReader
    credentials: CredentialsReader
    posts: PostReader
    authors: AuthorDirectory
    revisions: AuthorRevisions
    probe: Probe
    close: Callable[[], Awaitable[None]]


def memory_storage(listeners: Sequence[CommitListener] = (), store: MemoryStore | None = None) -> Storage:
    """Build storage that lives and dies with this process; two over one `store` see the same."""
    store = MemoryStore() if store is None else store

    def units() -> MemoryUnitOfWork:
        return MemoryUnitOfWork(store, listeners)

    async def close() -> None:
        store.clear()

    return Storage(
        identity_units=units,
        posts_units=units,
        accounts=MemoryAccountReader(store),
        credentials=MemoryCredentialsReader(store),
        posts=MemoryPostReader(store),
        authors=MemoryAuthorDirectory(store),
        revisions=MemoryAuthorRevisions(store),
        probe=MemoryProbe(),
        close=close,
    )


def sql_storage(database: Database, listeners: Sequence[CommitListener] = ()) -> Storage:
    """Build storage over `database`, whichever of the four it is."""

    def units() -> SqlUnitOfWork:
        return SqlUnitOfWork(database, listeners)

    # On SQLite the file itself says whether anything changed, at the cost of a few microseconds; elsewhere the
    # revision is one look-up by primary key.
    sqlite_file = database.sqlite_file
    revisions = SqlAuthorRevisions(database) if sqlite_file is None else SqliteAuthorRevisions(sqlite_file)

    async def close() -> None:
        await revisions.close()
        await database.dispose()

    return Storage(
        identity_units=units,
        posts_units=units,
        accounts=SqlAccountReader(database),
        credentials=SqlCredentialsReader(database),
        posts=SqlPostReader(database),
        authors=SqlAuthorDirectory(database),
        revisions=revisions,
        probe=SqlProbe(database),
        close=close,
    )
