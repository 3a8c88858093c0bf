"""The `postern` command. Each sub-command is a module that is imported when it is called for, so that help is fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version

import click


@dataclass(frozen=True, slots=True)
class _Entry:
    target: str
    summary: str


_COMMANDS = {
    "serve": _Entry("entrypoints.cli.serve:serve", "Serve the HTTP API."),
    "migrate": _Entry("entrypoints.cli.schema:migrate", "Bring the database's schema up to date."),
    "downgrade": _Entry("entrypoints.cli.schema:downgrade", "Take the database's schema back to an older revision."),
    "relay": _Entry("entrypoints.cli.relay:relay", "Bring events to the broker, and deliver webhooks."),
    "outbox": _Entry("entrypoints.cli.outbox:outbox", "List events that were not delivered, and replay them."),
    "create-admin": _Entry("entrypoints.cli.create_admin:create_admin", "Create an account that may do everything."),
    "recount": _Entry("entrypoints.cli.recount:recount", "Compare the counters of posts with what they count."),
    "config": _Entry("entrypoints.cli.config:config", "Show the effective settings, secrets masked."),
    "openapi": _Entry("entrypoints.cli.openapi:openapi", "Print the OpenAPI document."),
}


class _LazyGroup(click.Group):
    """Knows its commands by name and summary, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.target} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from the environment and from .env in the working directory; `postern config` shows them. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad setting, 4 database unreachable, 5 schema not current, "
    "6 address or port not available, 7 input rejected.",
)
@click.version_option(version("postern"), "-V", "--version", message="postern %(version)s")
def cli() -> None:
    """Postern: a self-hosted backend for user posts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the entry point of the installed `postern`."""
    cli.main(args=None if arguments is None else list(arguments), prog_name="postern")
