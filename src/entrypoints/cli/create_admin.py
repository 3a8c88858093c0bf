"""`postern create-admin`."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

import click

from application.identity.create_admin import CreateAdminCommand
from application.shared.errors import Unavailable
from domain.identity.values import Password, PersonName, Username
from domain.shared.errors import Conflict, FieldError, Invalid
from entrypoints.cli.failures import CommandFailed, DatabaseUnreachable, Rejected
from entrypoints.cli.loading import load_settings
from entrypoints.cli.schema import require_current_schema
from entrypoints.settings import Settings

T = TypeVar("T")

PASSWORD_VARIABLE = "ADMIN_PASSWORD"  # noqa: S105 - the variable's name


@click.command(
    "create-admin",
    epilog="Examples: `postern create-admin` asks for everything; "
    f"`{PASSWORD_VARIABLE}=… postern create-admin --email ops@example.com --username ops` asks for nothing. "
    "No option takes the password itself: it would show in the list of processes and in the shell's history.",
)
@click.option("--email", metavar="ADDRESS", help="The e-mail address to log in with.")
@click.option("--username", metavar="HANDLE", help="The public handle: 3 to 32 letters, digits, '_', '.' or '-'.")
@click.option("--name", metavar="TEXT", help="The display name; none unless given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
def create_admin(*, email: str | None, username: str | None, name: str | None, password_stdin: bool) -> None:
    """Create an account with the role `admin`.

    It is subject to the same rules as any other account: one account per address and per handle, and a password of 12
    to 256 characters that is neither a common one nor its owner's address or handle. Without --password-stdin the
    password comes from ADMIN_PASSWORD, or is asked for twice.
    """
    settings = load_settings()
    require_current_schema(settings)
    interactive = sys.stdin.isatty() and not password_stdin
    email = email or _ask("E-mail address", "--email", interactive=interactive)
    username = username or _ask("Username", "--username", interactive=interactive)
    password = _password(from_stdin=password_stdin, interactive=interactive)
    click.echo(asyncio.run(_create(settings, email=email, username=username, name=name, password=password)))


def _ask(question: str, option: str, *, interactive: bool) -> str:
    if not interactive:
        raise click.UsageError(f"{option} is needed where nobody can be asked")
    return str(click.prompt(question))


def _password(*, from_stdin: bool, interactive: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if given := os.environ.get(PASSWORD_VARIABLE):
        return given
    if not interactive:
        raise click.UsageError(f"{PASSWORD_VARIABLE} or --password-stdin is needed where nobody can be asked")
    return str(click.prompt("Password (12 characters or more)", hide_input=True, confirmation_prompt="Once more"))


async def _create(settings: Settings, *, email: str, username: str, name: str | None, password: str) -> str:
    from entrypoints.container import Container  # noqa: PLC0415 - help comes without all this
    from entrypoints.container.lifecycle import running  # noqa: PLC0415 - help comes without all this
    from entrypoints.http.identity.schemas import email_address  # noqa: PLC0415

    faults: list[FieldError] = []

    def parsed(parse: Callable[[str], T], raw: str) -> T | None:
        try:
            return parse(raw)
        except Invalid as error:
            faults.extend(error.errors)
            return None

    address = parsed(email_address, email)
    handle = parsed(Username.parse, username)
    person = None if name is None else parsed(PersonName.parse, name)
    secret = parsed(Password.new, password)
    if address is None or handle is None or secret is None or faults:
        raise _rejected(faults)
    command = CreateAdminCommand(email=address, password=secret, username=handle, name=person)
    container = Container(settings=settings)
    async with running(container):
        try:
            account = await container.identity().create_admin.execute(command)
        except Invalid as error:
            raise _rejected(error.errors) from error
        except Conflict as error:
            raise Rejected(error.detail) from error
        except Unavailable as error:
            raise DatabaseUnreachable(error.detail) from error
    return f"Created the administrator {account.username} ({account.email})."


def _rejected(faults: Iterable[FieldError]) -> CommandFailed:
    return Rejected("\n".join(f"{fault.field} {fault.message}" for fault in faults))
