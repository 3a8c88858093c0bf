"""How SQLite's statements are run: on the loop, in threads, and under one commit."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, text

from adapters.sql import sqlite_file
from adapters.sql.database import Database
from adapters.sql.models import PostRow, UserRow, table_of
from adapters.sql.sqlite_file import SqliteFile
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.shared.errors import StorageUnavailable, TransientFailure
from domain.identity.user import User
from domain.posts.vote import Direction
from entrypoints.storage import Storage, sql_storage
from tests.builders import a_post, a_user, an_actor
from tests.contracts.stories import given
from tests.contracts.test_grouping import Told, add
from tests.fakes import SettableClock
from tests.integration.sql.conftest import Captured, OpenDatabase, on_sqlite

pytestmark = on_sqlite


def file_of(database: Database) -> SqliteFile:
    assert isinstance(database._connections, SqliteFile)
    return database._connections


@contextmanager
def watched(database: Database) -> Iterator[list[str]]:
    """What is said on the write connection, in order."""
    said: list[str] = []
    raw = file_of(database).link.raw
    raw.set_trace_callback(said.append)
    yield said
    raw.set_trace_callback(None)


async def opened(open_with: OpenDatabase, **settings: Any) -> tuple[Database, Storage]:
    database = open_with(**settings)
    storage = sql_storage(database)
    await given(storage, a_user())
    return database, storage


async def test_those_who_come_together_share_one_commit(open_with: OpenDatabase) -> None:
    database, storage = await opened(open_with)
    grouped = storage.grouped(Told[User, None](lambda user: add(storage, user)))
    users = [a_user() for _ in range(20)]

    with watched(database) as said:
        await asyncio.gather(*(grouped.execute(user) for user in users))

    # The first to come is alone; the loop may also be held up for so long that a group ends early.
    assert said.count("RELEASE unit") == 20
    assert said.count("COMMIT") == said.count("BEGIN IMMEDIATE") <= 10


async def test_nobody_is_answered_before_the_commit(open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    _, storage = await opened(open_with)
    grouped = storage.grouped(Told[User, None](lambda user: add(storage, user)))
    may_commit = threading.Event()
    commit = SqliteFile.commit

    def held(self: SqliteFile) -> None:
        may_commit.wait(10)
        commit(self)

    monkeypatch.setattr(SqliteFile, "commit", held)
    users = [a_user() for _ in range(5)]
    tasks = [asyncio.create_task(grouped.execute(user)) for user in users]
    done, _ = await asyncio.wait(tasks, timeout=0.1)
    assert not done
    # Meanwhile the loop is free, and reads see what was there before.
    assert await storage.accounts.account(users[0].id) is None

    may_commit.set()
    await asyncio.gather(*tasks)
    assert await storage.accounts.account(users[0].id) is not None


async def test_when_the_commit_fails_all_fail_and_nothing_is_stored(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = await opened(open_with)
    grouped = storage.grouped(Told[User, None](lambda user: add(storage, user)))
    users = [a_user() for _ in range(8)]

    def broken(self: SqliteFile) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        sqlite_file._raise(error, "COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "commit", broken)
        outcomes = await asyncio.gather(*(grouped.execute(user) for user in users), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {TransientFailure}
    assert [await storage.accounts.account(user.id) for user in users] == [None] * 8
    assert not file_of(database).link.raw.in_transaction
    await asyncio.gather(*(grouped.execute(user) for user in users))
    assert await storage.accounts.account(users[0].id) is not None


async def test_when_sqlite_gives_the_transaction_up_all_that_were_in_it_fail(open_with: OpenDatabase) -> None:
    """As it does when the disk is full."""
    database, storage = await opened(open_with)
    users = [a_user() for _ in range(6)]

    async def story(number: int) -> None:
        await add(storage, users[number])
        if number == 3:
            file_of(database).link.raw.execute("ROLLBACK")

    grouped = storage.grouped(Told(story))
    await storage.grouped(Told[User, None](lambda user: add(storage, user))).execute(a_user())
    outcomes = await asyncio.gather(*(grouped.execute(number) for number in range(6)), return_exceptions=True)

    stored = [await storage.accounts.account(user.id) is not None for user in users]
    assert stored == [outcome is None for outcome in outcomes]
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {StorageUnavailable}
    assert not stored[3]


async def test_a_use_case_that_waits_for_something_else_is_a_defect_and_holds_nobody_up(
    open_with: OpenDatabase,
) -> None:
    _, storage = await opened(open_with)
    lost = a_user()

    async def story(user: User) -> None:
        async with storage.identity_units() as uow:
            await uow.users.add(user)
            await asyncio.sleep(0)
            await uow.commit()

    with pytest.raises(RuntimeError, match="besides the database"):
        await storage.grouped(Told(story)).execute(lost)

    assert await storage.accounts.account(lost.id) is None
    await given(storage, a_user())


async def test_another_process_that_writes_is_waited_for_off_the_loop(open_with: OpenDatabase) -> None:
    database, storage = await opened(open_with)
    grouped = storage.grouped(Told[User, None](lambda user: add(storage, user)))
    user = a_user()

    with closing(sqlite3.connect(str(database.sqlite_file), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(grouped.execute(user))
        for _ in range(20):  # The loop goes round while it waits.
            await asyncio.sleep(0.005)
            assert await storage.accounts.account(user.id) is None
        assert not task.done()
        other.execute("ROLLBACK")
    await asyncio.wait_for(task, 5)

    assert await storage.accounts.account(user.id) is not None


async def test_another_process_that_writes_for_too_long_is_a_race_lost(open_with: OpenDatabase) -> None:
    database, storage = await opened(open_with, lock_timeout_seconds=0.1)
    grouped = storage.grouped(Told[User, None](lambda user: add(storage, user)))

    with closing(sqlite3.connect(str(database.sqlite_file), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(*(grouped.execute(a_user()) for _ in range(5)), return_exceptions=True)
        other.execute("ROLLBACK")

    assert {type(outcome) for outcome in outcomes} == {TransientFailure}
    await grouped.execute(a_user())


async def test_a_brief_read_runs_on_the_loop_and_a_long_one_in_a_thread(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = await opened(open_with)
    await given(storage, *(a_user() for _ in range(30)))
    threads: list[int] = []
    read = SqliteFile._read_in_thread

    def noted(self: SqliteFile, *told: Any) -> Any:
        threads.append(threading.get_ident())
        return read(self, *told)

    monkeypatch.setattr(SqliteFile, "_read_in_thread", noted)
    users = table_of(UserRow)
    count = select(func.count()).select_from(users)
    for _ in range(2_000):  # SQLite adds the steps of all of them up.
        assert await database.fetch_one(count, {}, brief=True) == (31,)
    assert threads == []

    # Every account with every other, three times over: more than a brief read may take.
    long = count
    for alias in (users.alias(), users.alias(), users.alias()):
        long = long.join(alias, users.c.version == alias.c.version)
    assert await database.fetch_one(long, {}, brief=True) == (31**4,)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()

    await database.fetch_one(count, {})
    assert len(threads) == 2


async def test_a_read_that_takes_too_long_is_given_up(open_with: OpenDatabase) -> None:
    database, storage = await opened(open_with, statement_timeout_seconds=0.2)
    endless = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    async with asyncio.timeout(8):
        with pytest.raises(StorageUnavailable):
            await database.fetch_one(endless, {})

    assert await storage.accounts.account(a_user().id) is None


async def test_on_a_slow_disk_nothing_runs_on_the_loop_for_a_while(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = await opened(open_with)
    file = file_of(database)
    grouped = storage.grouped(Told[User, None](lambda user: add(storage, user)))
    for _ in range(3):
        file._note(1.0)
    assert file._read_briefly(select(func.count()).select_from(table_of(PostRow)), {}) is not None
    file._note(1.0)
    file._note(1.0)

    assert file._read_briefly(select(func.count()).select_from(table_of(PostRow)), {}) is None
    with watched(database) as said:
        await grouped.execute(user := a_user())
    assert "SAVEPOINT unit" not in said
    assert await storage.accounts.account(user.id) is not None

    monkeypatch.setattr(file, "_cautious_until", 0.0)
    with watched(database) as said:
        await grouped.execute(a_user())
    assert "SAVEPOINT unit" in said


async def test_a_vote_takes_so_many_statements_and_no_more(open_with: OpenDatabase, captured: Captured) -> None:
    database, storage = await opened(open_with)
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    vote = storage.grouped(CastVote(uow=storage.posts_units, clock=SettableClock()))
    captured.statements.clear()

    with watched(database) as said:
        await vote.execute(CastVoteCommand(an_actor(bob), post.id, Direction.UP))

    # Reading the tally, the vote, the counters, the ranks that were, and the event.
    assert [statement.split()[0] for statement, _ in captured.statements] == [
        "SELECT", "INSERT", "UPDATE", "INSERT", "INSERT",
    ]  # fmt: skip
    own = [statement for statement in said if not statement.startswith("--")]
    assert own[:2] == ["BEGIN IMMEDIATE", "SAVEPOINT unit"]
    assert own[-2:] == ["RELEASE unit", "COMMIT"]


async def test_two_processes_write_one_file_and_lose_nothing(open_with: OpenDatabase) -> None:
    (_, here), (_, there) = await opened(open_with), await opened(open_with)
    users = [a_user() for _ in range(60)]
    grouped = [storage.grouped(Told(partial(add, storage))) for storage in (here, there)]

    async with asyncio.timeout(20):
        await asyncio.gather(*(grouped[number % 2].execute(user) for number, user in enumerate(users)))

    assert all([await here.accounts.account(user.id) is not None for user in users])
