"""What becomes of a unit of work that is given up before its commit and during it, at a deadline or for a lost line."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import literal, select

from adapters.shared.cancellation import CancelledInCommit
from adapters.sql.database import Database
from adapters.sql.engine.fast.sqlite.writer import SqliteWriter
from application.shared.errors import OutcomeUnknown
from domain.identity.user import User
from entrypoints.storage import Storage, sql_storage
from tests.builders import a_post, a_user
from tests.contracts.scenarios import given
from tests.contracts.test_group_commit import FunctionUseCase, add
from tests.integration.sql.conftest import (
    OpenDatabase,
    connections_out,
    on_both_engines,
    on_servers,
    on_sqlite,
    writing,
)
from tests.integration.sql.counting_proxy import through_proxy
from tests.waiting import until

Add = Callable[[User], Coroutine[Any, Any, None]]


def alone(storage: Storage) -> Add:
    return lambda user: add(storage, user)


def grouped(storage: Storage) -> Add:
    use_case = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))

    async def run(user: User) -> None:
        await use_case.execute(user)

    return run


async def is_stored(storage: Storage, user: User) -> bool:
    return await storage.accounts.account(user.id) is not None


@on_sqlite
@pytest.mark.parametrize("way", [alone, grouped])
async def test_what_is_given_up_in_its_commit_on_sqlite_is_in_doubt_and_may_be_stored(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch, way: Callable[[Storage], Add]
) -> None:
    database = open_with()
    storage = sql_storage(database)
    await given(storage, a_user())
    begun, go_on, commit = threading.Event(), threading.Event(), SqliteWriter.commit

    def held(writer: SqliteWriter) -> None:
        begun.set()
        go_on.wait(20)
        commit(writer)

    monkeypatch.setattr(SqliteWriter, "commit", held)
    user, other, next_one = a_user(), a_user(), a_user()
    task = asyncio.create_task(way(storage)(user))
    others = [asyncio.create_task(way(storage)(each)) for each in (other, next_one)]
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(CancelledInCommit):
        await asyncio.wait_for(task, 5)  # At once: it does not wait for the disk.
    go_on.set()

    await asyncio.wait_for(asyncio.gather(*others), 20)
    assert [await is_stored(storage, each) for each in (user, other, next_one)] == [True, True, True]
    await until(lambda: connections_out(database) == 0)


@on_sqlite
@pytest.mark.parametrize("way", [alone, grouped])
async def test_what_is_given_up_before_its_turn_on_sqlite_is_not_done(
    open_with: OpenDatabase, way: Callable[[Storage], Add]
) -> None:
    database = open_with()
    storage = sql_storage(database)
    first, user, other = a_user(), a_user(), a_user()
    await given(storage, a_user())
    async with storage.identity_units() as uow:
        await uow.users.add(first)
        task, after = asyncio.create_task(way(storage)(user)), asyncio.create_task(way(storage)(other))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await asyncio.wait_for(task, 5)
        assert not isinstance(caught.value, CancelledInCommit)
        await uow.commit()

    await asyncio.wait_for(after, 20)
    assert [await is_stored(storage, each) for each in (first, user, other)] == [True, False, True]
    await until(lambda: connections_out(database) == 0)


@on_servers
async def test_what_is_given_up_in_its_commit_on_a_server_is_in_doubt_and_the_next_works(
    open_with: OpenDatabase, database_url: str
) -> None:
    async with through_proxy(open_with, database_url, statement_timeout_seconds=2.0) as (database, line):
        storage = sql_storage(database)
        author, user = a_user(), a_user()
        await given(storage, author)
        reached = asyncio.Event()

        async def publish() -> None:
            async with storage.identity_units() as uow:
                await uow.users.add(user)
                await uow.users.get(author.id)  # All that was put is sent.
                line.open.clear()
                reached.set()
                await uow.commit()

        task = asyncio.create_task(publish())
        await asyncio.wait_for(reached.wait(), 10)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(CancelledInCommit):
            await asyncio.wait_for(task, 1)
        line.open.set()

        # It is not given up: it arrives as soon as it can.
        await until(lambda: connections_out(database) == 0)
        assert await is_stored(storage, user)
        await given(storage, a_post(author))


@on_servers
@pytest.mark.parametrize("asks_before", [False, True], ids=["all in one go", "the commit by itself"])
async def test_a_commit_whose_answer_is_lost_is_in_doubt(
    open_with: OpenDatabase, database_url: str, asks_before: bool
) -> None:
    async with through_proxy(open_with, database_url) as (database, line):
        storage = sql_storage(database)
        author = a_user()
        await given(storage, author)

        async def sign_up() -> None:
            async with storage.identity_units() as uow:
                await uow.users.add(a_user())
                if asks_before:
                    await uow.users.get(author.id)
                line.open.clear()
                await uow.commit()

        task = asyncio.create_task(sign_up())
        await until(lambda: not line.open.is_set())
        await line.cut()
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(task, 20)
        line.open.set()


@on_servers
@pytest.mark.parametrize("way", [alone, grouped])
async def test_what_is_given_up_in_a_statement_on_a_server_is_not_done_and_the_next_works(
    open_with: OpenDatabase, database_url: str, way: Callable[[Storage], Add]
) -> None:
    async with through_proxy(open_with, database_url, statement_timeout_seconds=2.0) as (database, line):
        storage = sql_storage(database)
        author, user = a_user(), a_user()
        await given(storage, author)
        begun = asyncio.Event()

        async def change() -> None:
            async with storage.identity_units() as uow:
                await uow.users.add(user)
                await uow.users.get(author.id)
                line.open.clear()
                begun.set()
                await uow.users.get(author.id)
                await uow.commit()

        task = asyncio.create_task(change())
        await asyncio.wait_for(begun.wait(), 10)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await asyncio.wait_for(task, 5)
        assert not isinstance(caught.value, CancelledInCommit)
        line.open.set()

        await until(lambda: connections_out(database) == 0)
        await asyncio.wait_for(way(storage)(another := a_user()), 10)
        assert [await is_stored(storage, each) for each in (user, another)] == [False, True]


@on_both_engines
@pytest.mark.parametrize("way", ["reads", "writes"])
async def test_what_is_given_up_while_it_connects_does_not_go_on_and_holds_no_lock(
    open_with: OpenDatabase, way: str
) -> None:
    """A driver may drop the cancellation, when it comes in the very moment in which the server answers."""
    went_on: list[int] = []

    async def use(database: Database, moment: int) -> None:
        if way == "reads":
            await database.fetch_all(select(literal(1)), {})
        else:
            async with writing(database) as unit:
                await unit.run(select(literal(1)), {})
        await asyncio.sleep(1)
        went_on.append(moment)

    for moment in range(40):
        database = open_with(pool_size=2)
        task = asyncio.create_task(use(database, moment))
        await asyncio.sleep(moment / 2000)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        # Its place in the pool is free, and so is the file of SQLite.
        await asyncio.wait_for(database.fetch_all(select(literal(1)), {}), 10)
        async with writing(database) as unit:
            await unit.run(select(literal(1)), {})
        await database.dispose()
    assert went_on == []
