"""An open loop: requests leave on a fixed timetable, whether or not earlier ones have been answered.

A closed loop asks a stalled server less, and so hides the stall (coordinated omission). Here a request has its place on
the timetable, and its latency counts from there: also the time that it waited for a free connection.

One thread and select(2), whose patience is counted in microseconds where epoll's is in milliseconds. It keeps up with
some ten thousand requests a second, and says so when it does not: `worst_lag` is how late it sent although a connection
was free, which is its own fault and not the server's.
"""

import gc
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import percentile
from bench.http1 import AnswerReader, MalformedAnswer

GRACE_SECONDS: Final = 5.0
"""How long answers may come after the last request was due."""
LAG_LIMIT_US: Final = 2_000.0
"""A generator later than this in one case of a hundred measures itself."""


@dataclass(frozen=True, slots=True)
class OpenLoopFigures:
    """Latencies are in microseconds, from the planned moment to the answer's last byte."""

    rate: float
    """Requests a second, as planned."""
    planned: int
    answered: int
    p50: float
    p90: float
    p99: float
    p999: float
    maximum: float
    lag_p99: float
    statuses: dict[int, int]

    def fault(self) -> str | None:
        """Say why the run counts for nothing."""
        wrong = {status: count for status, count in self.statuses.items() if status >= 400}
        if wrong:
            return "answers with " + ", ".join(f"{count} of {status}" for status, count in sorted(wrong.items()))
        if self.lag_p99 > LAG_LIMIT_US:
            return f"the generator itself was {self.lag_p99 / 1000:.1f} ms late"
        return None


class _Connection:
    __slots__ = ("due", "free_since", "reader", "socket")

    def __init__(self, host: str) -> None:
        name, _, port = host.partition(":")
        self.socket = socket.create_connection((name, int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = AnswerReader()
        self.due = 0.0
        self.free_since = 0.0

    def fileno(self) -> int:
        return self.socket.fileno()


class _Run:
    """One run: a timetable, the connections, and what was seen."""

    def __init__(self, requests: Sequence[bytes], *, host: str, rate: float, seconds: float, connections: int) -> None:
        self._requests = requests
        self._host = host
        self._rate = rate
        self._planned = max(1, int(rate * seconds))
        # First in, first out: whoever has been free for longest says whether waiting was the server's doing.
        self._idle = deque(_Connection(host) for _ in range(connections))
        self._busy: set[_Connection] = set()
        self._sent = 0
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.statuses: dict[int, int] = {}

    def go(self) -> OpenLoopFigures:
        begun = time.perf_counter() + 0.05
        ends = begun + self._planned / self._rate + GRACE_SECONDS
        waiting: deque[float] = deque()
        arrived = 0
        try:
            while len(self.latencies) < self._planned and (now := time.perf_counter()) < ends:
                while arrived < self._planned and (due := begun + arrived / self._rate) <= now:
                    waiting.append(due)
                    arrived += 1
                while waiting and self._idle:
                    self._send(waiting.popleft())
                due = begun + arrived / self._rate if arrived < self._planned else ends
                patience = max(0.0, due - time.perf_counter())
                for connection in select.select(list(self._busy), [], [], patience)[0]:
                    self._receive(connection)
        finally:
            for connection in (*self._idle, *self._busy):
                connection.socket.close()
        return self._figures(ends, [*waiting, *(connection.due for connection in self._busy)])

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        connection.due = due
        connection.socket.sendall(self._requests[self._sent % len(self._requests)])
        # Before a connection was free the wait is the server's; after that, being late is ours.
        self.lags.append(max(0.0, time.perf_counter() - max(due, connection.free_since)))
        self._sent += 1
        self._busy.add(connection)

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(1 << 18)
        if not data:
            raise MalformedAnswer("the server closed a connection that was in use")
        answer = connection.reader.feed(data)
        if answer is None:
            return
        now = time.perf_counter()
        self.latencies.append(now - connection.due)
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        self._busy.discard(connection)
        if answer.header("connection") == "close":
            connection.socket.close()
            connection = _Connection(self._host)
        connection.free_since = now
        self._idle.append(connection)

    def _figures(self, ends: float, unanswered: Sequence[float]) -> OpenLoopFigures:
        # Who got no answer waited at least until the end; leaving them out would flatter exactly the worst servers.
        all_waits = sorted([*self.latencies, *(ends - due for due in unanswered)])
        share = [percentile(all_waits, part) * 1e6 for part in (0.5, 0.9, 0.99, 0.999, 1.0)]
        lag = percentile(sorted(self.lags), 0.99) * 1e6
        return OpenLoopFigures(
            self._rate, self._planned, len(self.latencies), share[0], share[1], share[2], share[3], share[4], lag,
            self.statuses,
        )  # fmt: skip


def run(requests: Sequence[bytes], *, host: str, rate: float, seconds: float, connections: int = 64) -> OpenLoopFigures:
    """Send `rate` requests a second for `seconds`. Raises `MalformedAnswer`, `OSError`."""
    planned = _Run(requests, host=host, rate=rate, seconds=seconds, connections=connections)
    # A collection in the middle would be late by as much as what is being measured.
    gc.collect()
    gc.disable()
    try:
        return planned.go()
    finally:
        gc.enable()
