"""A disk without room, a file or server that takes no writes, no connection left: 503 by name, and it mends itself."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from adapters.sql import health as sql_health
from adapters.sql import write_health
from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.health import SqlProbe
from adapters.sql.schema.migrate import upgrade
from application.shared.errors import StorageUnavailable
from domain.identity.user import User
from entrypoints.storage import Storage, sql_storage
from tests.backends import in_thread
from tests.builders import a_post, a_user
from tests.contracts.scenarios import given
from tests.integration.faults.servers import (
    SERVERS,
    DatabaseServer,
    fill,
    free,
    open_folder,
    read_only,
    small_disk,
    writable,
)

POSTS_UNTIL_FULL = 5_000
LONG = "all work and no play " * 400


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes at every look, and believes the first that passes."""
    monkeypatch.setattr(sql_health, "_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(sql_health, "_EVERY_SECONDS_WHILE_FAILING", 0.0)
    monkeypatch.setattr(write_health, "HOLD_SECONDS", 0.0)


@asynccontextmanager
async def opened(url: str, *, engine: str = "fast", **settings: float) -> AsyncIterator[tuple[Database, Storage]]:
    database = Database(DatabaseSettings(url=url, engine=engine, **settings))  # type: ignore[arg-type] # numbers all
    storage = sql_storage(database)
    try:
        yield database, storage
    finally:
        await storage.close()
        for _ in range(3):  # What was closed says good-bye in the loop's next turns.
            await asyncio.sleep(0)


async def write_until_it_fails(storage: Storage, user: User) -> StorageUnavailable:
    """Write long posts, one after the other, and return how the first failed that did."""
    for _ in range(POSTS_UNTIL_FULL):
        try:
            await given(storage, a_post(user, text=LONG))
        except StorageUnavailable as failure:
            return failure
    pytest.fail("the disk never became full")


async def mends(database: Database, storage: Storage) -> None:
    """Wait until the probe is content, and write."""
    probe = SqlProbe(database)

    async def is_content() -> bool:
        try:
            await probe.check()
        except StorageUnavailable:
            return False
        return True

    async with asyncio.timeout(30):
        while not await is_content():  # noqa: ASYNC110 - a server sets no events
            await asyncio.sleep(0.05)
    assert not database.writes.is_failing
    await given(storage, a_user())


async def test_sqlite_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12) as disk:
        url = f"sqlite+aiosqlite:///{disk / 'postern.db'}"
        in_thread(lambda: upgrade(url))
        async with opened(url) as (database, storage):
            user = a_user()
            await given(storage, user)
            await SqlProbe(database).check()
            fill(disk)

            failure = await write_until_it_fails(storage, user)

            assert type(failure) is StorageUnavailable
            assert "SQLITE_FULL" in str(failure)
            assert [notice.code for notice in database.writes.notices()] == ["writes-fail"]
            with pytest.raises(StorageUnavailable):
                await SqlProbe(database).check()
            # What is stored can be read.
            assert await storage.accounts.account(user.id) is not None
            free(disk)
            await mends(database, storage)


def test_sqlite_where_files_must_not_grow() -> None:
    """A quota says so in the same way."""
    script = Path(__file__).with_name("limited_file.py")
    environment = {**os.environ, "PYTHONPATH": "src:."}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("StorageUnavailable", "OutcomeUnknown"))


async def test_a_sqlite_file_that_can_only_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    in_thread(lambda: upgrade(f"sqlite+aiosqlite:///{folder / 'postern.db'}"))
    with keeping_open(folder / "postern.db"), read_only(folder) as view:
        async with opened(f"sqlite+aiosqlite:///{view / 'postern.db'}") as (database, storage):
            with pytest.raises(StorageUnavailable) as raised:
                await given(storage, a_user())
            assert "SQLITE_READONLY" in str(raised.value)
            with pytest.raises(StorageUnavailable):
                await SqlProbe(database).check()
            assert await storage.accounts.account(a_user().id) is None

            in_thread(lambda: writable(view))
            await mends(database, storage)


