"""What the parent of the workers decides when they die, with processes that are only said to be there."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from granian.constants import Interfaces

from adapters.system.server_state import ServerStateFile
from entrypoints.cli import supervisor as module
from entrypoints.cli.supervisor import Supervisor, _Slot, _Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all workers have one socket")


@dataclass
class Process:
    """As much of a process as the parent looks at; it ends when a test says so."""

    pid: int
    says: Connection
    exitcode: int | None = None

    def kill(self) -> None:
        self.exitcode = -9


@dataclass
class Parent:
    """A supervisor that starts such processes. Each listens at once, and each place has a port of its own."""

    supervisor: Supervisor
    started: list[Process] = field(default_factory=list)
    cannot_start: bool = False

    def start(self, place: _Slot, *, is_successor: bool = False) -> _Worker:
        if self.cannot_start:
            raise BlockingIOError("no more processes")
        here, there = Pipe(duplex=False)
        self.started.append(Process(len(self.started), there))
        place.listener.listen()
        return _Worker(self.started[-1], here, ready_by=time.monotonic() + 60 if is_successor else None)

    def attend(self) -> None:
        self.supervisor._run_due_actions()

    def ready(self, *processes: Process) -> None:
        for process in processes:
            process.says.send_bytes(b".")
        self.attend()

    def die(self, *processes: Process) -> None:
        for process in processes:
            process.kill()
        self.attend()

    @property
    def places(self) -> list[_Slot]:
        return self.supervisor._slots


class StartParent:
    def __init__(self, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._stack = stack
        self._monkeypatch = monkeypatch

    def __call__(self, workers: int) -> Parent:
        supervisor = Supervisor(
            "nothing:app",
            state=ServerStateFile(self._folder),
            stop_seconds=1.0,
            reloads=True,
            on_ready=lambda: None,
            port=0,
            interface=Interfaces.ASGI,
            workers=workers,
            log_enabled=False,
        )
        parent = Parent(supervisor)
        self._monkeypatch.setattr(supervisor, "_start", parent.start)
        supervisor._init_shared_socket()
        self._stack.callback(supervisor._drop_shared_socket)
        for end in (supervisor._wake_here, supervisor._wake_there):
            self._stack.callback(end.close)
        supervisor._spawn_workers(None, None)
        parent.ready(*parent.started)
        return parent


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartParent]:
    with ExitStack() as stack:
        yield StartParent(tmp_path, stack, monkeypatch)


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.settimeout(5)
        yield client


def _connect(client: socket.socket, place: _Slot) -> None:
    """Have the connection wait in the backlog of a place; nobody accepts in these tests."""
    client.connect(place.listener.getsockname())


def _is_reset(client: socket.socket) -> bool:
    try:
        client.recv(1)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    pytest.fail("something was received")


def test_while_another_serves_one_that_keeps_dying_is_replaced_after_pauses(start: StartParent) -> None:
    parent = start(2)
    parent.die(parent.started[0])
    parent.ready(parent.started[2])
    parent.die(parent.started[2])

    assert len(parent.started) == 3
    assert parent.places[0].due == pytest.approx(time.monotonic() + 1, abs=0.5)


def test_when_none_is_left_that_serves_the_last_that_did_is_replaced_at_once(start: StartParent) -> None:
    parent = start(2)
    parent.die(*parent.started)
    parent.ready(*parent.started[2:])
    parent.die(*parent.started[2:])

    assert [place.due is None for place in parent.places] == [True, False], "one is enough to go on with"
    assert len(parent.started) == 5


def test_the_last_that_has_not_served_is_replaced_after_a_pause(start: StartParent) -> None:
    parent = start(1)
    parent.die(parent.started[0])
    parent.die(parent.started[1])

    assert len(parent.started) == 2
    assert parent.places[0].due == pytest.approx(time.monotonic() + 1, abs=0.5)


def test_connections_that_wait_for_a_worker_that_died_are_reset_where_there_are_others(
    start: StartParent, client: socket.socket
) -> None:
    parent = start(2)
    _connect(client, parent.places[0])
    parent.die(parent.started[0])

    assert _is_reset(client)


def test_connections_that_wait_for_a_worker_whose_successor_dies_too_are_reset(
    start: StartParent, client: socket.socket
) -> None:
    parent = start(2)
    parent.supervisor.reload_signal = True
    parent.attend()
    _connect(client, parent.places[0])
    parent.die(parent.started[0])
    parent.die(parent.started[2])

    assert _is_reset(client)


def test_connections_wait_for_a_worker_that_cannot_be_started_for_a_second_and_no_longer(
    start: StartParent, client: socket.socket
) -> None:
    parent = start(1)
    (place,) = parent.places
    _connect(client, place)
    parent.cannot_start = True
    parent.die(parent.started[0])
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.settimeout(5)
    place.due = time.monotonic()
    parent.attend()

    assert _is_reset(client)


def test_a_parent_without_descriptors_goes_on(start: StartParent, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> socket.socket:
        raise OSError("no descriptors")

    monkeypatch.setattr(module, "renewed", fail)
    parent = start(2)
    parent.die(parent.started[0])

    assert len(parent.started) == 3
