"""Metrics of all workers of one server, told by any of them.

Each worker keeps its numbers in memory and now and then writes them, whole, to a file of its own in a directory that
the server made for its workers. Who is scraped writes its own first and adds up all files. So whatever was ever told
is in a file, and a worker that dies, be it by SIGKILL, takes nothing along: its counts stay in the sum, and no counter
steps back, which Prometheus would take for a restart. Gauges are added up over living workers alone; who lives is told
by a lock that the system takes back from the dead.

A scrape is up to WRITE_SECONDS behind for the workers that it did not go to. (The multi-process mode of
prometheus-client writes each value through a shared map at each increment, which costs more than a cached answer has
to spare.)
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from operator import add
from pathlib import Path
from typing import Final

import msgspec

from adapters.telemetry.metrics import RequestMetrics

WRITE_SECONDS: Final = 1.0

Sample = tuple[str, tuple[tuple[str, str], ...], float]
"""The name of a metric, its labels, and the value."""
Source = Callable[[], Iterable[Sample]]
"""Tells what a component has counted, or how it is, at the moment it is asked. Takes no time to speak of."""
Gauges = Mapping[str, tuple[str, float]]
"""By name: help and value of what is not any worker's own, such as what waits in the database."""


class RequestSeries(msgspec.Struct, frozen=True, array_like=True):
    method: str
    route: str
    status: int
    numbers: list[float]
    """As `RequestMetrics` keeps them."""


class Snapshot(msgspec.Struct, frozen=True):
    """All numbers of one worker at one moment."""

    requests: list[RequestSeries]
    samples: list[Sample]


class Totals:
    """The numbers of all workers: which of them are alive is known of each."""

    def __init__(self, snapshots: Iterable[tuple[Snapshot, bool]]) -> None:
        self.snapshots = list(snapshots)

    @property
    def workers(self) -> int:
        return sum(is_alive for _, is_alive in self.snapshots)

    def requests(self) -> dict[tuple[str, str, int], list[float]]:
        """Return the series of requests, added up by method, route and status."""
        found: dict[tuple[str, str, int], list[float]] = {}
        for snapshot, _ in self.snapshots:
            for series in snapshot.requests:
                key = series.method, series.route, series.status
                known = found.get(key)
                found[key] = (
                    series.numbers if known is None else [a + b for a, b in zip(known, series.numbers, strict=True)]
                )
        return found

    def samples(
        self, name: str, *, of_the_dead: bool, combine: Callable[[float, float], float] = add
    ) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the values of one metric by labels, added up; with those of workers that are gone, or without."""
        found: dict[tuple[tuple[str, str], ...], float] = {}
        for snapshot, is_alive in self.snapshots:
            for sample_name, labels, value in snapshot.samples:
                if sample_name == name and (is_alive or of_the_dead):
                    found[labels] = combine(found.get(labels, 0.0), value)
        return found


class MetricsBoard:
    """Where one worker's numbers meet those of the others. Without a directory there are no others."""

    def __init__(self, requests: RequestMetrics, sources: Iterable[Source], *, directory: Path | None = None) -> None:
        self._requests = requests
        self._sources = list(sources)
        self._directory = directory
        self._own: Path | None = None
        self._lock: int | None = None

    def add_source(self, source: Source) -> None:
        self._sources.append(source)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            requests=[RequestSeries(*key, numbers) for key, numbers in self._requests.series()],
            samples=[
                ("postern_http_requests_in_flight", (), self._requests.in_flight),
                *(
                    ("postern_rate_limit_refusals_total", (("limit", limit),), count)
                    for limit, count in self._requests.refusals.items()
                ),
                *(sample for source in self._sources for sample in source()),
            ],
        )

    def totals(self) -> Totals:
        """Return the numbers of all workers, this one's as of now. Raises `OSError` when the directory is gone."""
        own = self.snapshot()
        if self._directory is None:
            return Totals([(own, True)])
        self._write(self._directory, own)
        return Totals([(own, True), *self._others(self._directory)])

    def write(self) -> None:
        """Let the other workers see this one's numbers."""
        if self._directory is not None:
            self._write(self._directory, self.snapshot())

    def close(self) -> None:
        """Write the numbers for the last time, and count as gone from now on."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # The server, which is ending too, may have removed it all.
                self.write()
            os.close(self._lock)
            self._lock = None

    def _write(self, directory: Path, snapshot: Snapshot) -> None:
        own = self._own or self._begin(directory)
        fresh = own.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(snapshot))
        fresh.replace(own)

    def _begin(self, directory: Path) -> Path:
        self._own = directory / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._lock = os.open(self._own.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self._own

    def _others(self, directory: Path) -> Iterable[tuple[Snapshot, bool]]:
        for path in sorted(directory.glob("*.json")):
            if path != self._own:
                yield _decoder.decode(path.read_bytes()), _is_locked(path.with_suffix(".lock"))


_decoder = msgspec.json.Decoder(Snapshot)


def _is_locked(path: Path) -> bool:
    """Tell whether some process holds the lock, which is to say, lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
