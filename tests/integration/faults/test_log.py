"""SQLite's log does not stay long after a foreign reader has kept it from being begun anew."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.engine.fast.sqlite import engine as sqlite_engine
from adapters.sql.schema.migrate import upgrade
from adapters.sql.sqlite_file import log_of
from entrypoints.storage import sql_storage
from tests.backends import in_thread
from tests.builders import a_post, a_user
from tests.contracts.scenarios import given

MEGABYTE = 1 << 20


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr(sqlite_engine, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(sqlite_engine, "_QUIET_SECONDS", 0.3)
    url = f"sqlite+aiosqlite:///{tmp_path / 'postern.db'}"
    in_thread(lambda: upgrade(url))
    database = Database(DatabaseSettings(url=url, survives_power_loss=False))
    yield database
    await database.dispose()


def size(database: Database) -> int:
    assert database.sqlite_file is not None
    return log_of(database.sqlite_file).stat().st_size


async def grow(database: Database, megabytes: int) -> None:
    storage, user = sql_storage(database), a_user()
    await given(storage, user)
    while size(database) < megabytes * MEGABYTE:
        await given(storage, *(a_post(user, text="a long text " * 50_000) for _ in range(2)))


async def until_short(database: Database) -> None:
    async with asyncio.timeout(20):
        while size(database) > 0:  # noqa: ASYNC110 - a file sets no events
            await asyncio.sleep(0.02)


def reader_of(database: Database) -> sqlite3.Connection:
    reader = sqlite3.connect(str(database.sqlite_file), isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM posts").fetchall()
    return reader


async def test_the_log_is_emptied_when_it_is_quiet_and_a_foreign_reader_has_gone(database: Database) -> None:
    reader = reader_of(database)
    await grow(database, 24)
    await asyncio.sleep(1)
    assert size(database) > 20 * MEGABYTE

    reader.close()

    await until_short(database)
    await given(sql_storage(database), a_user())


async def test_a_log_that_begins_anew_is_cut(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_engine, "_LONG_LOG_BYTES", 1 << 40)
    reader = reader_of(database)
    await grow(database, 24)
    reader.close()

    storage = sql_storage(database)
    for _ in range(4):
        await given(storage, a_user())

    assert size(database) <= 17 * MEGABYTE


async def test_two_workers_do_not_shorten_it_at_once(database: Database) -> None:
    assert database.sqlite_file is not None
    folder = os.open(database.sqlite_file.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    await grow(database, 2)
    await asyncio.sleep(1)
    assert size(database) >= 2 * MEGABYTE

    os.close(folder)

    await until_short(database)
