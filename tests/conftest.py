"""Fixtures: storage on every backend, and the servers behind it.

`open_storage` and `storage` run a test on memory and on every database; `database_url` on every database alone.
"""

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aio_pika import connect
from aio_pika.exceptions import AMQPError
from hypothesis import settings
from redis import asyncio as redis_asyncio
from redis.exceptions import RedisError

from adapters.memory.fence import MemoryCacheFence
from adapters.memory.store import MemoryStore
from adapters.sql.cache_fence import SqlCacheFence
from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.posts.ballots.locking import LockingBallots
from application.shared.fence import CacheFence
from application.shared.unit_of_work import CommitListener
from entrypoints.memory_storage import memory_storage
from entrypoints.storage import Storage, sql_storage
from tests.backends import BACKENDS, LOCKING, SQL_BACKENDS, Databases, missing, run_apart
from tests.fakes import SettableClock

OpenStorage = Callable[..., Storage]


# A busy machine may take a second over any example.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    # What is imported by now stays, some 800,000 objects: looking through them for garbage again and again took a
    # third of the CPU time of a test that builds the application.
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    found = Databases(tmp_path_factory.mktemp("databases"), worker)
    yield found
    found.drop_all()


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Where Redis answers. Keys are not deleted between tests: use keys of your own."""
    url = os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/15"

    async def ping() -> None:
        async with redis_asyncio.from_url(url, socket_connect_timeout=5) as client:
            await client.ping()

    try:
        run_apart(ping)
    except (OSError, RedisError) as problem:
        missing(f"no Redis: {problem}")
    return url


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """Where RabbitMQ answers. Exchanges stay: use names of your own."""
    url = os.environ.get("TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672/"

    async def ask() -> None:
        await (await connect(url, timeout=5)).close()

    try:
        run_apart(ask)
    except (OSError, TimeoutError, AMQPError) as problem:
        missing(f"no RabbitMQ: {problem}")
    return url


@pytest.fixture(params=SQL_BACKENDS)
def sql_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def database_url(sql_backend: str, databases: Databases) -> str:
    """Where the migrated, emptied database of this backend is."""
    url = databases.url(sql_backend)
    await databases.empty(sql_backend)
    return url


_MEASURED = ("memory", "sqlite", "sqlite-plain")
"""What coverage measures contracts on: tests/integration/sql measures what is done on servers."""


@pytest.fixture(
    params=[kind if kind in _MEASURED else pytest.param(kind, marks=pytest.mark.untraced) for kind in BACKENDS]
)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def memory_store() -> MemoryStore:
    """What every memory storage of one test shares, as the others share a database."""
    return MemoryStore()


@pytest.fixture
async def open_database(backend: str, databases: Databases) -> AsyncIterator[Callable[[], Database | None]]:
    """Opens pools on this backend's emptied database, as several processes would; None stands for memory."""
    opened: list[Database] = []
    kind, _, variant = backend.partition("-")
    url = None if kind == "memory" else databases.url(kind)
    if url is not None:
        await databases.empty(kind)

    def open_() -> Database | None:
        if url is None:
            return None
        opened.append(Database(DatabaseSettings(url=url, engine="plain" if variant == "plain" else "fast")))
        return opened[-1]

    yield open_
    for database in opened:
        await database.dispose()


@pytest.fixture
async def open_storage(
    backend: str, open_database: Callable[[], Database | None], memory_store: MemoryStore
) -> AsyncIterator[OpenStorage]:
    """Opens storage with the given commit listeners; called twice, it opens two processes on one database."""
    opened: list[Storage] = []
    ballots = LockingBallots if backend in LOCKING else None

    def open_(*listeners: CommitListener) -> Storage:
        database = open_database()
        if database is None:
            opened.append(memory_storage(listeners, memory_store))
        else:
            opened.append(sql_storage(database, listeners, ballots=ballots))
        return opened[-1]

    yield open_
    for storage in opened:
        await storage.close()


@pytest.fixture
def storage(open_storage: OpenStorage) -> Storage:
    return open_storage()


@pytest.fixture
def open_fence(open_database: Callable[[], Database | None], memory_store: MemoryStore) -> Callable[[], CacheFence]:
    """Opens the fence of one more process on the same storage."""

    def open_() -> CacheFence:
        database = open_database()
        return MemoryCacheFence(memory_store) if database is None else SqlCacheFence(database)

    return open_
