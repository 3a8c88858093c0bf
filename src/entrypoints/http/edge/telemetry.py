"""What is told of each request when it is over: a line of the log, and the counters of /metrics."""

from datetime import UTC, datetime
from typing import Final

from adapters.telemetry.metrics import UNMATCHED, RequestMetrics
from adapters.telemetry.request_log import RequestLine, RequestLog
from application.shared.rate_limit import RateLimited
from entrypoints.http.edge.exchange import Exchange

CLIENT_GONE: Final = 499
"""What is told as the status of a request whose client left before there was one, as nginx does."""


class Telemetry:
    """Tells of requests; without a log, only in numbers."""

    def __init__(self, metrics: RequestMetrics, log: RequestLog | None = None) -> None:
        self.metrics = metrics
        self._log = log

    def finish(self, exchange: Exchange, method: str, *, seconds: float) -> None:
        """Tell of a request that took `seconds`, and of its answer."""
        route = exchange.route or UNMATCHED
        status = exchange.status or CLIENT_GONE
        self.metrics.observe(method, route, status, None if exchange.is_stream else seconds)
        if exchange.failure is not None:
            self._count_refusals(exchange.failure)
        if self._log is not None:
            self._log.add(
                RequestLine(
                    datetime.now(UTC),
                    "info" if status < 500 else "error",
                    method,
                    route,
                    status,
                    int(seconds * 1_000_000) / 1000,
                    exchange.sent,
                    exchange.request_id,
                    exchange.address,
                    exchange.user_id,
                )
            )

    def _count_refusals(self, failure: Exception) -> None:
        if isinstance(failure, RateLimited):
            for state in failure.states:
                if state.is_exceeded:
                    self.metrics.refuse(state.limit.name)
