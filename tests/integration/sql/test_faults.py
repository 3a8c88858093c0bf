"""What becomes of lost connections, locks, busy files and full pools: a failure by name, and no harm to the next."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.health import SqlProbe
from adapters.sql.posts.revisions import SqlAuthorRevisions
from application.shared.errors import StorageUnavailable, TransientFailure
from application.shared.pending import settled
from application.shared.unit_of_work import CommitListener
from domain.shared.events import DomainEvent
from domain.shared.ids import UserId
from entrypoints.storage import Storage, sql_storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_post, a_user, an_id
from tests.contracts.scenarios import given, load_user
from tests.integration.sql.conftest import (
    OpenDatabase,
    connections_out,
    end_all_connections,
    on_both_engines,
    on_servers,
    on_sqlite,
)

pytestmark = pytest.mark.faults

SLEEP = {"mariadb": "SELECT SLEEP(5)", "mysql": "SELECT SLEEP(5)", "postgresql": "SELECT pg_sleep(5)"}


async def works(storage: Storage) -> None:
    """Write, read, and read in a unit of work, as if nothing had ever been wrong."""
    user = a_user()
    post = a_post(user)
    async with asyncio.timeout(10):
        await given(storage, user, post)
        assert fields_of(await load_user(storage, user.id)) == fields_of(user)
        assert await storage.posts.get(post.id, viewer=None) is not None


@on_both_engines
@on_servers
async def test_a_connection_killed_in_the_middle_of_a_unit_of_work_is_a_failure_by_name(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    database = open_with()
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)

    with pytest.raises(StorageUnavailable):
        async with storage.identity_units() as uow:
            loaded = await uow.users.get(user.id)
            assert await end_all_connections(behind, sql_backend) >= 1
            loaded.change_password("never", at=NOW)
            await uow.users.save(loaded)

    await works(storage)
    assert fields_of(await load_user(storage, user.id)) == fields_of(user)
    assert connections_out(database) == 0


@on_both_engines
@on_servers
async def test_a_connection_killed_just_before_the_commit_is_a_failure_by_name(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    storage = sql_storage(open_with())
    user = a_user()

    with pytest.raises(StorageUnavailable):
        async with storage.identity_units() as uow:
            await uow.users.add(user)
            # What is asked has that sent first.
            assert await uow.users.role_and_status(user.id) is not None
            await end_all_connections(behind, sql_backend)
            await uow.commit()

    await works(storage)
    assert await storage.accounts.account(user.id) is None


@on_both_engines
@on_servers
async def test_connections_that_died_while_idle_are_replaced_before_anybody_notices(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    database = open_with(ping_after_idle_seconds=0)
    storage = sql_storage(database)
    await works(storage)
    assert await end_all_connections(behind, sql_backend) == 2

    await works(storage)


@on_servers
async def test_a_dead_connection_is_never_not_found_and_poisons_nothing(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    database = open_with(ping_after_idle_seconds=3600)
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)
    # Three connections in the pool for reading, all of which die.
    await asyncio.gather(*(storage.accounts.account(user.id) for _ in range(3)))
    await end_all_connections(behind, sql_backend)

    with pytest.raises(StorageUnavailable):
        await storage.accounts.account(user.id)

    # The first loss condemned all connections of that age.
    for _ in range(4):
        assert await storage.accounts.account(user.id) is not None
    with pytest.raises(StorageUnavailable):
        await load_user(storage, user.id)
    await works(storage)


@on_servers
async def test_nobody_can_say_the_revision_while_the_connection_is_dead(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    revisions = SqlAuthorRevisions(open_with(ping_after_idle_seconds=3600))
    author = UserId(an_id())
    assert await revisions.current(author) == 0
    await end_all_connections(behind, sql_backend)

    assert await revisions.current(author) is None
    assert await revisions.current(author) == 0


@pytest.mark.parametrize(
    "url",
    [
        "mysql+asyncmy://root@127.0.0.1:1/postern",
        "postgresql+asyncpg://postgres@127.0.0.1:1/postern",
        "sqlite+aiosqlite:////proc/no/such/folder/postern.db",
    ],
)
async def test_a_database_that_refuses_is_unavailable(url: str) -> None:
    database = Database(DatabaseSettings(url=url, connect_timeout_seconds=2))
    storage = sql_storage(database)

    with pytest.raises(StorageUnavailable):
        await storage.accounts.account(UserId(an_id()))
    with pytest.raises(StorageUnavailable):
        await given(storage, a_user())
    with pytest.raises(StorageUnavailable):
        await SqlProbe(database).check()
    assert await settled(storage.revisions.current(UserId(an_id()))) is None
    await storage.close()
    # aiosqlite ends the thread of a connection that failed without being waited for; it reports to this loop.
    await asyncio.sleep(0.1)


@on_both_engines
@on_servers
async def test_a_statement_that_takes_too_long_is_given_up(open_with: OpenDatabase, sql_backend: str) -> None:
    database = open_with(statement_timeout_seconds=0.3)

    async with asyncio.timeout(4):
        # MariaDB and MySQL end SLEEP early and say so in its result, or in an error, as they please.
        if sql_backend == "postgresql":
            with pytest.raises(StorageUnavailable):
                await database.fetch_one(text(SLEEP[sql_backend]), {})
        else:
            with suppress(StorageUnavailable):
                await database.fetch_one(text(SLEEP[sql_backend]), {})
    await works(sql_storage(database))


@on_both_engines
@on_servers
async def test_the_victim_of_a_deadlock_may_try_again_and_the_other_goes_on(
    open_with: OpenDatabase, sql_backend: str
) -> None:
    storage = sql_storage(open_with())
    alice, bob = a_user(password_hash="0"), a_user(password_hash="0")
    await given(storage, alice, bob)
    both_hold_one = asyncio.Barrier(2)

    async def change(first: UserId, second: UserId) -> str:
        async with storage.identity_units() as uow:
            await uow.users.get(first)
            await both_hold_one.wait()
            user = await uow.users.get(second)
            user.change_password(str(int(user.password_hash) + 1), at=NOW)
            await uow.users.save(user)
            await uow.commit()
        return "committed"

    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(change(alice.id, bob.id), change(bob.id, alice.id), return_exceptions=True)

    assert [type(o) for o in outcomes if isinstance(o, Exception)] == [TransientFailure]
    assert outcomes.count("committed") == 1
    hashes = [(await load_user(storage, user.id)).password_hash for user in (alice, bob)]
    assert sorted(hashes) == ["0", "1"]


@on_both_engines
@on_servers
async def test_whoever_waits_too_long_for_a_lock_may_try_again(open_with: OpenDatabase, sql_backend: str) -> None:
    database = open_with(lock_timeout_seconds=1)
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)

    async with storage.identity_units() as uow:
        await uow.users.get(user.id)
        with pytest.raises(TransientFailure):
            await load_user(storage, user.id)

    await works(storage)


@on_both_engines
@on_sqlite
async def test_a_busy_file_lets_readers_read_and_writers_try_again(open_with: OpenDatabase) -> None:
    database = open_with(lock_timeout_seconds=0.2)
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)

    with closing(sqlite3.connect(str(database.sqlite_file), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM users")
        with pytest.raises(TransientFailure):
            await load_user(storage, user.id)
        assert await storage.accounts.account(user.id) is not None
        other.execute("ROLLBACK")

    await works(storage)
    assert connections_out(database) == 0


@on_both_engines
async def test_a_pool_that_is_used_up_is_unavailable_and_readers_are_not_concerned(open_with: OpenDatabase) -> None:
    database = open_with(pool_size=2, max_overflow=0, pool_timeout_seconds=0.2)
    storage = sql_storage(database)
    user, other = a_user(), a_user()
    await given(storage, user, other)

    async with storage.identity_units() as uow:
        await uow.users.get(user.id)
        with pytest.raises(StorageUnavailable):
            await load_user(storage, other.id)
        assert await storage.accounts.account(other.id) is not None

    await works(storage)


@on_both_engines
async def test_a_hundred_at_once_share_two_connections(open_with: OpenDatabase) -> None:
    database = open_with(pool_size=2, max_overflow=0)
    storage = sql_storage(database)

    await asyncio.gather(*(given(storage, a_user()) for _ in range(100)))
    found = await asyncio.gather(*(storage.accounts.account(UserId(an_id())) for _ in range(100)))

    assert found == [None] * 100
    assert connections_out(database) == 0


@on_both_engines
async def test_readers_cancelled_at_any_moment_leave_no_connection_behind(open_with: OpenDatabase) -> None:
    database = open_with(pool_size=2, max_overflow=0)
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)

    for moments in range(24):
        task = asyncio.create_task(storage.accounts.account(user.id))
        for _ in range(moments):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None

    assert connections_out(database) == 0
    await works(storage)


@on_both_engines
@on_servers
async def test_a_unit_of_work_cancelled_while_it_waits_for_a_lock_leaves_no_connection_behind(
    open_with: OpenDatabase, sql_backend: str
) -> None:
    database = open_with(pool_size=6, max_overflow=0)
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)

    async with storage.identity_units() as uow:
        await uow.users.get(user.id)
        waiting = [asyncio.create_task(load_user(storage, user.id)) for _ in range(2)]
        await asyncio.wait(waiting, timeout=0.2)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
        assert connections_out(database) == 1

    await works(storage)
    assert connections_out(database) == 0


@on_both_engines
async def test_listeners_hear_of_a_commit_whose_caller_hung_up(open_with: OpenDatabase) -> None:
    told: list[DomainEvent] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(CommitListener):
        async def committed(self, events: Sequence[DomainEvent]) -> None:
            begun.set()
            await go_on.wait()
            told.extend(events)

    storage = sql_storage(open_with(), [Slow()])
    alice = a_user()
    await given(sql_storage(open_with()), alice)

    async def rename() -> None:
        async with storage.identity_units() as uow:
            loaded = await uow.users.get(alice.id)
            loaded.change_password("new", at=NOW)
            await uow.users.save(loaded)
            await uow.commit()

    task = asyncio.create_task(rename())
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    await asyncio.wait([task], timeout=0.05)
    go_on.set()
    for _ in range(10):
        await asyncio.sleep(0)

    assert [event.name for event in told] == ["user.password_changed"]
