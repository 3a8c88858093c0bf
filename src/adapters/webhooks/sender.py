"""Sending one webhook with httpcore: a POST to a checked address, within bounds, and nothing else.

httpcore rather than a client on top of it: it follows no redirects, reads no proxies or credentials from the
environment, keeps no cookies, decodes no content, and takes the network from us, so that the address which was checked
is the one that is connected to. The name stays in the URL, for the certificate (SNI) and for the Host header.
"""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore

from adapters.webhooks.addresses import Address
from adapters.webhooks.target import ResolvingTargetGuard
from application.shared.clock import Clock
from application.webhooks.ports import WebhookRequest, WebhookSender
from domain.webhooks.delivery import Outcome
from domain.webhooks.errors import TargetRefused

CONNECT_SECONDS: Final = 5.0
WHOLE_SECONDS: Final = 15.0
BODY_BYTES: Final = 8 * 1024
"""As much of an answer's body is read, and thrown away: receivers that are cut off in mid-sentence may log errors."""
USER_AGENT: Final = "Postern-Webhooks/1"

_FAILURES: Final = (OSError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
"""What a receiver, or the way there, can do to us; `TimeoutError` and `ssl.SSLError` are among the first."""


class _PinnedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever name it is asked for."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        # pyright sees the class that stands in where anyio is not installed; it is, by httpcore's extra.
        self._network: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del host, timeout
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                # What is left of the time is shared by those that are left; the caller bounds the whole.
                return await self._network.connect_tcp(
                    str(address), port, CONNECT_SECONDS / len(self._addresses), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class HttpcoreWebhookSender(WebhookSender):
    """One connection a delivery, so that each is resolved and checked anew."""

    def __init__(
        self,
        guard: ResolvingTargetGuard,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
        whole_seconds: float = WHOLE_SECONDS,
    ) -> None:
        self._guard = guard
        self._clock = clock
        self._tls = ssl.create_default_context() if tls is None else tls
        self._whole_seconds = whole_seconds

    async def send(self, request: WebhookRequest) -> Outcome:
        try:
            async with asyncio.timeout(self._whole_seconds):
                return await self._send(request)
        except TargetRefused as refused:
            return Outcome(error="dns" if refused.code == "unresolvable" else "refused_target")
        except _FAILURES as error:
            return Outcome(error=_word_for(error))

    async def _send(self, request: WebhookRequest) -> Outcome:
        url = request.url
        network = _PinnedNetwork(await self._guard.addresses(url))
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=1, max_keepalive_connections=0, network_backend=network
        ) as pool:
            scheme = b"https" if url.is_encrypted else b"http"
            target = httpcore.URL(scheme=scheme, host=url.host.encode(), port=url.port, target=url.target.encode())
            timeouts: dict[str, float] = dict.fromkeys(("read", "write", "pool"), self._whole_seconds)
            timeouts["connect"] = CONNECT_SECONDS
            async with pool.stream(
                "POST", target, headers=_headers(request), content=request.body, extensions={"timeout": timeouts}
            ) as response:
                read = 0
                async for chunk in response.aiter_stream():
                    read += len(chunk)
                    if read >= BODY_BYTES:
                        break
                return Outcome.answered(response.status, retry_after=_retry_after(response, self._clock.now()))


def _headers(request: WebhookRequest) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", request.url.authority.encode()),
        (b"content-type", b"application/cloudevents+json"),
        (b"content-length", str(len(request.body)).encode()),
        (b"user-agent", USER_AGENT.encode()),
        (b"accept", b"*/*"),
        (b"webhook-id", request.id.encode()),
        (b"webhook-timestamp", str(request.timestamp).encode()),
        (b"webhook-signature", request.signature.encode()),
    ]


def _retry_after(response: httpcore.Response, now: datetime) -> timedelta | None:
    """Return how long the receiver wants to be left alone (RFC 9110, section 10.2.3): seconds, or until a date."""
    value = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdecimal():
        # More digits than any wait has would overflow.
        return timedelta(seconds=min(int(text[:12]), 10**9))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return max(until - now, timedelta(0))


def _word_for(error: BaseException) -> str:
    if isinstance(error, (TimeoutError, httpcore.TimeoutException)):
        return "timeout"
    if isinstance(error, httpcore.ProtocolError):
        return "protocol"
    # A handshake that fails is told as a failure to connect.
    return "tls" if _is_tls(error) else "connection"


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
