"""Database servers of this machine: where they are, and databases made and dropped on them."""

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

TITLES: Final = {"sqlite": "SQLite", "mariadb": "MariaDB", "postgresql": "PostgreSQL"}
_SERVERS: Final = {
    "mariadb": ("BENCH_MARIADB_URL", "mysql+asyncmy://root@127.0.0.1:3306/"),
    "postgresql": ("BENCH_POSTGRESQL_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/"),
}
DATABASES: Final = tuple(_SERVERS)
_ADMINISTRATIVE: Final = {"mariadb": "mysql", "postgresql": "postgres"}


class Unavailable(Exception):
    """A contender cannot take part on this machine; the text says why."""


def server_url(kind: str, database: str) -> str:
    variable, default = _SERVERS[kind]
    base, _, query = os.environ.get(variable, default).partition("?")
    return f"{base.rstrip('/')}/{database}" + (f"?{query}" if query else "")


def create_database(kind: str, name: str) -> str:
    """Make an empty database, replacing one that an earlier run left behind. Raises `Unavailable`."""
    drop_database(kind, name)
    options = " CHARACTER SET utf8mb4" if kind == "mariadb" else ""
    execute(kind, [f"CREATE DATABASE {name}{options}"])
    return server_url(kind, name)


def drop_database(kind: str, name: str) -> None:
    execute(kind, [f"DROP DATABASE IF EXISTS {name}" + (" WITH (FORCE)" if kind == "postgresql" else "")])


def names_of_databases(kind: str, beginning: str) -> list[str]:
    """Return the databases whose names begin so."""
    table, column = {
        "mariadb": ("information_schema.schemata", "schema_name"),
        "postgresql": ("pg_database", "datname"),
    }[kind]
    known = execute(kind, [f"SELECT {column} FROM {table}"], every=True)
    return [name for name in known if name.startswith(beginning)]


def execute(kind: str, statements: Sequence[str], *, database: str | None = None, every: bool = False) -> list[str]:
    """Run statements outside of any transaction, in one session, and return the first value of each that has one.

    With `every` the first values of all rows. Raises `Unavailable`.
    """
    # A database that was not there to be dropped is worth a warning to asyncmy.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)

    async def run() -> list[str]:
        engine = create_async_engine(server_url(kind, database or _ADMINISTRATIVE[kind]), isolation_level="AUTOCOMMIT")
        found: list[str] = []
        try:
            async with engine.connect() as connection:
                for statement in statements:
                    result = await connection.execute(text(statement))
                    if result.returns_rows:
                        rows = result.all()
                        found += [str(row[0]) for row in (rows if every else rows[:1])]
        finally:
            await engine.dispose()
        return found

    try:
        return asyncio.run(run())
    except (DBAPIError, OSError) as error:
        variable = _SERVERS[kind][0]
        reason = str(getattr(error, "orig", error)).partition("\n")[0]
        raise Unavailable(f"{TITLES[kind]} does not answer ({reason}); see {variable}") from error


def durability(kind: str) -> str:
    """Say what a commit means, as the database itself tells. Raises `Unavailable`."""
    if kind == "mariadb":
        version, flush, binlog = execute(
            kind, ["SELECT VERSION()", "SELECT @@innodb_flush_log_at_trx_commit", "SELECT @@sync_binlog"]
        )
        return f"MariaDB {version}, innodb_flush_log_at_trx_commit={flush}, sync_binlog={binlog}"
    version, commit, fsync = execute(kind, ["SHOW server_version", "SHOW synchronous_commit", "SHOW fsync"])
    return f"PostgreSQL {version}, synchronous_commit={commit}, fsync={fsync}"
