"""A SQLite file that is removed or replaced underneath: nothing is acknowledged into nothing."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.sql import health as sql_health
from adapters.sql import write_health
from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.health import SqlProbe
from adapters.sql.schema.migrate import DatabaseRefused, upgrade
from adapters.sql.sqlite_file import file_id
from application.shared.errors import OutcomeUnknown, StorageUnavailable
from application.shared.pending import settled
from domain.shared.ids import UserId
from entrypoints.storage import Storage, sql_storage
from tests.backends import in_thread
from tests.builders import a_user, an_id
from tests.contracts.scenarios import given


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_health, "_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(sql_health, "_EVERY_SECONDS_WHILE_FAILING", 0.0)
    monkeypatch.setattr(write_health, "HOLD_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "postern.db"
    in_thread(lambda: upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "fast"))


on_both_engines = pytest.mark.parametrize("engine", ["fast", "plain"], indirect=True)


@pytest.fixture
async def database(path: Path, engine: str) -> AsyncIterator[Database]:
    database = Database(DatabaseSettings(url=f"sqlite+aiosqlite:///{path}", engine=engine))
    yield database
    await database.dispose()


@pytest.fixture
async def storage(database: Database) -> AsyncIterator[Storage]:
    storage = sql_storage(database)
    await given(storage, a_user())
    yield storage
    await storage.close()


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).rename(path.with_name(f"away{suffix}"))


def replace(path: Path) -> None:
    remove(path)
    shutil.copy(path.with_name("away"), path)


def bring_back(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"away{suffix}").replace(path.with_name(path.name + suffix))


async def grouped_write(database: Database, storage: Storage) -> None:
    await database.run_in_group(lambda: given(storage, a_user()))


@on_both_engines
@pytest.mark.parametrize("lose", [remove, replace])
@pytest.mark.parametrize("write", ["by itself", "in a group"])
async def test_nothing_is_acknowledged_into_a_file_that_is_gone(
    database: Database, storage: Storage, path: Path, lose: Callable[[Path], None], write: str
) -> None:
    async def attempt() -> None:
        await (given(storage, a_user()) if write == "by itself" else grouped_write(database, storage))

    await attempt()
    lose(path)

    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            await attempt()
    with pytest.raises(StorageUnavailable):
        await SqlProbe(database).check()
    assert (size(path) is not None) is (lose is replace)
    with pytest.raises(StorageUnavailable):
        await storage.accounts.account(UserId(an_id()))
    assert await settled(storage.revisions.current(UserId(an_id()))) is None
    assert storage.commits is not None
    assert storage.commits.current() is None

    bring_back(path)
    await SqlProbe(database).check()
    await attempt()
    assert await storage.accounts.account(UserId(an_id())) is None


@on_both_engines
async def test_what_is_committed_while_the_file_goes_may_or_may_not_be_there(
    database: Database, storage: Storage, path: Path
) -> None:
    user = a_user()
    async with storage.identity_units() as uow:
        await uow.users.add(user)
        await uow.users.role_and_status(user.id)
        remove(path)
        with pytest.raises(OutcomeUnknown):
            await uow.commit()
    bring_back(path)

    await SqlProbe(database).check()
    assert await storage.accounts.account(user.id) is not None


async def test_a_log_that_was_removed_is_noticed_too(storage: Storage, path: Path) -> None:
    path.with_name("postern.db-wal").unlink()

    with pytest.raises(StorageUnavailable):
        await given(storage, a_user())


@on_both_engines
async def test_a_process_that_begins_later_takes_no_other_file_for_the_one_that_is_known(
    path: Path, engine: str
) -> None:
    known = file_id(path)
    assert known is not None
    url = f"sqlite+aiosqlite:///{path}"
    for lose in (remove_alone, replaced_by_an_empty_one):
        lose(path)
        database = Database(DatabaseSettings(url=url, engine=engine), file=known)
        storage = sql_storage(database)
        with pytest.raises(StorageUnavailable):
            await given(storage, a_user())
        with pytest.raises(StorageUnavailable):
            await storage.accounts.account(UserId(an_id()))
        with pytest.raises(StorageUnavailable):
            await SqlProbe(database).check()
        await storage.close()
        assert size(path) == (None if lose is remove_alone else 0)


def remove_alone(path: Path) -> None:
    # Moved, so that it keeps its number; `serve` keeps it by having the file open.
    path.rename(path.with_name("away"))


def replaced_by_an_empty_one(path: Path) -> None:
    path.touch()


def size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


@on_both_engines
async def test_a_file_that_is_not_there_is_made_by_nobody_but_a_migration(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "none.db"
    database = Database(DatabaseSettings(url=f"sqlite+aiosqlite:///{path}", engine=engine))
    storage = sql_storage(database)

    with pytest.raises(StorageUnavailable):
        await given(storage, a_user())
    with pytest.raises(StorageUnavailable):
        await storage.accounts.account(UserId(an_id()))
    assert storage.commits is not None
    assert storage.commits.current() is None
    await storage.close()
    assert not path.exists()


def test_no_migration_makes_an_empty_file_beside_the_log_of_one_that_is_gone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE more (a)")
    path.rename(path.with_name("away"))

    with pytest.raises(DatabaseRefused, match="is gone"):
        upgrade(f"sqlite+aiosqlite:///{path}")
    assert not path.exists()
    connection.close()


async def test_reads_notice_by_themselves_that_the_file_is_gone(
    database: Database, storage: Storage, path: Path
) -> None:
    guard = database.sqlite_guard
    assert guard is not None
    assert guard.known == file_id(path)
    await storage.accounts.account(UserId(an_id()))
    remove(path)

    async with asyncio.timeout(10):
        while not guard.is_lost:  # noqa: ASYNC110 - a look sets no event
            await asyncio.sleep(0.02)
    with pytest.raises(StorageUnavailable):
        await storage.accounts.account(UserId(an_id()))
    bring_back(path)
    async with asyncio.timeout(10):
        while guard.is_lost:  # noqa: ASYNC110 - a look sets no event
            await asyncio.sleep(0.02)
