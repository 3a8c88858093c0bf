"""What is told of each request when it is over: a line of the log, and the counters of /metrics."""

import time
from datetime import UTC, datetime
from typing import Final

from adapters.telemetry.metrics import UNMATCHED, RequestMetrics
from adapters.telemetry.request_log import RequestLine, RequestLog
from application.shared.rate_limit import RateLimited
from entrypoints.http.exchange import Exchange, Scope

CLIENT_GONE: Final = 499
"""What is told as the status of a request whose client left before there was one, as nginx does."""


class Telemetry:
    """Tells of requests; without a log, only in numbers."""

    def __init__(self, metrics: RequestMetrics, log: RequestLog | None = None) -> None:
        self.metrics = metrics
        self._log = log

    def finish(self, scope: Scope, exchange: Exchange, method: str, *, status: int, sent: int, seconds: float) -> None:
        """Tell of a request that took `seconds` and was answered with `sent` bytes of content; 0 is no status."""
        # The router leaves the template it found; where a direct route answered, or the edge, the exchange has it.
        route = exchange.route or scope.get("path_template") or UNMATCHED
        status = status or CLIENT_GONE
        self.metrics.observe(method, route, status, seconds)
        if isinstance(exchange.failure, RateLimited):
            for standing in exchange.failure.standings:
                if standing.is_exceeded:
                    self.metrics.refuse(standing.limit.name)
        if self._log is not None:
            self._log.add(
                RequestLine(
                    datetime.fromtimestamp(time.time(), UTC),
                    "info" if status < 500 else "error",
                    method,
                    route,
                    status,
                    int(seconds * 1_000_000) / 1000,
                    sent,
                    exchange.request_id,
                    exchange.address,
                    exchange.user_id,
                )
            )