@contextmanager
def keeping_open(path: Path) -> Iterator[None]:
    """Keep the log of a file there, without which a file that can only be read cannot be read either."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
    connection.execute("SELECT count(*) FROM users").fetchall()
    try:
        yield
    finally:
        connection.close()


async def test_a_damaged_sqlite_file(tmp_path: Path) -> None:
    path = tmp_path / "postern.db"
    url = f"sqlite+aiosqlite:///{path}"
    in_thread(lambda: upgrade(url))
    path.write_bytes(b"not a database at all " * 4096)

    async with opened(url) as (database, storage):
        with pytest.raises(StorageUnavailable):
            await given(storage, a_user())
        with pytest.raises(StorageUnavailable):
            await SqlProbe(database).check()


@pytest.mark.parametrize("kind", sorted(SERVERS))
async def test_a_server_whose_disk_is_full(kind: str) -> None:
    with open_folder() as folder, small_disk(folder / "disk", 220) as disk:
        server: DatabaseServer = SERVERS[kind](disk)
        try:
            in_thread(server.start)
            url = in_thread(server.database)
            in_thread(lambda: upgrade(url))
            async with opened(url, statement_timeout_seconds=2.0) as (database, storage):
                user = a_user()
                await given(storage, user)
                await SqlProbe(database).check()
                fill(disk)

                # PostgreSQL may also give up as a whole, and start again: the connection is lost then.
                await write_until_it_fails(storage, user)

                assert database.writes.is_failing
                free(disk)
                if kind == "postgresql":  # MariaDB looks for room once a minute: see `make torture-storage`.
                    await mends(database, storage)
        finally:
            in_thread(server.stop)


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    with open_folder() as folder:
        server: DatabaseServer = SERVERS[request.param](folder)
        in_thread(server.start)
        yield server
        in_thread(server.stop)


@pytest.fixture
def database_of_server(server: DatabaseServer) -> Iterator[str]:
    name = f"postern_{time.monotonic_ns()}"
    url = in_thread(lambda: server.database(name))
    in_thread(lambda: upgrade(url))
    # Not as the administrator, for whom some connections are kept, and whom read-only does not hold for.
    if server.name == "mariadb":
        in_thread(
            lambda: server.say("CREATE OR REPLACE USER app@'127.0.0.1'", f"GRANT ALL ON {name}.* TO app@'127.0.0.1'")
        )
        yield url.replace("root@", "app@")
    else:
        in_thread(
            lambda: server.say(
                *(() if server.say("SELECT 1 FROM pg_roles WHERE rolname = 'app'") else ("CREATE ROLE app LOGIN",)),
                "ALTER ROLE app CONNECTION LIMIT -1",
                f"ALTER DATABASE {name} OWNER TO app",
            )
        )
        in_thread(lambda: server.say("GRANT ALL ON ALL TABLES IN SCHEMA public TO app", database=name))
        in_thread(lambda: server.say("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app", database=name))
        yield url.replace("postgres@", "app@")


async def test_a_server_without_a_connection_left(server: DatabaseServer, database_of_server: str) -> None:
    in_thread(
        lambda: server.say(
            "GRANT USAGE ON *.* TO app@'127.0.0.1' WITH MAX_USER_CONNECTIONS 3"
            if server.name == "mariadb"
            else "ALTER ROLE app CONNECTION LIMIT 3"
        )
    )
    async with opened(database_of_server, pool_size=8) as (database, storage):
        assert await storage.accounts.account(a_user().id) is None
        async with storage.identity_units() as one, storage.identity_units() as two:
            await one.users.role_and_status(a_user().id)
            await two.users.role_and_status(a_user().id)
            with pytest.raises(StorageUnavailable):
                await given(storage, a_user())
            assert database.writes.is_failing
        await mends(database, storage)


@pytest.mark.parametrize("engine", ["fast", "plain"])
async def test_a_server_that_was_demoted_has_its_connections_opened_anew(
    server: DatabaseServer, database_of_server: str, engine: str
) -> None:
    name = database_of_server.rpartition("/")[2].partition("?")[0]
    on, off = {
        "mariadb": ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
        "postgresql": (
            f"ALTER DATABASE {name} SET default_transaction_read_only = on",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        ),
    }[server.name]
    in_thread(lambda: server.say(on))
    try:
        async with opened(database_of_server, engine=engine, pool_size=2) as (database, storage):
            user = a_user()
            assert await storage.accounts.account(user.id) is None
            (before,) = [pool for pool in database.pools() if pool.name == "reads"]
            assert before.open == 1
            with pytest.raises(StorageUnavailable):
                await given(storage, user)
            with pytest.raises(StorageUnavailable):
                await SqlProbe(database).check()

            in_thread(lambda: server.say(off))
            # PostgreSQL's new setting holds for new connections alone; that writes pass shows that they are.
            await mends(database, storage)
            await given(storage, user)
            assert await storage.accounts.account(user.id) is not None
    finally:
        in_thread(lambda: server.say(off))
