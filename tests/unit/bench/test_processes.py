import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.processes import Server, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("taskset") is None, reason="servers are pinned by taskset, of Linux"),
]

BUSY_SECONDS = 0.5
WORKS = """
import socket, sys, time

listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listening.accept()
until = time.process_time() + float(sys.argv[2])
while time.process_time() < until:
    pass
listening.accept()
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Server]:
    """A server that works for a while once it was spoken to."""
    port = free_port()
    command = [sys.executable, "-c", WORKS, str(port), str(BUSY_SECONDS)]
    cores = [min(os.sched_getaffinity(0))]
    server = Server(command, port=port, cores=cores, environment={}, directory=tmp_path, log=tmp_path / "log")
    yield server
    server.stop()


def test_a_server_is_waited_for_until_it_has_done_its_work(busy: Server) -> None:
    busy.settle(60)
    assert busy.cpu_seconds() >= BUSY_SECONDS * 0.9


def test_a_server_that_goes_on_working_is_not_waited_for_for_ever(busy: Server) -> None:
    began = time.monotonic()
    busy.settle(0.1)
    assert time.monotonic() - began < 60
    assert busy.cpu_seconds() < BUSY_SECONDS
