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

from adapters.sql.database import Database
from adapters.sql.engine.fast.sqlite import group_commit
from adapters.sql.engine.fast.sqlite.connection import raise_dbapi_error
from adapters.sql.engine.fast.sqlite.engine import SqliteEngine
from adapters.sql.engine.fast.sqlite.group_commit import Job, SqliteGroupCommit
from adapters.sql.engine.fast.sqlite.reads import SqliteReads
from adapters.sql.engine.fast.sqlite.slow_disk_breaker import SlowDiskBreaker
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from adapters.sql.tables import PostRow, UserRow, table_of
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.shared.errors import StorageUnavailable, TransientFailure
from domain.identity.user import User
from domain.posts.vote import Direction
from entrypoints.storage import Storage, sql_storage
from tests.builders import a_post, a_user, an_actor
from tests.contracts.scenarios import given
from tests.contracts.test_group_commit import FunctionUseCase, add
from tests.fakes import SettableClock
from tests.integration.sql.conftest import Captured, OpenDatabase, on_sqlite

pytestmark = on_sqlite


def file_of(database: Database) -> SqliteEngine:
    assert isinstance(database._engine, SqliteEngine)
    return database._engine


@contextmanager
def watched(database: Database) -> Iterator[list[str]]:
    """What is said on the write connection, in order."""
    said: list[str] = []
    raw = file_of(database).writer.link.raw
    raw.set_trace_callback(said.append)
    yield said
    raw.set_trace_callback(None)


