"""`postern relay`."""

import asyncio
import logging.config

import click

from entrypoints.cli.failures import BadSetting
from entrypoints.cli.loading import load_settings
from entrypoints.settings import MEMORY_URL, mask_url


@click.command(
    epilog="Examples: `BROKER_URL=amqp://app@rabbitmq/ postern relay`, `BROKER_URL=stdout: postern relay | jq .type`. "
    "Run as many as you like, on as many machines: they share the work."
)
def relay() -> None:
    """Bring events to the broker that BROKER_URL names, deliver webhooks and forget old events, until SIGTERM.

    Each event arrives at least once, and those of one subject in order. A relay that dies loses nothing: the others go
    on where it was. What it logs goes to standard error.
    """
    settings = load_settings()
    if settings.database_url == MEMORY_URL:
        raise BadSetting("DATABASE_URL is 'memory://'; expected a database that other processes can see")
    from entrypoints.cli.schema import require_current_schema  # noqa: PLC0415 - imports the database toolkit
    from entrypoints.cli.serve import logging_configuration  # noqa: PLC0415 - help comes without all this
    from entrypoints.container import Container  # noqa: PLC0415
    from entrypoints.relay.process import run  # noqa: PLC0415

    require_current_schema(settings)
    logging.config.dictConfig(logging_configuration(settings.log_level))
    where = "no broker (BROKER_URL is not set)" if settings.broker_url is None else mask_url(settings.broker_url)
    click.echo(f"Relaying events to {where}.", err=True)
    asyncio.run(run(Container(settings=settings)))
    click.echo("Stopped.", err=True)
