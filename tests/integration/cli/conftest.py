"""The installed `postern` command, run as a person runs it: another process, a folder of its own, real sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from entrypoints.settings import setting_infos

POSTERN = Path(sys.executable).parent / "postern"
START_SECONDS = 60
"""Far more than a start takes, so that a busy machine does not fail the suite."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Shell:
    """A folder to run commands in, with the process's environment less every setting of ours."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, overrides: dict[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in setting_infos()}
        ours = self.variables | overrides
        # These tests are one address, which signs up and logs in more often than anybody does in earnest.
        unlimited = {} if ours.get("ENVIRONMENT") == "production" else {"RATE_LIMIT_ENABLED": "false"}
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
        """Return the process ids of the workers: the children that multiprocessing has spawned."""
        proc = Path("/proc")
        if proc.is_dir():  # Slim images of Linux have no `ps`.
            listed = [
                f"{status.parent.name} {status.read_text().rpartition(')')[2].split()[1]} "
                + (status.parent / "cmdline").read_text().replace("\0", " ")
                for status in proc.glob("[0-9]*/stat")
            ]
        else:
            command = ["ps", "-ww", "-A", "-o", "pid=,ppid=,args="]
            listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        children = [line for line in listed if line.split()[1] == str(self.process.pid)]
        return [int(line.split()[0]) for line in children if "spawn_main" in line]

    def complaints(self) -> list[str]:
        """Return what the server logged as a warning or worse, and tracebacks."""
        words = (" WARNING ", " ERROR ", " CRITICAL ", "Traceback")
        return [line for line in self.log.read_text().splitlines() if any(word in line for word in words)]

    def stop(self, signal_: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(signal_)
        return self.process.wait(30)


StartServer = Callable[..., Server]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def start(shell: Shell) -> Iterator[StartServer]:
    """Starts servers that are ready when it returns, and ends those that a test leaves behind."""
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
            return Server(process, port, _first_screen(process, log), log)

        yield start_


@pytest.fixture
def server(shell: Shell, start: StartServer) -> Server:
    """A development server on a fresh SQLite file."""
    migrated = shell.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
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
