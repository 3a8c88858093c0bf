"""`postern recount`."""

import asyncio

import click

from application.posts.recount import RecountCommand
from application.shared.errors import Unavailable
from entrypoints.cli.failures import CommandFailed, DatabaseUnreachable
from entrypoints.cli.loading import load_settings
from entrypoints.settings import Settings


@click.command(
    epilog="Examples: `postern recount --check` says what is wrong and changes nothing; `postern recount --pause 0.1` "
    "goes about it gently. Exit code 1: something is wrong, or was."
)
@click.option("--check", is_flag=True, help="Only look; repair nothing.")
@click.option("--batch", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Posts per look.")
@click.option(
    "--pause", default=0.0, show_default=True, type=click.FloatRange(0, 60), help="Seconds to rest between looks."
)
def recount(*, check: bool, batch: int, pause: float) -> None:
    """Compare the votes and answers counted at each post with those there are, and repair what differs.

    It runs while the servers do. A look takes no locks; a repair locks one post for the moment that it takes.
    """
    settings = load_settings()
    from entrypoints.cli.schema import require_current_schema  # noqa: PLC0415 - imports the database toolkit

    require_current_schema(settings)
    checked, wrong, repaired = asyncio.run(_recount(settings, RecountCommand(batch, not check), pause))
    click.echo(f"Looked at {checked} posts: {wrong} wrong, {repaired} repaired.")
    if wrong:
        raise CommandFailed(f"{wrong} posts had counters that were wrong" + ("" if check else "; they are right now"))


async def _recount(settings: Settings, command: RecountCommand, pause: float) -> tuple[int, int, int]:
    from entrypoints.container import Container  # noqa: PLC0415 - help comes without all this
    from entrypoints.container.lifecycle import running  # noqa: PLC0415 - help comes without all this

    container = Container(settings=settings)
    checked = wrong = repaired = 0
    async with running(container):
        try:
            async for progress in container.posts().recount.execute(command):
                checked += progress.checked
                wrong += len(progress.wrong)
                repaired += progress.repaired
                for post_id in progress.wrong:
                    click.echo(f"{post_id} is wrong" if not command.repair else f"{post_id} was wrong")
                await asyncio.sleep(pause)
        except Unavailable as error:
            raise DatabaseUnreachable(error.detail) from error
    return checked, wrong, repaired
