"""`GET /metrics`, for Prometheus."""

import asyncio
import hmac
from typing import Final

from adapters.telemetry.board import Gauges, MetricsBoard
from application.events.ports import RelayLedger
from application.shared.errors import Unavailable
from domain.shared.errors import Forbidden, Unauthenticated
from entrypoints.http.edge.addresses import Network, is_within
from entrypoints.http.edge.exchange import NO_STORE, Exchange, Response
from entrypoints.http.edge.operation import Operation
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint

METRICS: Final = Operation(
    id="getMetrics",
    summary="Tell how the service does, to Prometheus",
    tag="system",
    description="The sum of all workers, in the text format of Prometheus, or in OpenMetrics for those who ask for it. "
    "Only for the networks of `METRICS_ALLOWED`, which is this machine unless configured otherwise, and with the "
    "bearer token `METRICS_TOKEN`, if there is one. A request that a proxy passed on is nobody's of this machine, "
    "wherever the proxy runs, unless `TRUSTED_PROXIES` names it.",
    answer_description="The metrics.",
    media_type="text/plain",
    text_example='http_requests_total{method="GET",route="/api/v1/posts",status="200"} 42.0\n',
    headers=("Cache-Control",),
    stores=False,
    is_api=False,
    raises=(Unauthenticated, Forbidden),
)

_PATIENCE_SECONDS: Final = 2.0
_PASSED_ON: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")


class MetricsRoutes:
    """Tells the metrics to those who may know them."""

    def __init__(
        self,
        board: MetricsBoard,
        *,
        allowed: tuple[Network, ...],
        token: str | None,
        trusts_proxies: bool,
        version: str,
        ledger: RelayLedger | None = None,
    ) -> None:
        """With a `ledger`, how far the relay is behind is told too."""
        self._board = board
        self._ledger = ledger
        self._allowed = allowed
        self._token = None if token is None else token.encode("ascii")
        self._trusts_proxies = trusts_proxies
        self._version = version

    def handlers(self) -> list[Registration]:
        return [endpoint("GET", "/metrics", METRICS)(self.metrics)]

    async def metrics(self, exchange: Exchange) -> Response:
        self._admit(exchange)
        refuse_parameters(exchange.query)
        # The client of Prometheus is imported for the first scrape, rather than at every start.
        from adapters.telemetry.exposition import expose  # noqa: PLC0415

        accept, gauges = exchange.field(b"accept") or "", await self._lag()
        body, content_type = expose(self._board, version=self._version, accept=accept, gauges=gauges)
        return Response(200, body, ((b"content-type", content_type.encode("ascii")), NO_STORE))

    async def _lag(self) -> Gauges:
        """Ask how far the relay is behind. A database that does not answer takes nothing else of the metrics along."""
        if self._ledger is None:
            return {}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                lag = await self._ledger.lag()
        except (Unavailable, TimeoutError):
            return {}
        except Exception as error:  # noqa: BLE001 - neither does one that answers what we do not understand
            self._board.lose("source", error)
            return {}
        oldest = 0.0 if lag.oldest is None else lag.oldest.timestamp()
        return {
            "postern_outbox_pending": ("Events that were not delivered to the broker; without the dead.", lag.pending),
            "postern_outbox_oldest_timestamp_seconds": ("When the oldest of them happened; 0 without any.", oldest),
            "postern_outbox_dead": ("Events that the broker refused for good.", lag.dead),
        }

    def _admit(self, exchange: Exchange) -> None:
        # Where no proxy is trusted, the address of one that passed this on says nothing of who asks.
        is_passed_on = not self._trusts_proxies and any(name in exchange.fields for name in _PASSED_ON)
        if is_passed_on or not is_within(exchange.address, self._allowed):
            raise Forbidden("The metrics are not for this network.")
        if self._token is not None:
            scheme, _, given = exchange.fields.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                raise Unauthenticated("The metrics take a bearer token of their own.")
