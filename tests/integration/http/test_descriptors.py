"""A server whose descriptors run out: accepting pauses without work, and what is open is served."""

import os
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backends import missing
from tests.integration.http.served import Server, served

HEALTH = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
OPEN_FILES = 240
CONNECTIONS = OPEN_FILES // 2
"""What is left for them of so few files."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if sys.platform != "linux":
        missing("no Linux")
    with served(tmp_path, open_files=OPEN_FILES) as server:
        yield server


def _worker(server: Server) -> int:
    (worker,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return int(worker)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _connected(server: Server, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))


def _is_served(connection: socket.socket) -> bool:
    try:
        connection.sendall(HEALTH)
        return b" 200 OK" in connection.recv(65_536)
    except OSError:
        return False


def test_accepting_pauses_when_descriptors_run_out(server: Server) -> None:
    assert f"each worker takes {CONNECTIONS} connections at once" in server.log.read_text()
    worker = _worker(server)
    with ExitStack() as stack:
        kept = [_connected(server, stack) for _ in range(10)]
        assert all(_is_served(connection) for connection in kept)
        # They begin to ask, and do not end: none of them is silent.
        others = [_connected(server, stack) for _ in range(2 * CONNECTIONS)]
        for connection in others:
            connection.sendall(HEALTH[:-2])
        began, used = time.monotonic(), _cpu_seconds(worker)
        while time.monotonic() < began + 3:
            assert all(_is_served(connection) for connection in kept)
            time.sleep(0.3)
        share = (_cpu_seconds(worker) - used) / (time.monotonic() - began)
        assert share < 0.4, share  # It was 0.84.
        assert len(os.listdir(f"/proc/{worker}/fd")) < OPEN_FILES  # noqa: PTH208
        for connection in others:
            connection.close()
        assert _is_served(_connected(server, stack))
    assert not re.search(r"Traceback|EMFILE|Too many open files", server.log.read_text())


def test_a_worker_idles_when_something_else_has_taken_its_descriptors(server: Server) -> None:
    worker = _worker(server)
    with ExitStack() as stack:
        kept = _connected(server, stack)
        assert _is_served(kept)
        highest = max(int(name) for name in os.listdir(f"/proc/{worker}/fd"))  # noqa: PTH208
        left = highest + 4
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (left, left))
        waiting = [_connected(server, stack) for _ in range(60)]
        time.sleep(1)
        began, used = time.monotonic(), _cpu_seconds(worker)
        time.sleep(3)
        share = (_cpu_seconds(worker) - used) / (time.monotonic() - began)
        assert share < 0.4, share
        for connection in (kept, *waiting):
            connection.close()
        until = time.monotonic() + 20
        while True:
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as fresh:
                if _is_served(fresh):
                    break
            assert time.monotonic() < until, server.log.read_text()
            time.sleep(0.1)
    assert "accepting connections pauses" in server.log.read_text()
