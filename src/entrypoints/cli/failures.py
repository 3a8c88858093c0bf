"""How a command fails: one line on standard error, and an exit code that scripts can tell apart."""

import sys
from enum import IntEnum
from typing import IO, Any

import click


class ExitCode(IntEnum):
    """1 is any other failure, and 2 wrong usage (click's own)."""

    FAILED = 1
    BAD_SETTING = 3
    DATABASE_UNREACHABLE = 4
    SCHEMA_NOT_CURRENT = 5
    ADDRESS_UNAVAILABLE = 6
    REJECTED = 7


class CommandFailed(click.ClickException):
    """A failure that the caller can do something about: shown as `postern: …` lines, without a traceback."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = int(code)

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"postern: {line}", file=file or sys.stderr)
