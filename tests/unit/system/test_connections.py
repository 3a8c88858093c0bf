"""Breaking off a connection by who is at its other end, and touching nothing else."""

import fcntl
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters.system.connections import abort_connection


def test_the_connection_is_reset_and_others_are_not() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = server.getsockname()
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(3)]
        accepted = [stack.enter_context(server.accept()[0]) for _ in clients]
        # Granian makes a text of the port.
        client = (clients[1].getsockname()[0], str(clients[1].getsockname()[1]))

        assert abort_connection(client, (address[0], str(address[1])))  # type: ignore[arg-type]  # as said above
        assert accepted[1].recv(1) == b"", "the server is told"
        assert clients[1].recv(1) == b"", "and so is the peer"
        for kept in (0, 2):
            accepted[kept].sendall(b"still here")
            assert clients[kept].recv(100) == b"still here"


def test_what_the_kernel_holds_for_the_peer_is_dropped_with_it() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        accepted = stack.enter_context(server.accept()[0])
        accepted.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                accepted.send(b"x" * 65536)

        assert abort_connection(client.getsockname(), server.getsockname())
        assert struct.unpack("ii", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 0)
        with pytest.raises(BrokenPipeError):
            accepted.send(b"x")


def test_nobody_is_found_where_nobody_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not abort_connection(("127.0.0.1", 1), server.getsockname())
        assert not abort_connection(None, server.getsockname())
        assert not abort_connection(("127.0.0.1", None), server.getsockname())


def test_locks_on_files_survive_the_search(tmp_path: Path) -> None:
    """Closing any descriptor of a file, a duplicate too, drops the process's locks on it; SQLite relies on them."""
    with (tmp_path / "locked").open("w") as locked, socket.create_server(("127.0.0.1", 0)) as server:
        fcntl.lockf(locked, fcntl.LOCK_EX)
        abort_connection(("127.0.0.1", 1), server.getsockname())
        attempt = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        other = subprocess.run([sys.executable, "-c", attempt, locked.name], capture_output=True, check=False)

        assert other.returncode != 0
        assert b"BlockingIOError" in other.stderr


def test_no_descriptor_is_left_open_and_none_is_closed() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        accepted = stack.enter_context(server.accept()[0])
        before = sorted(Path("/dev/fd").iterdir())
        abort_connection(client.getsockname(), server.getsockname())

        assert sorted(Path("/dev/fd").iterdir()) == before
        assert accepted.fileno() >= 0
