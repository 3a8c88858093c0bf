"""How a socket stops taking connections without breaking any off."""

import select
import socket
import sys
from pathlib import Path

import pytest

from adapters.system.listening import (
    bind,
    close_silent_connections,
    drop_new_connections,
    listens,
    renewed,
    stop_accepting,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what the kernel does is Linux's")


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _connect(listener: socket.socket, *, patience: float = 5.0) -> socket.socket:
    host, port = listener.getsockname()[:2]
    return socket.create_connection((host, port), timeout=patience)


def test_each_worker_has_a_socket_of_its_own_at_the_same_port(address: str) -> None:
    (first,) = bind(address, 0, 1)
    port = first.getsockname()[1]
    others = bind(address, port, 2)
    assert {listener.getsockname()[1] for listener in others} == {port}
    assert not any(listens(listener.fileno()) for listener in others)
    others[0].listen()
    assert listens(others[0].fileno())
    for listener in (first, *others):
        listener.close()


def test_who_is_kept_out_was_not_there_before(address: str) -> None:
    (listener,) = bind(address, 0, 1)
    listener.listen()
    with _connect(listener) as waiting:
        waiting.sendall(b"asked")
        assert drop_new_connections(listener.fileno())
        with pytest.raises(TimeoutError):
            _connect(listener, patience=0.2)
        taken, _ = listener.accept()
        with taken:
            assert taken.recv(10) == b"asked"
            taken.sendall(b"answered")
            assert waiting.recv(10) == b"answered"
    listener.close()


def test_a_backlog_is_left_to_whoever_else_has_the_socket(address: str) -> None:
    (listener,) = bind(address, 0, 1)
    listener.listen()
    # As a successor has it: another descriptor of the same socket.
    other = listener.dup()
    listener.setblocking(False)
    stop_accepting(listener.fileno())
    with _connect(other) as asking:
        assert select.select([listener], [], [], 0.05)[0] == []
        with pytest.raises(BlockingIOError):
            listener.accept()
        taken, _ = other.accept()
        with taken:
            taken.sendall(b"answered")
            assert asking.recv(10) == b"answered"
    listener.close()
    other.close()


def test_a_socket_that_is_renewed_leaves_its_port_to_the_others_and_may_listen_again(address: str) -> None:
    (first,) = bind(address, 0, 1)
    (second,) = bind(address, first.getsockname()[1], 1)
    first.listen()
    second.listen()
    fresh = renewed(first)
    for _ in range(20):
        with _connect(second):
            taken, _ = second.accept()
            taken.close()
    second.close()
    with pytest.raises(ConnectionRefusedError):
        _connect(fresh)
    fresh.listen()
    with _connect(fresh):
        taken, _ = fresh.accept()
        taken.close()
    fresh.close()


def test_connections_that_ask_nothing_are_hung_up_on_and_no_others(address: str) -> None:
    (listener,) = bind(address, 0, 1)
    listener.listen()
    port = listener.getsockname()[1]
    with _connect(listener) as silent, _connect(listener) as slow:
        (taken, _), (busy, _) = listener.accept(), listener.accept()
        with taken, busy:
            busy.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    busy.send(bytes(65536))
            before = len(list(Path("/proc/self/fd").iterdir()))
            close_silent_connections(port)
            assert len(list(Path("/proc/self/fd").iterdir())) == before
            assert taken.recv(1) == b""
            with pytest.raises(BlockingIOError):
                busy.recv(1)
            taken.sendall(b"answered")
            assert silent.recv(10) == b"answered"
            slow.close()
    listener.close()
