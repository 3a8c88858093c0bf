"""The installed `postern` command, run as a person runs it: another process, a folder of its own, real sockets."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from adapters.sql.schema.migrate import upgrade
from entrypoints.settings import setting_infos
from tests.backends import in_thread
from tests.tracing import CHEAP_HASHES

POSTERN = Path(sys.executable).parent / "postern"
START_SECONDS = 60
"""Far more than a start takes, so that a busy machine does not fail the suite."""
_LISTENING = "0A"
"""The state as /proc/net/tcp has it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Shell:
    """A folder to run commands in, with the process's environment less every setting of ours."""

    folder: Path
    template: Path
    """A SQLite database of today's schema."""
    variables: dict[str, str] = field(default_factory=dict)

    def migrate(self) -> None:
        """Bring the database of the settings to today's schema, as `postern migrate` does in a second of CPU time."""
        url = make_url(self.variables.get("DATABASE_URL", "sqlite:///.postern/postern.db"))
        if url.get_backend_name() == "sqlite":
            file = self.folder / str(url.database)
            file.parent.mkdir(exist_ok=True)
            shutil.copyfile(self.template, file)
        else:
            in_thread(lambda: upgrade(url.render_as_string(hide_password=False)))

    def environment(self, overrides: dict[str, str]) -> dict[str, str]:
        unwanted = setting_infos()
        inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
        ours = self.variables | overrides
        # These tests are one address, which signs up and logs in more often than anybody does in earnest.
        unlimited = {} if ours.get("ENVIRONMENT") == "production" else {"RATE_LIMIT_ENABLED": "false"}
        if ours.get("ENVIRONMENT") not in {"production", "staging"}:  # They refuse cheap ones.
            unlimited |= CHEAP_HASHES
        unlimited |= {"DRAIN_SECONDS": "0"}  # No load balancer has to notice.
        return inherited | unlimited | ours

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [POSTERN, *arguments],
            cwd=self.folder,
            env=self.environment(variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int
    screen: str
    log: Path

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        encoded = None if body is None else json.dumps(body)
        connection.request(method, path, encoded, {"Content-Type": "application/json", **(headers or {})})
        with connection.getresponse() as response:
            text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None

    def workers(self) -> list[int]:
        """Return the process ids of the workers: the children that multiprocessing has forked or spawned."""
        proc = Path("/proc")
        if proc.is_dir():  # Slim images of Linux have no `ps`.
            listed = []
            for process in proc.glob("[0-9]*"):
                with suppress(OSError):  # It ended since they were listed, as processes of other tests do.
                    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                    command_line = (process / "cmdline").read_text().replace("\0", " ")
                    listed.append(f"{process.name} {parent} {command_line}")
        else:
            command = ["ps", "-ww", "-A", "-o", "pid=,ppid=,args="]
            listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        children = [line for line in listed if line.split()[1] == str(self.process.pid)]
        # What was forked is called as its parent is. Besides workers there may be multiprocessing's resource tracker.
        return [int(line.split()[0]) for line in children if "spawn_main" in line or " serve" in line]

    def listeners(self) -> int:
        """Return how many of the workers take connections: on Linux each listens at the port by itself."""
        tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
        if not tables[0].exists():  # They share what the parent listens with.
            return len(self.workers())
        sockets = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
        return sum(local.endswith(f":{self.port:04X}") and state == _LISTENING for _, local, _, state, *_ in sockets)

    def await_workers(self, number: int, *, without: Container[int] = ()) -> None:
        """Wait until so many workers take connections and none is left of those `without`, which were killed.

        A worker that is there may take seconds to listen, on a busy machine; when meanwhile the others are killed, a
        connection is refused.
        """

        def are_there() -> bool:
            workers = self.workers()
            return len(workers) == self.listeners() == number and not any(worker in without for worker in workers)

        assert eventually(are_there, START_SECONDS), f"{self.workers()} {self.listeners()} {self.log.read_text()}"

    def complaints(self) -> list[str]:
        """Return what the server logged as a warning or worse, and tracebacks."""
        words = (" WARNING ", " ERROR ", " CRITICAL ", "Traceback")
        return [line for line in self.log.read_text().splitlines() if any(word in line for word in words)]

    def stop(self, signal_: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(signal_)
        return self.process.wait(30)


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "postern.db"
    in_thread(lambda: upgrade(f"sqlite+aiosqlite:///{file}"))
    return file


@pytest.fixture
def shell(tmp_path: Path, template: Path) -> Shell:
    return Shell(tmp_path, template)


@pytest.fixture
def start(shell: Shell) -> Iterator[StartServer]:
    """Starts servers whose workers are all ready when it returns, and ends those that a test leaves behind."""
    with ExitStack() as stack:

        def start_(*arguments: str, **variables: str) -> Server:
            port = free_port()
            log = shell.folder / f"server-{port}.log"
            errors = stack.enter_context(log.open("w"))
            process = subprocess.Popen(
                [POSTERN, "serve", *arguments],
                cwd=shell.folder,
                env=shell.environment({"PORT": str(port)} | variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # so that a test can send a signal to the group, as a terminal does
            )
            stack.callback(_end, process)
            server = Server(process, port, _first_screen(process, log), log)
            # The screen is shown once the first worker is ready.
            (number,) = re.findall(r"(\d+) workers?\)", server.screen)
            server.await_workers(int(number))
            return server

        yield start_


@pytest.fixture
def server(shell: Shell, start: StartServer) -> Server:
    """A development server on a fresh SQLite file."""
    shell.migrate()
    return start()


def _first_screen(process: subprocess.Popen[str], log: Path) -> str:
    """Read what the server shows, up to the last line of the first screen."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C stops") or (line.startswith("Postern is ready") and "(development" not in line):
            return "".join(lines)
    pytest.fail(f"the server ended: {''.join(lines)}{log.read_text()}", pytrace=False)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)
    if process.stdout is not None:
        process.stdout.close()


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
