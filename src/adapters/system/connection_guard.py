"""Ends connections that hold the process up: by what the kernel knows of each, a few times a second.

An ASGI application sees requests, not connections: not those that ask nothing, nor whether an answer is taken. The
kernel knows (`TCP_INFO`, see tcp(7)). What is ended:

- a connection whose answer is not taken: too slowly, or of an address (or of all) that has too many of those;
- what an address has too many of: first connections that are silent, longest first, then the newest;
- silent connections when nearly all that the process takes are there, or when descriptors run out. A server that cannot
  accept for want of a descriptor asks the kernel again and again; so accepting pauses until there are some.

Live streams are silent by nature and have rules of their own, so their connections are left alone. Linux only.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
import stat
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from adapters.system.connections import abort_descriptor
from adapters.system.listening import drop_new_connections, foreign_socket
from adapters.system.periodic import Periodic

_log = logging.getLogger("postern.connections")

IS_SUPPORTED: Final = sys.platform == "linux"
LOOK_SECONDS: Final = 0.5
BATCH: Final = 64
"""Connections that are looked at in one turn of the event loop: a quarter of a millisecond."""
LOW_DESCRIPTORS: Final = 32
"""Fewer than so many free ones, and silent connections are ended."""
STUCK_SECONDS: Final = 1.0
"""An answer that has something left to be taken for so long counts as one that is not."""
SILENT_SECONDS: Final = 1.0
SEND_BUFFER_BYTES: Final = 131_072
"""What the kernel keeps of an answer; it takes as much again for its own account. At 100 ms to the client and back,
this is a megabyte a second. Without a bound, it is up to 4 MB for each connection."""
SOON_SECONDS: Final = 0.05
WAKES: Final = 4
USER_TIMEOUT_SECONDS: Final = 10.0
"""How much longer than an answer may lie the kernel keeps trying."""
_LOG_SECONDS: Final = 60.0
_DESCRIPTORS: Final = "/proc/self/fd"

# Of `struct tcp_info` in linux/tcp.h: everything to `tcpi_data_segs_in`, which kernels have had since 4.6.
_INFO: Final = struct.Struct("=24xI16xI4xI64xQ8x8xI4xI4x")
_INFO_BYTES: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What this process takes. One address is what `network_of` makes of it."""

    most: int
    """Connections that the server accepts."""
    per_address: int
    answer_seconds: float
    """How long an answer may lie before it has to have been taken at `answer_rate`."""
    answer_rate: int
    """Bytes a second."""
    stuck_per_address: int
    stuck_in_all: int


@dataclass(slots=True)
class Connection:
    """One connection of a client, as it was seen last."""

    descriptor: int
    inode: int
    borrowed: socket.socket
    peer: tuple[str, int]
    network: str
    """Its address, or network; empty for a proxy's, which stands for many."""
    seen: float
    """When it was seen first."""
    stuck_since: float | None = None
    """When its answer began to lie, or when it last proved fast enough."""
    taken: int = 0
    """Bytes that the client had acknowledged by then."""
    rate: float = 0.0
    """Bytes a second since then."""
    silent: float = 0.0
    """Seconds for which the client has owed us a word; 0 when it does not."""


