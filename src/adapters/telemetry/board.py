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
import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from operator import add
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from adapters.telemetry.metrics import NUMBERS, RequestMetrics

_log = logging.getLogger("postern.metrics")

WRITE_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0
"""How often at most the log says that something is left out."""
_GONE: Final = 16
"""Files of workers that are gone which a scrape reads; more than that become one."""
_LOOKS: Final = 5

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
    absorbed: list[str] = []
    """Names of the files whose numbers these contain: of workers that are gone. They count no more, if they are there.
    """


class _Written(msgspec.Struct, frozen=True):
    """A snapshot as it is in a file: whether each of its parts can be read is found out one by one."""

    requests: list[msgspec.Raw] = []
    samples: list[msgspec.Raw] = []
    absorbed: list[str] = []


Part = TypeVar("Part", RequestSeries, Sample)


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

    def merged(self, *, absorbed: list[str]) -> Snapshot:
        """Return the sums of all as one snapshot, without what only the living tell: gauges."""
        names = {name for snapshot, _ in self.snapshots for name, _, _ in snapshot.samples if name.endswith("_total")}
        return Snapshot(
            requests=[RequestSeries(*key, numbers) for key, numbers in self.requests().items()],
            samples=[
                (name, labels, value)
                for name in sorted(names)
                for labels, value in self.samples(name, of_the_dead=True).items()
            ],
            absorbed=absorbed,
        )


class MetricsBoard:
    """Where one worker's numbers meet those of the others. Without a directory there are no others.

    What cannot be told or read costs itself: a source that fails, a sample that is no number, a file that is broken
    are left out and counted in `postern_metrics_lost_total`.
    """

    def __init__(self, requests: RequestMetrics, sources: Iterable[Source], *, directory: Path | None = None) -> None:
        self._requests = requests
        self._sources = list(sources)
        self._directory = directory
        self._own: Path | None = None
        self._lock: int | None = None
        self._is_closed = False
        self._lost: dict[str, int] = {"source": 0, "sample": 0, "file": 0}
        self._told = -_TELL_SECONDS

    def add_source(self, source: Source) -> None:
        self._sources.append(source)

    def snapshot(self) -> Snapshot:
        samples: list[Sample] = [("postern_http_requests_in_flight", (), float(self._requests.in_flight))]
        samples += (
            ("postern_rate_limit_refusals_total", (("limit", limit),), float(count))
            for limit, count in self._requests.refusals.items()
        )
        for source in self._sources:
            try:
                found = list(source())
            except Exception as error:  # noqa: BLE001 - whatever a component fails with, the others are told of
                self.lose("source", error)
                continue
            for sample in found:
                try:
                    samples.append(_sound(sample))
                except (TypeError, ValueError, OverflowError) as error:
                    self.lose("sample", error)
        samples += (("postern_metrics_lost_total", (("what", what),), float(n)) for what, n in self._lost.items())
        return Snapshot(
            requests=[RequestSeries(*key, numbers) for key, numbers in self._requests.series()], samples=samples
        )

    def totals(self) -> Totals:
        """Return the numbers of all workers, this one's as of now."""
        own = self.snapshot()
        if self._directory is None:
            return Totals([(own, True)])
        try:
            self._write(self._directory, own)
        except OSError as error:  # The others cannot be told, which is no reason not to tell.
            self.lose("file", error)
        return Totals([(own, True), *self._others(self._directory)])

    def write(self) -> None:
        """Let the other workers see this one's numbers. Raises `OSError`."""
        if self._directory is not None:
            self._write(self._directory, self.snapshot())

    def close(self) -> None:
        """Write the numbers for the last time, and count as gone from now on."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # The server, which is ending too, may have removed it all.
                self.write()
            self._is_closed = True
            os.close(self._lock)
            self._lock = None

    def lose(self, what: str, error: Exception) -> None:
        """Count a `source`, a `sample` or a `file` that is left out, and say why, once a minute at most."""
        self._lost[what] += 1
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            _log.warning("a part of the metrics is left out (%s)", what, exc_info=error)

    def _write(self, directory: Path, snapshot: Snapshot) -> None:
        if self._is_closed:
            return  # What was written last may be in another file by now.
        own = self._own or self._begin(directory)
        fresh = own.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(snapshot))
        fresh.replace(own)

    def _begin(self, directory: Path) -> Path:
        own = directory / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._lock = os.open(own.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._own = own
        return own

    def _others(self, directory: Path) -> Iterable[tuple[Snapshot, bool]]:
        found: dict[str, tuple[Snapshot, bool]] = {}
        for _ in range(_LOOKS):
            try:
                found = {path.name: self._read(path) for path in directory.glob("*.json") if path != self._own}
            except FileNotFoundError:
                continue  # Absorbed since it was listed, so its numbers are in a file that may not have been.
            break
        absorbed = {name for snapshot, _ in found.values() for name in snapshot.absorbed}
        kept = {name: found[name] for name in sorted(found) if name not in absorbed}
        gone = {name: snapshot for name, (snapshot, is_alive) in kept.items() if not is_alive}
        if len(gone) > _GONE:
            try:
                _merge_finished_workers(directory, gone)
            except OSError as error:
                self.lose("file", error)
        return kept.values()

    def _read(self, path: Path) -> tuple[Snapshot, bool]:
        """Return what a worker has written, and whether it lives. Raises `FileNotFoundError`."""
        is_alive = _is_locked(path.with_suffix(".lock"))
        try:
            written = _decoder.decode(path.read_bytes())
        except FileNotFoundError:
            raise
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.lose("file", error)
            return Snapshot(requests=[], samples=[]), is_alive
        requests = [series for raw in written.requests if (series := self._part(raw, _series_decoder)) is not None]
        samples = [sample for raw in written.samples if (sample := self._part(raw, _sample_decoder)) is not None]
        # Of another release, after a reload, there may be more buckets or fewer.
        fitting = [series for series in requests if len(series.numbers) == NUMBERS]
        return Snapshot(requests=fitting, samples=samples, absorbed=written.absorbed), is_alive

    def _part(self, raw: msgspec.Raw, decoder: msgspec.json.Decoder[Part]) -> Part | None:
        try:
            return decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.lose("sample", error)
            return None


def _sound(sample: Sample) -> Sample:
    """Return a sample as it can be written and read again. Raises `TypeError` or `ValueError` when it is none."""
    name, labels, value = sample
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}")
    return str(name), tuple((str(label), str(text)) for label, text in labels), number


def _merge_finished_workers(directory: Path, gone: Mapping[str, Snapshot]) -> None:
    """Put the numbers of workers that are gone into one file, so that a server of any age has few of them.

    It counts from the moment that it has its name, and those that it names count no more from then on.
    """
    lock = os.open(directory / "absorbing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if all((directory / name).exists() for name in gone):
            totals = Totals((snapshot, False) for snapshot in gone.values())
            merged = directory / f"gone-{secrets.token_hex(4)}.json"
            fresh = merged.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(totals.merged(absorbed=list(gone))))
            fresh.replace(merged)
            for name in gone:
                for suffix in (".json", ".lock", ".new"):
                    (directory / name).with_suffix(suffix).unlink(missing_ok=True)
    except BlockingIOError:
        return  # Another worker does it.
    finally:
        os.close(lock)


_decoder = msgspec.json.Decoder(_Written)
_series_decoder = msgspec.json.Decoder(RequestSeries)
_sample_decoder = msgspec.json.Decoder(Sample)


def _is_locked(path: Path) -> bool:
    """Tell whether some process holds the lock, which is to say, lives."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # Those who are gone do without.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
