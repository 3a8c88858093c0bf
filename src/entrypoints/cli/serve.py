"""`postern serve`: check everything that can be checked, then run Granian."""

import errno
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from adapters.sql.sqlite_file import file_id
from entrypoints.cli.descriptors import OPEN_FILES, allow_connections, connections_wanted
from entrypoints.cli.failures import AddressUnavailable, CommandFailed
from entrypoints.cli.loading import load_settings
from entrypoints.cli.process_start import fork_next_process
from entrypoints.cli.schema import bring_up_to_date, require_current_schema
from entrypoints.cli.worker import DATABASE_FILE, METRICS_DIRECTORY, load_app, serve_worker
from entrypoints.settings import MEMORY_URL, Environment, LogLevel, Settings
from entrypoints.settings.command import own_command

NO_HOSTS = (
    "ALLOWED_HOSTS is not set, so requests under any name but this machine's own are answered 400 unknown-host; "
    "set it to the names that clients use, such as api.example.com"
)
BACKLOG = 2048
"""Connections that the kernel holds ready for all workers together."""
HEADER_BYTES = 64 * 1024
"""What Granian buffers of a request's head; beyond it answers 431 by itself, and our own bound is lower."""
HEADER_TIMEOUT_MS = 15_000
"""How long a request's head may take, which also ends idle keep-alive connections: no slow-loris."""
STOP_SECONDS = 8
"""How long a worker may take to end before it is killed, unless draining takes longer; Docker kills all after 10."""
ANSWER_SECONDS = 4
"""How long requests in flight may take at least after new connections have been taken for the last time."""


@click.command(
    epilog="Examples: `postern serve`, `postern serve --host 0.0.0.0 --port 8080 --workers 2`. "
    "A server does not start on a schema that is not current: run `postern migrate` first, or add --migrate."
)
@click.option("--host", metavar="ADDRESS", help="The address to listen on (HOST; 127.0.0.1).")
@click.option("--port", metavar="NUMBER", help="The port to listen on (PORT; 8000).")
@click.option("--workers", metavar="NUMBER", help="Processes that serve (WORKERS; 1).")
@click.option("--migrate", is_flag=True, help="Bring the schema up to date first, as `postern migrate` does.")
def serve(*, host: str | None, port: str | None, workers: str | None, migrate: bool) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM.

    On SIGTERM, /health/ready is 503 at once; new connections are taken for DRAIN_SECONDS more; then live streams end,
    and what was received is answered, within 8 seconds in all, or 4 after the drain. A worker that dies is replaced,
    after growing pauses when it keeps dying. SIGHUP replaces all workers, one by one, without refusing a request.
    """
    settings = load_settings(host=host, port=port, workers=workers)
    if settings.environment.is_exposed and settings.allows_own_hosts_only:
        click.echo(f"postern: {NO_HOSTS}", err=True)
    address = check_address(settings.host, settings.port)
    if migrate and settings.database_url != MEMORY_URL:
        bring_up_to_date(settings, quiet=True)
    else:
        require_current_schema(settings)
    run(settings, address)


def check_address(host: str, port: int) -> str:
    """Return the numeric address to listen on. Raises `CommandFailed` when it is taken or not ours.

    Granian's workers share a port by SO_REUSEPORT, and so would quietly share it with another server of the same
    user, each getting half of the requests. So it is first bound without that.
    """
    where = f"{host} port {port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise AddressUnavailable(
            f"cannot listen on {where}: the host is unknown ({error.strerror}); set HOST or --host"
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        # Connections of a server that just ended may linger in TIME_WAIT; they are no reason not to start.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise AddressUnavailable(f"cannot listen on {where}: {_advice(error)}") from error
    return str(address[0])


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program already does; choose another with PORT or --port"
    if error.errno == errno.EACCES:
        return "ports below 1024 are the system's; choose another with PORT or --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; choose another with HOST or --host"
    return error.strerror or str(error)


def run(settings: Settings, address: str) -> None:
    """Run Granian until it is told to stop. Raises `CommandFailed` when its first workers die before they are ready."""
    from granian.constants import HTTPModes, Interfaces, Loops  # noqa: PLC0415 - help and faults come without it
    from granian.errors import FatalError  # noqa: PLC0415
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    from adapters.system.server_state import ServerStateFile  # noqa: PLC0415
    from entrypoints.cli.supervisor import Supervisor  # noqa: PLC0415

    connections = allow_connections(settings)
    if connections < connections_wanted(settings):
        click.echo(
            f"postern: each worker takes {connections} connections at once instead of {connections_wanted(settings)}: "
            f"the system lets it open no more files; raise the hard limit (ulimit -Hn) to "
            f"{connections_wanted(settings) + OPEN_FILES}",
            err=True,
        )
    # Of mode 0700: nobody else makes up numbers. It outlives every worker, and so does what they counted.
    with tempfile.TemporaryDirectory(prefix="postern-metrics-") as shared:
        os.environ[METRICS_DIRECTORY] = shared
        os.environ[DATABASE_FILE] = _database_file(settings)
        supervisor = Supervisor(
            "entrypoints.http.asgi:create",
            state=ServerStateFile(Path(shared)),
            stop_seconds=seconds_to_stop(settings),
            reloads=settings.database_url != MEMORY_URL,
            on_ready=lambda: click.echo("\n".join(first_screen(settings, address))),
            address=address,
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=HEADER_BYTES),
            websockets=False,
            backlog=BACKLOG,
            backpressure=connections,
            log_level=LogLevels.debug if settings.log_level is LogLevel.DEBUG else LogLevels.warning,
            log_dictconfig=logging_configuration(settings.log_level),
            process_name=None,
        )
        supervisor.on_startup(fork_next_process)  # the last thing before the first worker starts
        try:
            supervisor.serve(spawn_target=serve_worker, target_loader=load_app, wrap_loader=False)
            # All is over, but Python still takes itself down, with no handler left: a second Ctrl-C would kill it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        except FatalError as error:
            raise CommandFailed(f"the server did not start: {error}") from error
        except SystemExit as stopped:
            raise CommandFailed("the workers do not keep running; the reason is above") from stopped
    click.echo("Stopped.")


def _database_file(settings: Settings) -> str:
    """Return which file the SQLite database is; it is kept open, so that its number is not given to another file."""
    if settings.sqlite_file is None:
        return ""
    with suppress(OSError):
        os.open(settings.sqlite_file, os.O_RDONLY)
    found = file_id(settings.sqlite_file)
    return "" if found is None else f"{found.device}:{found.inode}:{settings.sqlite_file}"


def seconds_to_stop(settings: Settings) -> float:
    """Return how long workers may take to end: with the usual settings less than the 10 s after which Docker kills."""
    return max(STOP_SECONDS, settings.effective_drain_seconds + ANSWER_SECONDS)


def logging_configuration(level: LogLevel) -> dict[str, Any]:
    """Return the `logging` configuration of the parent and its workers: everything to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": logging.getLevelNamesMapping()[level.upper()], "handlers": ["stderr"]},
        "loggers": {"_granian": {"propagate": True}},
    }


