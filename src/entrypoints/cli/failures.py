"""How a command fails: one line on standard error for each thing that is wrong, and an exit code to tell them apart."""

import sys
from typing import IO, Any

import click


class CommandFailed(click.ClickException):
    """A failure that the caller can do something about: shown as `postern: …`, without a traceback.

    Its exit code is 1; click's own for wrong usage is 2.
    """

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"postern: {line}", file=file or sys.stderr)


class BadSetting(CommandFailed):
    exit_code = 3


class DatabaseUnreachable(CommandFailed):
    exit_code = 4


class SchemaNotCurrent(CommandFailed):
    exit_code = 5


class AddressUnavailable(CommandFailed):
    exit_code = 6


class Rejected(CommandFailed):
    """The input breaks a rule of the domain."""

    exit_code = 7
