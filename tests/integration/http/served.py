"""The server as a process of its own, spoken to in bytes: what only Granian and real sockets show."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tracing import CHEAP_HASHES, MEASURING


class Server:
    def __init__(self, port: int, log: Path, pid: int) -> None:
        self.port = port
        self.log = log
        self.pid = pid

    def talk(self, *parts: bytes, answers: int = 1, patience: float = 0.5) -> tuple[bytes, bool]:
        """Send the parts, and return what comes back, and whether the server closed.

        Silence for as long as `patience`, after so many answers, is taken for the end; before, a busy machine may take
        seconds.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            received = b""
            try:
                for part in parts:
                    connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass  # It answered and closed without reading the rest.
            while select.select([connection], [], [], patience if received.count(b"HTTP/1.") >= answers else 20)[0]:
                try:
                    data = connection.recv(65_536)
                except ConnectionResetError:
                    return received, True
                if not data:
                    return received, True
                received += data
            return received, False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(folder: Path, *, open_files: int | None = None, **settings: str) -> Iterator[Server]:
    """Serve the application over storage in memory, from `folder`, until the end of the block.

    `open_files` limits how many files a process of it may have open.
    """
    port = _free_port()
    log = folder / "log"
    environment = {
        # What it runs is measured in process by the tests beside it; to be measured again takes twice the CPU time.
        **{name: value for name, value in os.environ.items() if name not in MEASURING},
        **CHEAP_HASHES,
        "ENVIRONMENT": "testing",
        "DATABASE_URL": "memory://",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": "1",
        "SECRET_KEY": "a key for tests, and for tests alone, 48 bytes long",
        "ALLOWED_HOSTS": "localhost",
        "CORS_ORIGINS": "",
        **settings,
    }
    with log.open("wb") as stream:
        command = [sys.executable, "-c", "from entrypoints.cli.main import main; main()", "serve"]
        if open_files is not None:
            command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(open_files), *command]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            _wait_until_it_listens(port, process, log)
            yield Server(port, log, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(log.read_text())