def driven(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that are run in groups from now on, each as often as it is, and however long they take."""
    monkeypatch.setattr(group_commit, "_GROUP_SECONDS", 60.0)
    monkeypatch.setattr(group_commit, "_SAVEPOINT_SECONDS", 60.0)
    monkeypatch.setattr(SlowDiskBreaker, "note", lambda *_: None)
    ran: list[Job] = []
    drive = SqliteGroupCommit._drive

    def noted(self: SqliteGroupCommit, job: Job) -> None:
        ran.append(job)
        drive(self, job)

    monkeypatch.setattr(SqliteGroupCommit, "_drive", noted)
    return ran


async def opened(open_with: OpenDatabase, **settings: Any) -> tuple[Database, Storage]:
    database = open_with(**settings)
    storage = sql_storage(database)
    await given(storage, a_user())
    return database, storage


async def test_those_who_come_together_share_one_commit(open_with: OpenDatabase) -> None:
    database, storage = await opened(open_with)
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))
    users = [a_user() for _ in range(20)]

    with watched(database) as said:
        await asyncio.gather(*(grouped.execute(user) for user in users))

    # The first to come is alone; the loop may also be held up for so long that a group ends early.
    assert sum(statement.startswith("INSERT INTO users") for statement in said) == 20
    assert "SAVEPOINT unit" not in said
    assert said.count("COMMIT") == said.count("BEGIN IMMEDIATE") <= 10


async def test_one_that_fails_with_something_changed_has_its_group_begun_anew_with_savepoints(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = await opened(open_with)
    users = [a_user() for _ in range(12)]
    ran = driven(monkeypatch)

    async def work(number: int) -> None:
        async with storage.identity_units() as uow:
            await uow.users.add(users[number])
            if number % 5 == 4:
                raise ZeroDivisionError
            await uow.commit()

    grouped = storage.group_commit(FunctionUseCase(work))
    with watched(database) as said:
        outcomes = await asyncio.gather(*(grouped.execute(number) for number in range(12)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        ZeroDivisionError if number % 5 == 4 else type(None) for number in range(12)
    ]
    stored = [await storage.accounts.account(user.id) is not None for user in users]
    assert stored == [number % 5 != 4 for number in range(12)]
    # Once for all of them, however many fail; and those behind the first that failed are careful from the start.
    assert said.count("ROLLBACK") == 1
    assert said.count("SAVEPOINT unit") == 12
    assert said.count("ROLLBACK TO unit") == 2
    assert len(ran) == 12 + 5


async def test_one_that_fails_before_it_has_changed_anything_is_nothing_to_the_others(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = await opened(open_with)
    taken = a_user(email="alice@example.org")
    await given(storage, taken)
    users = [a_user(email="alice@example.org") if number % 4 == 3 else a_user() for number in range(12)]
    ran = driven(monkeypatch)
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))

    with watched(database) as said:
        outcomes = await asyncio.gather(*(grouped.execute(user) for user in users), return_exceptions=True)

    assert [outcome is not None for outcome in outcomes] == [number % 4 == 3 for number in range(12)]
    assert not [statement for statement in said if "SAVEPOINT" in statement or "ROLLBACK" in statement]
    assert len(ran) == 12
    stored = [await storage.accounts.account(user.id) is not None for user in users]
    assert stored == [number % 4 != 3 for number in range(12)]


async def test_nobody_is_answered_before_the_commit(open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    _, storage = await opened(open_with)
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))
    may_commit = threading.Event()
    commit = SqliteWriter.commit

    def held(self: SqliteWriter) -> None:
        may_commit.wait(10)
        commit(self)

    monkeypatch.setattr(SqliteWriter, "commit", held)
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
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))
    users = [a_user() for _ in range(8)]

    def broken(self: SqliteWriter) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        raise_dbapi_error(error, "COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteWriter, "commit", broken)
        outcomes = await asyncio.gather(*(grouped.execute(user) for user in users), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {TransientFailure}
    assert [await storage.accounts.account(user.id) for user in users] == [None] * 8
    assert not file_of(database).writer.link.raw.in_transaction
    await asyncio.gather(*(grouped.execute(user) for user in users))
    assert await storage.accounts.account(users[0].id) is not None


async def test_when_sqlite_gives_the_transaction_up_all_that_were_in_it_fail(open_with: OpenDatabase) -> None:
    """As it does when the disk is full."""
    database, storage = await opened(open_with)
    users = [a_user() for _ in range(6)]

    async def work(number: int) -> None:
        await add(storage, users[number])
        if number == 3:
            file_of(database).writer.link.raw.execute("ROLLBACK")

    grouped = storage.group_commit(FunctionUseCase(work))
    await storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user))).execute(a_user())
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

    async def work(user: User) -> None:
        async with storage.identity_units() as uow:
            await uow.users.add(user)
            await asyncio.sleep(0)
            await uow.commit()

    with pytest.raises(RuntimeError, match="besides the database"):
        await storage.group_commit(FunctionUseCase(work)).execute(lost)

    assert await storage.accounts.account(lost.id) is None
    await given(storage, a_user())


async def test_another_process_that_writes_is_waited_for_off_the_loop(open_with: OpenDatabase) -> None:
    database, storage = await opened(open_with)
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))
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
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))

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
    read = SqliteReads.read_in_thread

    def noted(self: SqliteReads, *told: Any) -> Any:
        threads.append(threading.get_ident())
        return read(self, *told)

    monkeypatch.setattr(SqliteReads, "read_in_thread", noted)
    users = table_of(UserRow)
    count = select(func.count()).select_from(users)
    for _ in range(2_000):  # SQLite adds the steps of all of them up.
        assert await database.fetch_one(count, {}, on_loop=True) == (31,)
    assert threads == []

    # Every account with every other, three times over: more than a brief read may take.
    long = count
    for alias in (users.alias(), users.alias(), users.alias()):
        long = long.join(alias, users.c.version == alias.c.version)
    assert await database.fetch_one(long, {}, on_loop=True) == (31**4,)
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
    grouped = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))
    for _ in range(3):
        file.breaker.note(1.0)
    assert file.reads.read_on_loop(select(func.count()).select_from(table_of(PostRow)), {}) is not None
    file.breaker.note(1.0)
    file.breaker.note(1.0)

    assert file.reads.read_on_loop(select(func.count()).select_from(table_of(PostRow)), {}) is None
    ran = driven(monkeypatch)
    await grouped.execute(user := a_user())
    assert ran == []
    assert await storage.accounts.account(user.id) is not None

    monkeypatch.setattr(file.breaker, "until", 0.0)
    await grouped.execute(a_user())
    assert len(ran) == 1


async def test_a_vote_takes_so_many_statements_and_no_more(open_with: OpenDatabase, captured: Captured) -> None:
    database, storage = await opened(open_with)
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    vote = storage.group_commit(CastVote(uow=storage.posts_units, clock=SettableClock()))
    captured.statements.clear()

    with watched(database) as said:
        await vote.execute(CastVoteCommand(an_actor(bob), post.id, Direction.UP))

    # Reading the tally, the counters, the vote, the ranks that were, and the event.
    assert [statement.split()[0] for statement, _ in captured.statements] == [
        "SELECT", "UPDATE", "INSERT", "INSERT", "INSERT",
    ]  # fmt: skip
    # One vote is no hotter than none, so the indexes by `hot` are left alone.
    assert " hot=" not in captured.statements[1][0]
    own = [statement for statement in said if not statement.startswith("--")]
    assert (own[0], own[-1], len(own)) == ("BEGIN IMMEDIATE", "COMMIT", 7)


async def test_two_processes_write_one_file_and_lose_nothing(open_with: OpenDatabase) -> None:
    (_, here), (_, there) = await opened(open_with), await opened(open_with)
    users = [a_user() for _ in range(60)]
    grouped = [storage.group_commit(FunctionUseCase(partial(add, storage))) for storage in (here, there)]

    async with asyncio.timeout(20):
        await asyncio.gather(*(grouped[number % 2].execute(user) for number, user in enumerate(users)))

    assert all([await here.accounts.account(user.id) is not None for user in users])
