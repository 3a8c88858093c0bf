"""Breaking off a connection that its server would keep.

ASGI has no word for it: an application can end its answer, but a server goes on keeping a connection whose peer takes
nothing, and what it has buffered for it. So the socket is found among the process's own and reset.
"""

import os
import socket
import stat
import struct
import sys
from typing import Final

_DESCRIPTORS: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""`struct linger`: nothing lingers, so what the kernel holds for the peer is dropped too."""

Address = tuple[str, int | None] | None
"""As a `scope` of ASGI has it, without a port for a Unix socket. Granian makes a text of the port."""


def abort_connection(client: Address, server: Address) -> bool:
    """Reset the connection of this process from `client` to the port of `server`; tell whether one was found.

    Costs a few microseconds for each open descriptor. No descriptor is opened or closed on the way, not even a
    duplicate: closing one of a file drops every lock that the process has on that file (POSIX, `fcntl`), and SQLite
    relies on those. The server may meanwhile close the connection and give its number to another one; for that there
    are microseconds, and then a caller who has just come has to come again.
    """
    if client is None or server is None or client[1] is None or server[1] is None:
        return False
    try:
        numbers = [int(name) for name in os.listdir(_DESCRIPTORS)]  # noqa: PTH208 - numbers, not paths
    except OSError:
        return False
    peer, port = (client[0], int(client[1])), int(server[1])
    return any(abort_descriptor(number, peer, port) for number in numbers)


def abort_descriptor(number: int, peer: tuple[str, int], port: int) -> bool:
    """Reset what is open as `number`, if it is the connection from `peer` to `port`; tell whether it was."""
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return False
        found = socket.socket(fileno=number)
    except OSError:  # It was closed since.
        return False
    try:
        is_it = (
            found.family in {socket.AF_INET, socket.AF_INET6}
            and found.getpeername()[:2] == peer
            and found.getsockname()[1] == port
        )
        if is_it:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            found.shutdown(socket.SHUT_RDWR)
    except OSError:  # It is not connected, or not any more.
        return False
    finally:
        found.detach()  # The descriptor is the server's.
    return is_it