@dataclass(slots=True)
class EndedConnections:
    """How many connections were ended, by reason."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    told: dict[str, int] = field(default_factory=dict)


class ConnectionGuard:
    """Looks after the connections that clients have to one listening socket of this process."""

    def __init__(
        self,
        listener: int,
        limits: ConnectionLimits,
        *,
        network_of: Callable[[str], str],
        is_exempt: Callable[[str], bool],
        streams: "set[tuple[str, int]]",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._limits = limits
        self._network_of = network_of
        self._is_exempt = is_exempt
        self._streams = streams
        self._now = now
        self._known: dict[int, Connection] = {}
        self._others: dict[int, int] = {}
        """Inodes of sockets that are no connections of clients, by their descriptors."""
        self._port = 0
        self._ended = EndedConnections()
        self._logged_at = -_LOG_SECONDS
        self._reserve: int | None = None
        """A descriptor by which the others can be listed when there is no other."""
        self._accepting: _AcceptSwitch | None = None
        self._looking = Periodic("looking after connections", self.look, seconds=LOOK_SECONDS)

    async def start(self) -> None:
        if not IS_SUPPORTED:
            return
        with foreign_socket(self._listener) as listener:
            self._port = listener.getsockname()[1]
            # What is accepted has them from there. The second is for what was closed with something not taken, which is
            # the kernel's alone by then: what is open is reset here, before.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            milliseconds = int((self._limits.answer_seconds + USER_TIMEOUT_SECONDS) * 1000)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._reserve = _spare()
        self._accepting = _AcceptSwitch(self._listener)
        await self._looking.start()

    async def close(self) -> None:
        """Stop. Closing what was never started is fine."""
        await self._looking.close()
        for connection in self._known.values():
            connection.borrowed.detach()
        self._known.clear()
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def samples(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
        yield "postern_connections", (), len(self._known)
        for reason, count in self._ended.counts.items():
            yield "postern_connections_ended_total", (("reason", reason),), count

    async def look(self) -> None:
        """Look at every connection once, and end what is to be ended."""
        descriptors, free = self._descriptors()
        await self._note(descriptors)
        self._end_stuck()
        self._end_surplus_of_addresses()
        self._end_silent(len(self._known) - self._limits.most * 9 // 10, "nearly full")
        await self._free_descriptors(free)
        self._report()

    def _descriptors(self) -> tuple[list[int], int]:
        """List what is open, and tell how many descriptors are free."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            found = _open_descriptors()
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        else:
            # One of them was that of the list itself.
            return found, sys.maxsize if limit == resource.RLIM_INFINITY else limit - len(found) + 1
        if self._accepting is not None:
            self._accepting.pause()  # or the server would take what is free now
        if self._reserve is not None:
            os.close(self._reserve)
        try:
            return _open_descriptors(), 0
        except OSError:
            return [*self._known], 0
        finally:
            self._reserve = _spare()

    async def _note(self, descriptors: list[int]) -> None:
        """Update what is known of each connection."""
        for number, descriptor in enumerate(descriptors, 1):
            self._note_one(descriptor)
            if number % BATCH == 0:
                await asyncio.sleep(0)
        for descriptor in self._known.keys() - set(descriptors):
            self._forget(descriptor)

    def _note_one(self, descriptor: int) -> None:
        try:
            found = os.fstat(descriptor)
        except OSError:  # It was closed since.
            self._forget(descriptor)
            return
        if not stat.S_ISSOCK(found.st_mode):
            self._forget(descriptor)
            return
        known = self._known.get(descriptor)
        if known is None or known.inode != found.st_ino:
            self._forget(descriptor)
            if self._others.get(descriptor) == found.st_ino:
                return
            known = self._recognised(descriptor, found.st_ino)
            if known is None:
                self._others[descriptor] = found.st_ino
                return
            self._known[descriptor] = known
        try:
            self._measure(known)
        except OSError:
            self._forget(descriptor)

    def _recognised(self, descriptor: int, inode: int) -> Connection | None:
        try:
            borrowed = socket.socket(fileno=descriptor)
        except OSError:
            return None
        try:
            if (
                descriptor != self._listener
                and borrowed.family in {socket.AF_INET, socket.AF_INET6}
                and borrowed.type == socket.SOCK_STREAM
                and borrowed.getsockname()[1] == self._port
            ):
                peer = borrowed.getpeername()[:2]
                network = "" if self._is_exempt(peer[0]) else self._network_of(peer[0])
                return Connection(descriptor, inode, borrowed, peer, network, self._now())
        except OSError:  # Not connected, or not any more.
            pass
        borrowed.detach()
        return None

    def _forget(self, descriptor: int) -> None:
        known = self._known.pop(descriptor, None)
        if known is not None:
            known.borrowed.detach()  # The descriptor is the server's.

    def _measure(self, connection: Connection) -> None:
        raw = connection.borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        unacked, last_sent, last_received, acked, unsent, segments = _INFO.unpack_from(raw)
        now = self._now()
        if not (unsent or unacked):
            connection.stuck_since = None
        elif connection.stuck_since is None:
            connection.stuck_since, connection.taken, connection.rate = now, acked, 0.0
        else:
            connection.rate = (acked - connection.taken) / max(now - connection.stuck_since, 0.001)
        # It has said nothing yet, or nothing since it got its answer.
        owes = not segments or (connection.stuck_since is None and last_sent < last_received)
        connection.silent = last_received / 1000 if owes else 0.0

    def _end_stuck(self) -> None:
        limits, now = self._limits, self._now()
        stuck: list[Connection] = []
        for connection in list(self._known.values()):
            since = connection.stuck_since
            if since is None or connection.peer in self._streams:
                continue
            if now - since >= limits.answer_seconds:
                if connection.rate < limits.answer_rate:
                    self._end(connection, "answer not taken")
                    continue
                connection.stuck_since, connection.taken = now, connection.taken + int(connection.rate * (now - since))
            if now - since >= STUCK_SECONDS:
                stuck.append(connection)
        if len(stuck) <= limits.stuck_per_address:
            return
        stuck.sort(key=lambda connection: connection.rate, reverse=True)
        kept: list[Connection] = []
        for network, of_one in _by_place(stuck).items():
            most = limits.stuck_per_address if network else len(of_one)
            kept += of_one[:most]
            for connection in of_one[most:]:
                self._end(connection, "too many answers not taken")
        kept.sort(key=lambda connection: connection.rate, reverse=True)
        for connection in kept[limits.stuck_in_all :]:
            self._end(connection, "too many answers not taken")

    def _end_surplus_of_addresses(self) -> None:
        most = self._limits.per_address
        if len(self._known) <= most:
            return
        ordinary = [connection for connection in self._known.values() if connection.peer not in self._streams]
        before = self._now() - LOOK_SECONDS / 2
        for network, of_one in _by_place(ordinary).items():
            surplus = len(of_one) - most
            if network and surplus > 0:
                # What has just come may be asked and answered in a moment.
                seen_before = [connection for connection in of_one if connection.seen < before]
                seen_before.sort(key=lambda connection: (connection.silent, connection.seen), reverse=True)
                for connection in seen_before[:surplus]:
                    self._end(connection, "too many of one address")

    def _end_silent(self, number: int, reason: str) -> None:
        """End so many silent connections, of those that have been silent for longest."""
        if number <= 0:
            return
        silent = [
            connection
            for connection in self._known.values()
            if connection.silent >= SILENT_SECONDS and connection.peer not in self._streams
        ]
        silent.sort(key=lambda connection: connection.silent, reverse=True)
        for connection in silent[:number]:
            self._end(connection, reason)

    async def _free_descriptors(self, free: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if free < LOW_DESCRIPTORS and (hard == resource.RLIM_INFINITY or hard > soft):
            more = soft + 1_024 if hard == resource.RLIM_INFINITY else min(soft + 1_024, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            free += more - soft
        self._end_silent(LOW_DESCRIPTORS - free, "descriptors run out")
        accepting = self._accepting
        if accepting is None:
            return
        if free <= 0:
            await self._pause(accepting)
        elif accepting.has_paused:
            accepting.resume()
            # What has waited may take them all in a moment; half a second of asking in vain is too much.
            await asyncio.sleep(SOON_SECONDS)
            _, free = self._descriptors()
            if free <= 0:
                await self._pause(accepting)

    async def _pause(self, accepting: "_AcceptSwitch") -> None:
        accepting.pause()
        # The kernel wants a descriptor before it says that nobody waits: the server gets one to hear that by.
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
        await asyncio.sleep(SOON_SECONDS)
        self._reserve = _spare()

    def _end(self, connection: Connection, reason: str) -> None:
        if abort_descriptor(connection.descriptor, connection.peer, self._port):
            self._ended.counts[reason] += 1
        self._forget(connection.descriptor)
        self._others[connection.descriptor] = connection.inode  # until the server has closed it

    def _report(self) -> None:
        """Log what was ended, once a minute."""
        counts, told = self._ended.counts, self._ended.told
        now = self._now()
        if now - self._logged_at < _LOG_SECONDS or sum(counts.values()) == sum(told.values()):
            return
        news = [f"{counts[reason] - told.get(reason, 0)}: {reason}" for reason in counts]
        _log.warning("connections were ended (%s); %d are open", "; ".join(news), len(self._known))
        self._logged_at = now
        told.update(counts)


class _AcceptSwitch:
    """Lets the server accept, or has it wait while connections stay in the backlog.

    While it pauses, the server's descriptor is another socket, where nothing comes. It is woken by each connection to
    the one before, as the kernel watches sockets and not descriptors, finds nothing, and sleeps.
    """

    def __init__(self, listener: int) -> None:
        self.has_paused = False
        """It pauses, or connections may still wait from when it did."""
        self._listener = listener
        self._kept = socket.socket(fileno=os.dup(listener))
        self._nothing = socket.socket()
        self._nothing.bind(("127.0.0.1", 0))
        drop_new_connections(self._nothing.fileno())
        self._nothing.listen(1)
        self._nothing.setblocking(False)

    def pause(self) -> None:
        """Have the server wait, unless it does already, or does not listen any more."""
        if not self._is(self._kept):
            return
        os.dup2(self._nothing.fileno(), self._listener, inheritable=False)
        if not self.has_paused:
            _log.warning("no descriptors are left: accepting connections pauses")
        self.has_paused = True

    def resume(self) -> None:
        """Go on, unless the listening socket was left to others since; call it again while it `has_paused`."""
        if self._is(self._nothing):
            os.dup2(self._kept.fileno(), self._listener, inheritable=False)
        self.has_paused = self._is(self._kept) and self._waiting() > 0
        if self.has_paused:
            self._wake()

    def close(self) -> None:
        self.resume()
        self._kept.close()
        self._nothing.close()

    def _is(self, other: socket.socket) -> bool:
        """Tell whether the server's descriptor is this socket."""
        try:
            return os.fstat(self._listener).st_ino == os.fstat(other.fileno()).st_ino
        except OSError:  # The server has stopped.
            return False

    def _waiting(self) -> int:
        """Return how many connections wait to be accepted: of a socket that listens, that is where `unacked` is."""
        raw = self._kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        waiting: int = _INFO.unpack_from(raw)[0]
        return waiting

    def _wake(self) -> None:
        """Have the server look at its backlog. The kernel may give a connection to another worker, so try some."""
        for _ in range(WAKES):
            try:
                with socket.socket(self._kept.family) as knock:
                    knock.setblocking(False)
                    knock.connect_ex(self._kept.getsockname())
            except OSError:  # No descriptor: the next connection wakes it.
                return


def _by_place(connections: Iterable[Connection]) -> dict[str, list[Connection]]:
    by_place: dict[str, list[Connection]] = defaultdict(list)
    for connection in connections:
        by_place[connection.network].append(connection)
    return by_place


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir(_DESCRIPTORS)]  # noqa: PTH208 - numbers, not paths


def _spare() -> int | None:
    """Return a descriptor that is of no use but to be there; None when there is none."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
