"""What every connection is set to, whatever the server's own settings are."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Limits
from adapters.sql.dialects.mysql import MysqlDialect
from application.shared.errors import StorageUnavailable
from entrypoints.storage import sql_storage
from tests.backends import SQL_BACKENDS
from tests.builders import a_user
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import OpenDatabase, on_both_engines, on_servers, on_sqlite, writing

MYSQL_LIKE = pytest.mark.parametrize(
    "sql_backend", [backend for backend in SQL_BACKENDS if backend in {"mariadb", "mysql"}], indirect=True
)
LIMITS = Limits(connect=5.0, statement=10.0, lock=5.0)
MARIADB = pytest.mark.parametrize("sql_backend", ["mariadb"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("sql_backend", ["postgresql"], indirect=True)


Ask = Callable[[str], Awaitable[Any]]
"""Asks for one value."""


def both(database: Database) -> tuple[Ask, Ask]:
    """Return how to ask on a connection for reading, and on one for writing."""

    async def reading(question: str) -> Any:
        row = await database.fetch_one(text(question), {})
        assert row is not None
        return row[0]

    async def while_writing(question: str) -> Any:
        async with writing(database) as unit:
            return (await unit.run(text(question), {})).scalar()

    return reading, while_writing


@on_both_engines
@on_sqlite
@pytest.mark.parametrize(("survives_power_loss", "synchronous"), [(True, 2), (False, 1)])
async def test_sqlite_keeps_a_log_and_minds_references(
    open_with: OpenDatabase, engine: str, *, survives_power_loss: bool, synchronous: int
) -> None:
    database = open_with(survives_power_loss=survives_power_loss)

    async def written(pragma: str) -> Any:
        async with writing(database) as unit:
            return (await unit.run(text(pragma), {})).scalar()

    assert await written("PRAGMA journal_mode") == "wal"
    assert await written("PRAGMA synchronous") == synchronous
    assert await written("PRAGMA foreign_keys") == 1
    # The fast engine would sleep on the event loop for somebody else's lock; the plain one sleeps in a thread.
    assert await written("PRAGMA busy_timeout") == (0 if engine == "fast" else 5000)
    row = await database.fetch_one(text("PRAGMA query_only"), {})
    assert row is not None
    assert row[0] == 1


@on_both_engines
@MYSQL_LIKE
async def test_mysql_is_strict_in_utc_and_reads_what_is_committed(open_with: OpenDatabase, sql_backend: str) -> None:
    database = open_with()
    isolation = "tx_isolation" if sql_backend == "mariadb" else "transaction_isolation"
    for ask in both(database):
        mode = await ask("SELECT @@SESSION.sql_mode")
        assert "STRICT_ALL_TABLES" in mode
        assert await ask(f"SELECT @@SESSION.{isolation}") == "READ-COMMITTED"
        assert await ask("SELECT @@SESSION.time_zone") == "+00:00"
        assert await ask("SELECT @@SESSION.character_set_client") == "utf8mb4"
        assert await ask("SELECT @@SESSION.innodb_lock_wait_timeout") == 5
    assert await both(database)[1]("SELECT @@SESSION.autocommit") == 0
    assert await both(database)[0]("SELECT @@SESSION.autocommit") == 1


@on_both_engines
@POSTGRESQL
async def test_postgresql_is_bounded_in_utc_and_reads_what_is_committed(open_with: OpenDatabase) -> None:
    database = open_with()
    for ask in both(database):
        assert await ask("SHOW transaction_isolation") == "read committed"
        assert await ask("SHOW timezone") == "UTC"
        assert await ask("SHOW statement_timeout") == "10s"
        assert await ask("SHOW lock_timeout") == "5s"
        assert await ask("SHOW application_name") == "postern"


@on_both_engines
@on_servers
async def test_both_pools_together_are_as_large_as_the_settings_say(open_with: OpenDatabase) -> None:
    database = open_with(pool_size=10, max_overflow=6)
    for ask in both(database):
        await ask("SELECT 1")

    assert [(pool.name, pool.size) for pool in database.pools()] == [("reads", 8), ("writes", 8)]


@on_both_engines
async def test_each_pool_has_one_connection_at_the_least(open_with: OpenDatabase) -> None:
    storage = sql_storage(open_with(pool_size=1, max_overflow=0))
    user = a_user()

    await given(storage, user)

    assert await storage.accounts.account(user.id) is not None


@on_both_engines
async def test_a_database_can_be_used_again_after_it_was_disposed_of(open_with: OpenDatabase) -> None:
    database = open_with()
    storage = sql_storage(database)
    await given(storage, a_user())

    await storage.close()
    await storage.close()

    await given(storage, a_user())


def test_the_settings_do_not_show_the_password() -> None:
    assert "hunter2" not in repr(DatabaseSettings(url="mysql+asyncmy://app:hunter2@db/postern"))


def test_a_driver_that_is_not_ours_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="psycopg"):
        dialect_of(make_url("postgresql+psycopg://db/postern"))


@pytest.mark.parametrize(
    ("mode", "encrypted"), [("disable", False), ("require", True), ("verify-ca", True), ("true", True)]
)
def test_mysql_takes_tls_from_the_url(mode: str, encrypted: bool) -> None:
    url = make_url(f"mysql+asyncmy://db/postern?ssl={mode}")
    options = MysqlDialect().engine_options(LIMITS, url)

    assert (options["connect_args"]["ssl"] is not None) is encrypted


def test_a_word_for_tls_that_nobody_knows_is_refused() -> None:
    url = make_url("mysql+asyncmy://db/postern?ssl=perhaps")
    with pytest.raises(ValueError, match="perhaps"):
        MysqlDialect().engine_options(LIMITS, url)


@on_both_engines
@MARIADB
async def test_a_server_without_tls_is_refused_when_the_url_asks_for_it(
    database_url: str, open_with: OpenDatabase
) -> None:
    with_tls = make_url(database_url).update_query_dict({"ssl": "require"}).render_as_string(hide_password=False)
    storage = sql_storage(open_with(url=with_tls))

    with pytest.raises(StorageUnavailable):
        await given(storage, a_user())
