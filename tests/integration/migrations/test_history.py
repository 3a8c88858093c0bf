"""The schema's history: every step leads up and back, on every database, and ends at the models."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.schema.migrate import (
    DatabaseRefused,
    SchemaStatus,
    UnknownRevision,
    configuration,
    downgrade,
    schema_state,
    upgrade,
)
from adapters.sql.schema.revision import has_newest_revision, revisions
from adapters.sql.tables import Row, is_search_index
from application.shared.errors import StorageUnavailable
from entrypoints.storage import sql_storage
from tests.aggregates import fields_of
from tests.backends import Databases, run_apart
from tests.builders import a_post, a_session, a_user
from tests.contracts.scenarios import given, load_post

pytestmark = pytest.mark.untraced

REVISIONS = [script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()][::-1]


def look(url: str, work: Any) -> Any:
    """Run `work` on a connection to `url`."""

    async def story() -> Any:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            found = await connection.run_sync(work)
        await engine.dispose()
        return found

    return run_apart(story)


def tables(connection: Connection) -> set[str]:
    return {name for name in inspect(connection).get_table_names() if not is_search_index(name)}


def drift(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True, "include_name": is_of_the_models}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, Row.metadata))


def is_of_the_models(name: str | None, *_: Any) -> bool:
    return not is_search_index(name)


def schema(connection: Connection) -> dict[str, Any]:
    """Return columns, keys, indexes and checks of every table, as comparable text."""
    inspector = inspect(connection)
    return {
        table: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)],
            sorted(str(key) for key in inspector.get_foreign_keys(table)),
            sorted(str(index) for index in inspector.get_indexes(table)),
            sorted(str(constraint) for constraint in inspector.get_unique_constraints(table)),
            sorted(str(constraint) for constraint in inspector.get_check_constraints(table)),
        )
        # With the indexes for search, which the models leave out.
        for table in sorted(inspector.get_table_names())
    }


def test_the_history_is_one_line() -> None:
    scripts = ScriptDirectory.from_config(configuration())
    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
    assert not [script.revision for script in scripts.walk_revisions() if script.is_merge_point]


def test_every_revision_leads_up_and_back_and_up_again(fresh_url: str) -> None:
    """Each in turn on one database: what comes back up is what the next begins with."""
    begun_with = look(fresh_url, schema)
    for before, revision in pairwise(["base", *REVISIONS]):
        upgrade(fresh_url, revision)
        upgraded = look(fresh_url, schema)
        downgrade(fresh_url, before)
        taken_back = look(fresh_url, schema)
        for found in (begun_with, taken_back):
            found.pop("alembic_version", None)
        assert taken_back == begun_with, revision

        upgrade(fresh_url, revision)
        begun_with = look(fresh_url, schema)
        assert begun_with == upgraded, revision


def test_the_names_of_the_files_tell_the_history_as_alembic_does() -> None:
    assert revisions() == REVISIONS


def test_a_sqlite_file_tells_without_any_library_whether_it_is_current(tmp_path: Path) -> None:
    file = tmp_path / "post #1 100%.db"
    url = f"sqlite+aiosqlite:///{file}"
    assert not has_newest_revision(file)
    assert not file.exists()

    upgrade(url, REVISIONS[-2])
    assert not has_newest_revision(file)

    upgrade(url)
    assert has_newest_revision(file)

    file.write_bytes(b"no database, but long enough to be looked at" * 100)
    assert not has_newest_revision(file)


def test_the_history_ends_at_the_models(fresh_url: str) -> None:
    upgrade(fresh_url)

    assert look(fresh_url, drift) == []


def test_every_constraint_of_the_models_is_there_by_its_name(fresh_url: str) -> None:
    """Autogenerate compares no checks, and errors are translated by names."""
    upgrade(fresh_url)

    def names(connection: Connection) -> set[str]:
        inspector = inspect(connection)
        found: set[str] = set()
        for table in Row.metadata.tables:
            for constraints in (
                inspector.get_check_constraints(table),
                inspector.get_unique_constraints(table),
                inspector.get_foreign_keys(table),
            ):
                found |= {str(constraint["name"]) for constraint in constraints}
        return found

    expected = {
        str(constraint.name)
        for table in Row.metadata.tables.values()
        for constraint in table.constraints
        if constraint.name is not None and re.match("ck_|uq_|fk_", str(constraint.name))
    }
    assert look(fresh_url, names) == expected


def test_upgrading_twice_is_upgrading_once(fresh_url: str) -> None:
    upgrade(fresh_url)
    once = look(fresh_url, schema)

    upgrade(fresh_url)

    assert look(fresh_url, schema) == once


def test_processes_that_upgrade_at_once_take_turns(fresh_url: str) -> None:
    together = Barrier(4)

    def migrate() -> None:
        together.wait()
        upgrade(fresh_url)

    with ThreadPoolExecutor(4) as pool:
        for running in [pool.submit(migrate) for _ in range(4)]:
            running.result()

    assert look(fresh_url, drift) == []
    assert schema_state(fresh_url).status is SchemaStatus.CURRENT


def test_the_state_of_an_empty_a_current_and_a_newer_schema(fresh_url: str) -> None:
    empty = schema_state(fresh_url)
    assert (empty.status, empty.revision, empty.head) == (SchemaStatus.TOO_OLD, None, REVISIONS[-1])

    upgrade(fresh_url)
    assert schema_state(fresh_url).status is SchemaStatus.CURRENT

    look(fresh_url, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    newer = schema_state(fresh_url)
    assert (newer.status, newer.revision) == (SchemaStatus.TOO_NEW, "9999")


def test_a_schema_that_a_newer_version_migrated_is_left_alone(fresh_url: str) -> None:
    upgrade(fresh_url)
    look(fresh_url, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    with pytest.raises(UnknownRevision):
        upgrade(fresh_url)
    with pytest.raises(UnknownRevision):
        downgrade(fresh_url, "base")

    assert tables_without_history(fresh_url) == set(Row.metadata.tables)


def tables_without_history(url: str) -> set[str]:
    found: set[str] = look(url, tables)
    return found - {"alembic_version"}


def test_a_revision_that_does_not_exist_is_refused_by_name(fresh_url: str) -> None:
    with pytest.raises(UnknownRevision, match="nonsense"):
        upgrade(fresh_url, "nonsense")

    assert tables_without_history(fresh_url) == set()


def test_a_migration_that_failed_midway_goes_on_when_it_is_run_again(fresh_url: str, sql_backend: str) -> None:
    """Where DDL is part of the transaction nothing stays; MySQL keeps what came before the failure."""
    keeps = sql_backend in {"mariadb", "mysql"}
    # What stands in the way: IF NOT EXISTS would pass over a view there, but not over a table of another shape.
    put, remove = (
        ("CREATE TABLE posts (id INT PRIMARY KEY)", "DROP TABLE posts")
        if keeps
        else ("CREATE VIEW cache_fences AS SELECT 1 AS process_id", "DROP VIEW cache_fences")
    )
    look(fresh_url, lambda connection: connection.execute(text(put)))

    with pytest.raises(DatabaseRefused):
        upgrade(fresh_url)

    assert schema_state(fresh_url).revision is None
    look(fresh_url, lambda connection: connection.execute(text(remove)))
    assert tables_without_history(fresh_url) == ({"users", "sessions"} if keeps else set())

    upgrade(fresh_url)
    assert look(fresh_url, drift) == []


async def test_the_migrated_schema_stores_posts(fresh_url: str) -> None:
    upgrade(fresh_url)
    database = Database(DatabaseSettings(url=fresh_url))
    storage = sql_storage(database)
    alice = a_user()
    post = a_post(alice)

    await given(storage, alice, a_session(alice), post)

    assert fields_of(await load_post(storage, post.id)) == fields_of(post)
    await storage.close()


async def test_migrating_works_while_a_loop_is_running(fresh_url: str) -> None:
    upgrade(fresh_url)

    assert schema_state(fresh_url).status is SchemaStatus.CURRENT


def test_a_database_that_is_not_there_is_unavailable(sql_backend: str, databases: Databases) -> None:
    if sql_backend == "sqlite":
        url = "sqlite+aiosqlite:////proc/nowhere.db"
    else:
        databases.url(sql_backend)
        url = databases.create(sql_backend, "_gone")
        databases.drop(sql_backend, url)

    with pytest.raises(StorageUnavailable):
        upgrade(url)


def test_asking_for_the_state_makes_no_file(databases: Databases) -> None:
    path = databases.folder / "not there yet.db"

    assert schema_state(f"sqlite+aiosqlite:///{path}").revision is None

    assert not path.exists()


def test_a_sqlite_file_is_made_with_its_folder(databases: Databases) -> None:
    path = databases.folder / "deep" / "down" / "postern.db"

    upgrade(f"sqlite+aiosqlite:///{path}")

    assert schema_state(f"sqlite+aiosqlite:///{path}").status is SchemaStatus.CURRENT
