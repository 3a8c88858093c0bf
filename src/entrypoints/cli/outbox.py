"""`postern outbox list` and `postern outbox replay`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import click

from application.events.ports import Lag, RelayLedger, RetryEntry
from application.shared.errors import Unavailable
from application.shared.views import timestamp
from entrypoints.cli.failures import CommandFailed, DatabaseUnreachable
from entrypoints.cli.loading import load_settings
from entrypoints.settings import Settings

R = TypeVar("R")


@click.group(epilog="Examples: `postern outbox list --dead`, `postern outbox replay --all`.")
def outbox() -> None:
    """Look at events that the broker has not got, and have those that were given up tried again."""


@outbox.command(
    name="list",
    epilog="Examples: `postern outbox list`, `postern outbox list --dead --limit 1000`. Columns: event, state, "
    "attempts, when it happened, type, subject, why it was refused.",
)
@click.option("--dead", "state", flag_value="dead", help="Only what was given up.")
@click.option("--pending", "state", flag_value="pending", help="Only what is still to be delivered.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Lines at the most.")
def list_(*, state: str | None, limit: int) -> None:
    """Show what was given up, and what is still to be delivered; the oldest first."""

    async def look(ledger: RelayLedger) -> tuple[Lag, Sequence[RetryEntry], Sequence[RetryEntry]]:
        dead = () if state == "pending" else await ledger.dead(limit=limit)
        pending = () if state == "dead" else await ledger.pending(limit=limit)
        return await ledger.lag(), dead, pending

    lag, dead, pending = _with_ledger(load_settings(), look)
    for entry in [*dead, *pending][:limit]:
        click.echo(_line(entry))
    oldest = "" if lag.oldest is None else f", the oldest of {timestamp(lag.oldest)}"
    click.echo(f"{lag.pending} pending{oldest}; {lag.dead} dead.", err=True)


@outbox.command(
    epilog="Examples: `postern outbox replay 019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b`, `postern outbox replay --all`. "
    "Exit code 1: some of these events are not among the dead."
)
@click.argument("ids", nargs=-1, type=click.UUID, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every dead one.")
def replay(*, ids: tuple[UUID, ...], everything: bool) -> None:
    """Have dead events tried again, as often as new ones. They arrive after what came later in their subject."""
    if everything == bool(ids):
        raise click.UsageError("name events, or --all")
    wanted = None if everything else tuple(dict.fromkeys(ids))
    replayed = _with_ledger(load_settings(), lambda ledger: ledger.replay(wanted))
    click.echo(f"{replayed} will be tried again.")
    if wanted is not None and replayed < len(wanted):
        raise CommandFailed(f"{len(wanted) - replayed} of these are not among the dead")


def _line(entry: RetryEntry) -> str:
    event = entry.event
    state = "dead" if entry.dead else "pending"
    columns = (event.id, state, entry.attempts, timestamp(event.time), event.type, event.subject)
    return "  ".join([*(str(column) for column in columns), *([entry.error] if entry.error else [])])


def _with_ledger(settings: Settings, work: Callable[[RelayLedger], Awaitable[R]]) -> R:
    from entrypoints.cli.schema import require_current_schema  # noqa: PLC0415 - imports the database toolkit
    from entrypoints.container import Container  # noqa: PLC0415 - help comes without all this

    require_current_schema(settings)

    async def run() -> R:
        storage = Container(settings=settings).storage()
        try:
            return await work(storage.relay_ledger)
        except Unavailable as error:
            raise DatabaseUnreachable(error.detail) from error
        finally:
            await storage.close()

    return asyncio.run(run())
