"""Bringing a database's schema to a revision.

Everything here is synchronous, for the command line and for tests, and may be called with or without a running loop.

One migration runs at a time on one database; a second one waits for the first, then finds nothing left to do. On
PostgreSQL and SQLite all of it is one transaction: it happens, or it never did. MySQL and MariaDB commit each DDL
statement by itself, so that a migration which fails midway leaves the statements before the failure behind, under the
revision before. Revisions are written so that running them again after the cause is removed goes on from there.
"""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, make_url

from adapters.sql.dialects import dialect_of
from adapters.sql.dialects.base import Dialect
from adapters.sql.schema.state import (
    DatabaseRefused,
    SchemaState,
    SchemaStatus,
    on_connection,
    run_in_own_loop,
    schema_state,
)
from adapters.sql.sqlite_file import log_of

__all__ = [
    "DatabaseRefused",
    "SchemaState",
    "SchemaStatus",
    "UnknownRevision",
    "configuration",
    "downgrade",
    "schema_state",
    "upgrade",
]


class UnknownRevision(Exception):
    """There is no such revision, or none that can be reached from the one that the database has."""


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`. A SQLite file is made when there is none.

    Raises `StorageUnavailable`, `DatabaseRefused`, `UnknownRevision`.
    """
    _migrate(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to `revision` (`base`: to nothing, with all data). Raises as `upgrade` does."""
    _migrate(url, lambda config: command.downgrade(config, revision))


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration: the packaged revisions, wherever the process was started."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _demand_nothing_was_lost(file: Path) -> None:
    """Raise `DatabaseRefused` where a file is to be made next to the log of one that is gone."""
    log = log_of(file)
    if not file.exists() and log.exists() and log.stat().st_size:
        raise DatabaseRefused(
            f"{file} is gone, and its log {log.name} is still there: bring the file back, or move the log away to "
            "begin with an empty database"
        )


def _migrate(url: str, step: Callable[[Config], None]) -> None:
    def run(connection: Connection, dialect: Dialect) -> None:
        with dialect.migration_lock(connection):
            try:
                step(configuration(connection))
            except CommandError as error:
                raise UnknownRevision(str(error)) from error
            connection.commit()

    file = dialect_of(make_url(url)).file(make_url(url))
    if file is not None:
        _demand_nothing_was_lost(file)
        file.parent.mkdir(parents=True, exist_ok=True)
    run_in_own_loop(on_connection(url, run))
