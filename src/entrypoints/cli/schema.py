"""`postern migrate` and `postern downgrade`, and what other commands ask of the schema."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from adapters.sql.schema.revision import has_newest_revision
from application.shared.errors import Unavailable
from entrypoints.cli.failures import BadSetting, CommandFailed, DatabaseUnreachable, SchemaNotCurrent
from entrypoints.cli.loading import load_settings
from entrypoints.settings import MEMORY_URL, Settings, mask_url

EMPTY = "empty"


@click.command(
    epilog="Examples: `postern migrate`, `DATABASE_URL=mysql://app@db/postern postern migrate`. Safe to run from "
    "several places at once: one migrates, the others wait and find nothing to do."
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something was done.")
def migrate(*, quiet: bool) -> None:
    """Bring the database's schema up to date, creating it where there is none.

    On PostgreSQL and SQLite it happens as a whole or not at all. MySQL and MariaDB commit each change of the schema by
    itself: after a failure, remove its cause and run the command again.
    """
    bring_up_to_date(_with_database(), quiet=quiet)


def bring_up_to_date(settings: Settings, *, quiet: bool) -> None:
    """Migrate, and tell what was done; without `quiet`, also that nothing was. Raises `CommandFailed`."""
    if quiet and settings.sqlite_file is not None and has_newest_revision(settings.sqlite_file):
        return
    from adapters.sql.schema.migrate import SchemaStatus, schema_state, upgrade  # noqa: PLC0415 - help comes without it

    # MariaDB remarks on the name of Alembic's own primary key, and the driver passes it on as a warning.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
    with _database_faults(settings):
        # A SQLite file that is not there yet is made by the upgrade, its folder included.
        before = None if _is_missing_file(settings) else schema_state(settings.database_url)
        if before is not None and before.status is SchemaStatus.TOO_NEW:
            raise _too_new(before.revision)
        if before is not None and before.status is SchemaStatus.CURRENT:
            if not quiet:
                click.echo(f"The schema is up to date ({before.head}).")
            return
        upgrade(settings.database_url)
        after = schema_state(settings.database_url)
    was = EMPTY if before is None or before.revision is None else before.revision
    click.echo(f"The schema of {mask_url(settings.database_url)} is now at {after.revision} (it was {was}).")


@click.command(epilog="Examples: `postern downgrade 0001`, `postern downgrade base --yes`.")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask. What the newer schema kept, the older one loses.")
def downgrade(*, revision: str, yes: bool) -> None:
    """Take the database's schema back to an older REVISION; `base` removes all of it, with all data.

    Stop the servers first, and downgrade with the version that migrated: an older one does not know how.
    """
    from adapters.sql.schema.migrate import UnknownRevision, schema_state  # noqa: PLC0415 - help comes without it
    from adapters.sql.schema.migrate import downgrade as take_back  # noqa: PLC0415

    settings = _with_database()
    if not yes:
        click.confirm(f"Take {mask_url(settings.database_url)} back to {revision}? Data is lost", abort=True)
    with _database_faults(settings):
        try:
            take_back(settings.database_url, revision)
        except UnknownRevision as error:
            raise CommandFailed(f"cannot take the schema back to {revision!r}: {error}") from error
        click.echo(f"The schema is now at {schema_state(settings.database_url).revision or EMPTY}.")


def require_current_schema(settings: Settings) -> None:
    """Raise `CommandFailed` unless the database answers and its schema is the one that this version needs."""
    if settings.database_url == MEMORY_URL:
        return
    if settings.sqlite_file is not None and has_newest_revision(settings.sqlite_file):
        return
    from adapters.sql.schema.state import SchemaStatus, schema_state  # noqa: PLC0415 - imports the database toolkit

    if _is_missing_file(settings):
        raise SchemaNotCurrent(f"there is no database {settings.sqlite_file} yet; run `postern migrate`")
    with _database_faults(settings):
        state = schema_state(settings.database_url)
    if state.status is SchemaStatus.TOO_NEW:
        raise _too_new(state.revision)
    if state.status is SchemaStatus.TOO_OLD:
        raise SchemaNotCurrent(
            f"the schema is too old ({state.revision or EMPTY}; {state.head} is needed); run `postern migrate`"
        )


def _with_database() -> Settings:
    settings = load_settings()
    if settings.database_url == MEMORY_URL:
        raise BadSetting("storage in memory has no schema; set DATABASE_URL")
    return settings


def _is_missing_file(settings: Settings) -> bool:
    return settings.sqlite_file is not None and not settings.sqlite_file.exists()


def _too_new(revision: str | None) -> CommandFailed:
    return SchemaNotCurrent(
        f"the schema is too new ({revision}): a newer Postern has migrated it; install that one, or take the schema "
        "back with its `postern downgrade`"
    )


@contextmanager
def _database_faults(settings: Settings) -> Iterator[None]:
    """Turn a database that does not answer, or says no, into one line."""
    from adapters.sql.schema.state import DatabaseRefused  # noqa: PLC0415 - imports the database toolkit

    try:
        yield
    except (Unavailable, DatabaseRefused) as error:
        cause = error.__cause__
        reason = str(getattr(cause, "orig", None) or cause or error).partition("\n")[0]
        raise DatabaseUnreachable(
            f"cannot use the database {mask_url(settings.database_url)}: {reason}; see DATABASE_URL"
        ) from error