def _reachable(address: str) -> str:
    """Return an address under which this machine reaches what listens on `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - a comparison


def first_screen(settings: Settings, address: str) -> Iterator[str]:
    """Yield what is shown once the server takes requests: where it is, and how to begin."""
    host = _reachable(address)
    base = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    yield f"Postern is ready at {base} ({settings.environment}, {workers})."
    if settings.environment is not Environment.DEVELOPMENT:
        return
    yield ""
    yield f"  Documentation   {base}/docs   {base}/redoc   {base}/openapi.json"
    yield f"  Database        {settings.shown()['DATABASE_URL']}"
    if settings.mailbox_folder is not None:
        yield f"  Mailbox         {base}/dev/mailbox   (mails are kept here instead of being sent)"
    yield f"  Administrator   {own_command()} create-admin   (in this folder, with the same settings)"
    yield ""
    yield "Paste these into another terminal to sign up, publish a post, and list your own:"
    yield ""
    yield from first_steps(base)
    yield ""
    yield "Ctrl-C stops the server."


def first_steps(base: str) -> Iterator[str]:
    """Yield three commands for bash with curl and nothing else; each can be pasted again and again."""
    api = f"{base}/api/v1"
    json = "-H 'Content-Type: application/json'"
    yield (
        f"TOKEN=$(curl -sS {api}/auth/signup {json} "
        """-d '{"email": "ada-'$RANDOM$RANDOM'@example.com", "password": "a quiet harbour at dawn"}' """
        """| sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')"""
    )
    # With a key, curl may send it again: what creates, creates once.
    yield (
        f"curl -sS --retry 3 {api}/posts {json} "
        """-H "Idempotency-Key: $RANDOM-$RANDOM-$RANDOM" """
        """-H "Authorization: Bearer $TOKEN" -d '{"text": "Hello from Postern"}'; echo"""
    )
    yield f"""curl -sS {api}/users/me/posts -H "Authorization: Bearer $TOKEN"; echo"""
