"""Names to addresses, without letting a name server that is slow hold up anybody else's names."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Protocol

from adapters.webhooks.addresses import Address, parse_address


class Resolver(Protocol):
    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return every address of a host, in the order to try them. Raises `OSError` when there is none."""
        ...


class SystemResolver(Resolver):
    """`getaddrinfo`, each look-up in a thread of its own, and one look-up a host at a time.

    The event loop's own threads are few, and a look-up cannot be cancelled: a handful of hosts whose name servers do
    not answer would keep all others waiting for half a minute. There are at most as many threads as hosts.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], asyncio.Future[Sequence[Address]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        key = host, port
        future = self._pending.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._pending[key] = loop.create_future()
            future.add_done_callback(lambda done: self._forget(key, done))
            # A daemon: the process must not wait for it at its end.
            threading.Thread(target=_look_up, args=(host, port, loop, future), daemon=True).start()
        # Shielded: who gives up waiting must not take the answer from those who have not.
        return await asyncio.shield(future)

    def _forget(self, key: tuple[str, int], done: "asyncio.Future[Sequence[Address]]") -> None:
        self._pending.pop(key, None)
        if not done.cancelled():
            done.exception()  # All who asked may have gone: then nobody else looks at it.


def _look_up(
    host: str, port: int, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Sequence[Address]]"
) -> None:
    found: Sequence[Address] = ()
    error: OSError | None = None
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        found = [parse_address(str(entry[4][0])) for entry in entries]
    except OSError as failure:
        error = failure
    except ValueError as failure:  # A name that IDNA cannot encode, or an address that is none.
        error = OSError(str(failure))

    def tell() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(found)
        else:
            future.set_exception(error)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:  # The loop has ended in the meantime, and nobody wants to know any more.
        return
