"""Whether anything was committed, as a SQLite file tells: by whatever process, and after each failure to ask."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from adapters.sql.commit_counter import SqliteCommitCounter
from adapters.sql.sqlite_file import FileGuard
from entrypoints.storage import sql_storage
from tests.builders import a_post, a_user
from tests.contracts.scenarios import given
from tests.contracts.test_webhooks import a_fan_out
from tests.fakes import SettableClock
from tests.integration.sql.conftest import OpenDatabase, on_sqlite

pytestmark = on_sqlite


def file_of(database: object) -> Path:
    path = getattr(database, "sqlite_file", None)
    assert isinstance(path, Path)
    return path


async def test_the_mark_is_another_after_each_commit_and_stays_between_them(open_with: OpenDatabase) -> None:
    database = open_with()
    storage = sql_storage(database)
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    alice = a_user()
    seen = [commits.current()]
    for write in (alice, a_post(by=alice), a_post(by=alice)):
        await given(storage, write)
        assert commits.current() not in seen
        seen.append(commits.current())
        assert commits.current() == seen[-1]
        await storage.posts.newest(limit=20, before=None, viewer=alice.id)
        assert commits.current() == seen[-1]
    assert None not in seen
    await commits.close()


async def test_work_beside_the_requests_leaves_it_while_there_is_nothing_to_do(open_with: OpenDatabase) -> None:
    database, clock = open_with(), SettableClock()
    storage = sql_storage(database)
    alice = a_user()
    await given(storage, alice, a_post(by=alice))
    fan_out = a_fan_out(storage, clock)
    while await fan_out.step():
        pass
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    before = commits.current()
    month_ago = clock.now() - timedelta(days=30)

    idle: dict[str, Callable[[], Awaitable[object]]] = {
        "purging past ranks": lambda: storage.purge_rank_history(clock.now()),
        "purging idempotency keys": lambda: storage.stored_responses.purge(until=clock.now(), limit=500),
        "purging events": lambda: storage.retention.purge(before=month_ago, delivered_only=False, limit=500),
        "purging deliveries": lambda: storage.deliveries.purge(before=month_ago, limit=500),
        "handing events out": fan_out.step,
        "looking for what is due": lambda: storage.webhooks.due(clock.now()),
        "asking what was revoked": lambda: storage.revocations.since(60),
        "forgetting what was revoked": lambda: storage.revocations.purge(older_than_seconds=60, limit=500),
        "settling the log": storage.events.assign_positions,
        "reading the log": lambda: storage.events.read(after=0, limit=200),
    }
    changed = {}
    for name, work in idle.items():
        await work()
        await asyncio.sleep(0)
        if (now := commits.current()) != before:
            changed[name] = before = now
    assert changed == {}
    await commits.close()


async def test_a_commit_over_a_connection_of_somebody_else_counts(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    before = commits.current()
    other = sqlite3.connect(file_of(database), isolation_level=None)
    other.execute("UPDATE users SET name = 'Somebody'")
    other.close()
    await asyncio.sleep(0)
    assert commits.current() != before
    await commits.close()


async def test_who_hears_of_a_commit_by_way_of_the_loop_sees_it_however_soon(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    loop = asyncio.get_running_loop()
    heard: list[int | None] = []
    other = sqlite3.connect(file_of(database), isolation_level=None, timeout=10)

    class CommittedMeanwhile(SqliteCommitCounter):
        """In the very moment after the look somebody commits, and tells."""

        def _read_counter(self) -> int | None:
            mark = super()._read_counter()
            if not heard:
                other.execute("UPDATE users SET version = version + 1")
                loop.call_soon(lambda: heard.append(commits.current()))
            return mark

    commits = CommittedMeanwhile(FileGuard(file_of(database)))
    before = commits.current()
    for _ in range(3):
        await asyncio.sleep(0)
    assert heard not in ([], [before])
    other.close()
    await commits.close()


async def test_no_commit_of_a_thread_that_tells_the_loop_is_missed(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    loop = asyncio.get_running_loop()
    heard: list[int | None] = [commits.current()]
    was_heard = threading.Semaphore(0)

    def hear() -> None:
        heard.append(commits.current())
        was_heard.release()

    def commit() -> None:
        other = sqlite3.connect(file_of(database), isolation_level=None, timeout=10)
        for _ in range(200):
            other.execute("UPDATE users SET version = version + 1")
            loop.call_soon_threadsafe(hear)
            was_heard.acquire(timeout=10)
        other.close()

    committing = asyncio.create_task(asyncio.to_thread(commit))
    while not committing.done():
        # A mark of this turn, in the middle of which the thread commits and tells.
        commits.current()
        time.sleep(0.0002)  # noqa: ASYNC251 - the loop is to be held
        await asyncio.sleep(0)
    await committing
    assert len(heard) == len(set(heard)) == 201
    await commits.close()


async def test_all_who_ask_in_one_turn_of_the_loop_share_one_look(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    looks: list[str] = []
    commits.current()
    assert commits._connection is not None
    commits._connection.set_trace_callback(looks.append)

    async def ask() -> int | None:
        return commits.current()

    for _ in range(3):
        await asyncio.sleep(0)
        looks.clear()
        assert len(set(await asyncio.gather(*(ask() for _ in range(30))))) == 1
        assert len(looks) <= 2  # The gathering itself takes a turn.
    await commits.close()


async def test_a_loop_that_stopped_in_the_middle_of_a_turn_leaves_no_mark_behind(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    found: list[int | None] = []

    def ask_and_stop() -> None:
        loop = asyncio.new_event_loop()
        loop.call_soon(lambda: found.append(commits.current()))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()

    await asyncio.to_thread(ask_and_stop)
    other = sqlite3.connect(file_of(database), isolation_level=None)
    other.execute("UPDATE users SET name = 'Somebody'")
    other.close()
    await asyncio.to_thread(ask_and_stop)
    assert len(set(found)) == 2
    await commits.close()


async def test_marks_of_before_a_new_connection_do_not_come_back(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommitCounter(FileGuard(file_of(database)))
    before = commits.current()
    await commits.close()  # as a failure does
    assert commits.current() != before
    await commits.close()


async def test_without_a_file_nobody_can_say(open_with: OpenDatabase) -> None:
    path = file_of(open_with()).with_name("not there.db")
    assert SqliteCommitCounter(FileGuard(path)).current() is None
    assert not path.exists()
