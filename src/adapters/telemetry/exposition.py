"""How metrics look to Prometheus: families with their help, in the text format or OpenMetrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import add
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from adapters.telemetry.board import Gauges, MetricsBoard, Totals
from adapters.telemetry.metrics import BUCKETS

_LOG_IN: Final = ("POST", "/api/v1/auth/login")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric that components tell of by samples."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    of_server: bool = False
    """Whether each worker tells the same of the whole server, so that it is the highest value instead of their sum."""


FAMILIES: Final = (
    Family("postern_http_requests_in_flight", "gauge", "Requests under way."),
    Family("postern_rate_limit_refusals_total", "counter", "Requests refused with 429, by limit.", ("limit",)),
    Family("postern_connections", "gauge", "Connections of clients that are open."),
    Family("postern_connections_ended_total", "counter", "Connections that were broken off, by why.", ("reason",)),
    Family("postern_live_streams", "gauge", "Streams of live events that are open."),
    Family("postern_webhook_attempts_total", "counter", "Requests sent to webhooks, by how they went.", ("result",)),
    Family("postern_webhook_deliveries_total", "counter", "Deliveries that came to an end, by which.", ("status",)),
    Family("postern_cache_hits_total", "counter", "Reads answered from a worker's memory.", ("cache",)),
    Family("postern_cache_misses_total", "counter", "Reads that had to be loaded.", ("cache",)),
    Family("postern_cache_shared_hits_total", "counter", "Loads that Redis answered.", ("cache",)),
    Family("postern_cache_bypasses_total", "counter", "Reads past a cache that could not vouch.", ("cache",)),
    Family("postern_cache_entries", "gauge", "Pages in the workers' memory.", ("cache",)),
    Family("postern_cache_bytes", "gauge", "What they take.", ("cache",)),
    Family("postern_database_pool_size", "gauge", "Connections that may be open, overflow included.", ("pool",)),
    Family("postern_database_pool_open", "gauge", "Connections that are open.", ("pool",)),
    Family("postern_database_pool_in_use", "gauge", "Connections that somebody uses.", ("pool",)),
    Family("postern_redis_up", "gauge", "Workers whose connection to Redis works.", ("connection",)),
    Family("postern_request_log_lost_total", "counter", "Lines of the request log that were dropped."),
    Family("postern_metrics_lost_total", "counter", "Parts of the metrics that were left out, by kind.", ("what",)),
    Family("postern_loop_failures_total", "counter", "Unforeseen errors of what runs in the background.", ("loop",)),
    Family("postern_notice", "gauge", "1 while /health/ready tells of the code, then 0.", ("code",), of_server=True),
    Family("postern_relay_wait_seconds", "gauge", "How long the oldest event waits.", ("consumer",), of_server=True),
    Family("postern_workers_wanted", "gauge", "Workers that the server has or replaces.", of_server=True),
    Family("postern_worker_deaths_total", "counter", "Workers that ended without being told to.", of_server=True),
    Family("postern_reloads_total", "counter", "Reloads (SIGHUP), by how they ended.", ("result",), of_server=True),
    Family("postern_clock_skew_seconds", "gauge", "How far a host is from the database's clock.", of_server=True),
    Family("process_cpu_seconds_total", "counter", "Processor time of all workers, those that are gone included."),
    Family("process_resident_memory_bytes", "gauge", "Memory of all workers; what they share counts for each."),
    Family("process_open_fds", "gauge", "Open files and sockets of all workers."),
)


class BoardCollector(Collector):
    """Everything there is to tell, collected anew for each scrape."""

    def __init__(self, board: MetricsBoard, *, version: str, gauges: Gauges) -> None:
        self._board = board
        self._version = version
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        totals = self._board.totals()
        requests = totals.requests()
        yield _request_counts(requests)
        yield _durations(requests)
        yield _log_ins(requests)
        for family in FAMILIES:
            yield _family(family, totals)
        for name, (help_, value) in self._gauges.items():
            yield GaugeMetricFamily(name, help_, value=value)
        workers = GaugeMetricFamily("postern_workers", "Workers that serve.")
        workers.add_metric([], totals.workers)
        yield workers
        build = GaugeMetricFamily("postern_build_info", "Which release this is; always 1.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build


def expose(board: MetricsBoard, *, version: str, accept: str, gauges: Gauges) -> tuple[bytes, str]:
    """Return the metrics in the format that a scraper asks for by `Accept`, and the name of that format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BoardCollector(board, version=version, gauges=gauges))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _request_counts(requests: dict[tuple[str, str, int], list[float]]) -> Metric:
    family = CounterMetricFamily(
        "http_requests", "Requests by method, route and status.", labels=["method", "route", "status"]
    )
    for (method, route, status), numbers in sorted(requests.items()):
        family.add_metric([method, route, str(status)], sum(numbers[1:]))
    return family


def _durations(requests: dict[tuple[str, str, int], list[float]]) -> Metric:
    merged: dict[tuple[str, str], list[float]] = {}
    for (method, route, _), (*numbers, _untimed) in sorted(requests.items()):
        known = merged.get((method, route))
        merged[method, route] = numbers if known is None else [a + b for a, b in zip(known, numbers, strict=True)]
    family = HistogramMetricFamily(
        "http_request_duration_seconds", "From the first look at a request to its answer.", labels=["method", "route"]
    )
    for (method, route), numbers in merged.items():
        if not any(numbers[1:]):
            continue  # Nothing but streams.
        buckets, count = [], 0.0
        for bound, inside in zip((*map(str, BUCKETS), "+Inf"), numbers[1:], strict=True):
            count += inside
            buckets.append((bound, count))
        family.add_metric([method, route], buckets, sum_value=numbers[0])
    return family


def _log_ins(requests: dict[tuple[str, str, int], list[float]]) -> Metric:
    family = CounterMetricFamily("postern_log_ins", "Log-ins by outcome.", labels=["outcome"])
    outcomes = {"accepted": 0.0, "refused": 0.0, "limited": 0.0}
    for (method, route, status), numbers in requests.items():
        outcome = {200: "accepted", 401: "refused", 429: "limited"}.get(status)
        if (method, route) == _LOG_IN and outcome is not None:
            outcomes[outcome] += sum(numbers[1:])
    for outcome, count in outcomes.items():
        family.add_metric([outcome], count)
    return family


def _family(family: Family, totals: Totals) -> Metric:
    if family.kind == "counter":
        name = family.name.removesuffix("_total")
        metric: Metric = CounterMetricFamily(name, family.help, labels=family.labels)
    else:
        metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    combine = max if family.of_server else add
    of_the_dead = family.kind == "counter" and not family.of_server
    values = totals.samples(family.name, of_the_dead=of_the_dead, combine=combine)
    if not family.labels:
        values = {(): sum(values.values())}
    for labels, value in sorted(values.items()):
        metric.add_sample(family.name, dict(labels), value)
    return metric
