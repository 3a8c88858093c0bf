"""Sockets that listen: one for each worker, and how one stops taking connections without breaking any off.

A connection waits in the backlog of its socket, established for its client, until the worker accepts it. A socket that
is closed resets what waits there. So the sockets belong to the parent: they outlive a worker, and its successor goes on
with the same backlog. At the end new connections are kept out first, what waits is accepted, and then it is closed.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SHARES_BY_KERNEL: Final = sys.platform == "linux"
"""Whether connections to one port are spread over the sockets that listen at it (SO_REUSEPORT on Linux). Elsewhere all
workers take connections from one socket."""

_DESCRIPTORS: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
_SO_ATTACH_FILTER: Final = 26
"""Of Linux; Python has no name for it."""


def _instruction(code: int, if_true: int, if_false: int, operand: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


_DROP_SYN: Final = (
    _instruction(0x30, 0, 0, 13),  # load the byte of flags in the TCP header
    _instruction(0x54, 0, 0, 0x12),  # keep SYN and ACK
    _instruction(0x15, 0, 1, 0x02),  # SYN alone, which asks for a connection?
    _instruction(0x06, 0, 0, 0),  # drop
    _instruction(0x06, 0, 0, 0xFFFFFFFF),  # let pass
)
_filter = ctypes.create_string_buffer(b"".join(_DROP_SYN))


def bind(address: str, port: int, number: int) -> list[socket.socket]:
    """Return a bound socket for each of `number` workers, or the same one several times; none of them listens yet.

    Raises `OSError`.
    """
    first = _bound(address, port)
    if not SHARES_BY_KERNEL:
        return [first] * number
    return [first, *(_bound(address, port) for _ in range(number - 1))]


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if SHARES_BY_KERNEL:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind((address, port))
    return bound


def listens(descriptor: int) -> bool:
    """Tell whether connections are taken at this socket, be it into its backlog."""
    with foreign_socket(descriptor) as found:
        return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def renewed(listener: socket.socket) -> socket.socket:
    """Leave new connections to the other sockets of the port, or refuse them; what waits is reset.

    Returns another socket that is bound to the same port, and does not listen yet. (One that was shut down and listens
    again gets no connections, on Linux.) Raises `OSError`.
    """
    address, port = listener.getsockname()[:2]
    fresh = _bound(address, port)
    listener.close()
    return fresh


def drop_new_connections(descriptor: int) -> bool:
    """Have the kernel ignore new connections at a socket that goes on to listen; tell whether it can.

    Clients ask again a second later, by when the socket is closed, and they are refused or another takes them. What was
    established before, or is halfway, is not touched. Linux only.
    """
    if sys.platform != "linux":
        return False
    program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(_filter))
    with foreign_socket(descriptor) as found:
        try:
            found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        except OSError:  # Sandboxes have kernels of their own.
            return False
    return True


def stop_accepting(descriptor: int) -> None:
    """Have this process accept no more at a socket whose backlog another process goes on with.

    What the server holds is from now on a socket where nothing comes, under the same descriptor: it goes on to wait
    there, and closes it when it stops, as it would have with the other.
    """
    with socket.socket() as nothing:
        nothing.bind(("127.0.0.1", 0))
        drop_new_connections(nothing.fileno())
        nothing.listen(1)
        nothing.setblocking(False)
        os.dup2(nothing.fileno(), descriptor, inheritable=False)


def close_silent_connections(port: int) -> int:
    """End what can be read from the connections of this process at `port`; return how many they are.

    For when no request is under way: the server then closes them, and has nothing to wait for. Those with bytes of an
    answer on the way are left alone. No descriptor is opened or closed, see `adapters.system.connections`.
    """
    try:
        descriptors = [int(name) for name in os.listdir(_DESCRIPTORS)]  # noqa: PTH208 - numbers, not paths
    except OSError:
        return 0
    return sum(_hang_up(descriptor, port) for descriptor in descriptors)


def _hang_up(descriptor: int, port: int) -> bool:
    try:
        with foreign_socket(descriptor) as found:
            if found.family not in {socket.AF_INET, socket.AF_INET6} or found.getsockname()[1] != port:
                return False
            found.getpeername()
            (unsent,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
            if unsent:
                return False
            found.shutdown(socket.SHUT_RD)
    except OSError:  # No socket, not connected, or closed since.
        return False
    return True


@contextmanager
def foreign_socket(descriptor: int) -> Iterator[socket.socket]:
    """Use a socket of another owner by its descriptor, without closing it. Raises `OSError` for what is no socket."""
    found = socket.socket(fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()  # It is somebody else's to close.
