"""The edge: one ASGI layer around everything, and one pass over each request.

Here is what every exchange has in common, whatever is behind it: the request id, the guards that the server does not
have (host, lengths, sizes), HEAD, CORS, security headers, and an answer for what nobody else caught. One layer rather
than a stack of middleware: each layer costs every request, and a stack is where 404s slip past half of them.
"""

import logging
import random
import re
import time
from collections.abc import Iterable
from typing import Final

from adapters.system.origin import ContextOrigins
from adapters.telemetry.metrics import RequestMetrics
from application.identity.ports import Revocations
from entrypoints.http.addresses import ClientAddresses
from entrypoints.http.api_keys import ApiKeyDoor
from entrypoints.http.auth import Authenticator
from entrypoints.http.direct import DirectRoutes
from entrypoints.http.exchange import Answer, Application, Exchange, Message, Receive, Scope, Send
from entrypoints.http.limits import EdgeLimits
from entrypoints.http.problems import (
    BadRequest,
    BodyTooLarge,
    HeadersTooLarge,
    NotAcceptable,
    UnknownHost,
    UriTooLong,
    answer_for,
)
from entrypoints.http.ratelimit_fields import ratelimit_fields
from entrypoints.http.telemetry import Telemetry

_log = logging.getLogger("postern.http")

BODY_LIMIT: Final = 1_048_576
"""Bytes of a request body: 1 MiB."""
HEADERS_LIMIT: Final = 16_384
"""Bytes of all header names and values together."""
FIELDS_LIMIT: Final = 100
TARGET_LIMIT: Final = 8_192
"""Bytes of path and query together."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_HOST = re.compile(rb"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,19}")

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_DATA_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""For answers that are data: a browser that is talked into rendering one as a page runs and loads nothing."""

ALLOWED_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOWED_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-CSRF-Protection, "
    "X-Request-Id"
)
EXPOSED_HEADERS: Final = (
    "ETag, Link, Location, Retry-After, WWW-Authenticate, X-Request-Id, RateLimit, RateLimit-Policy, "
    "Idempotent-Replayed"
)
PREFLIGHT_SECONDS: Final = 600
PREFLIGHT: Final = "preflight"
"""What the log and the metrics call a preflight, which is answered before it has a route."""


class HostPolicy:
    """Which `Host` values are answered: exact names, `*.example.com` for all names below one, `*` for any."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = {name.lower().rstrip(".") for name in allowed}
        self._any = "*" in names
        self._exact = {name for name in names if not name.startswith("*")}
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._passed: set[bytes] = set()

    def check(self, exchange: Exchange) -> None:
        """Raise `BadRequest` without exactly one well-formed host (RFC 9112, section 3.2), `UnknownHost` for others."""
        host = exchange.fields.get(b"host")
        if host in self._passed:
            return
        if not host:  # Granian makes an empty one of none.
            raise BadRequest("The Host header is missing.")
        match = _HOST.fullmatch(host)
        if match is None or b"host" in exchange.repeated:
            raise BadRequest("The Host header is not one host name.")
        name = match[1].decode("ascii").lower().rstrip(".")
        if not (self._any or name in self._exact or name.endswith(self._suffixes or ("\0",))):
            raise UnknownHost
        if len(self._passed) < 1_000:  # A client can make up ports without end.
            self._passed.add(host)


class Cors:
    """Cross-origin resource sharing (Fetch Standard, section 3.2).

    Below `cookie_path` listed origins may send the refresh token's cookie too (see `browser`); `*` is for bearer
    tokens alone.
    """

    def __init__(self, origins: Iterable[str], *, cookie_path: str) -> None:
        self._cookie_path = cookie_path
        allowed = {origin.rstrip("/") for origin in origins}
        self._any = "*" in allowed
        self._origins = {origin.encode() for origin in allowed}
        # The answer differs by origin, also for a request without one, or a cache would give it to the wrong page.
        self.always: tuple[tuple[bytes, bytes], ...] = ((b"vary", b"Origin"),) if allowed and not self._any else ()

    def _grant(self, exchange: Exchange) -> bytes | None:
        origin = exchange.fields.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return None
        return b"*" if self._any else origin

    def _credentials(self, path: str) -> tuple[tuple[bytes, bytes], ...]:
        if self._any or not path.startswith(self._cookie_path):
            return ()
        return ((b"access-control-allow-credentials", b"true"),)

    def headers(self, exchange: Exchange, path: str) -> tuple[tuple[bytes, bytes], ...]:
        granted = self._grant(exchange)
        if granted is None:
            return self.always
        return (
            *self.always,
            (b"access-control-allow-origin", granted),
            (b"access-control-expose-headers", EXPOSED_HEADERS.encode()),
            *self._credentials(path),
        )

    def preflight(self, exchange: Exchange) -> Answer | None:
        """Answer a preflight of an allowed origin; None for any other OPTIONS, which goes the usual way."""
        if b"access-control-request-method" not in exchange.fields or self._grant(exchange) is None:
            return None
        return Answer(
            204,
            b"",
            (
                (b"access-control-allow-methods", ALLOWED_METHODS.encode()),
                (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
                (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
                (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
            ),
        )


class _Respond:
    """Sends an answer with what every answer carries, and without its content for a HEAD."""

    __slots__ = ("_common", "_is_head", "_is_http1", "_send", "sent", "status")

    def __init__(self, send: Send, common: tuple[tuple[bytes, bytes], ...], *, is_head: bool, is_http1: bool) -> None:
        self._send = send
        self._common = common
        self._is_head = is_head
        self._is_http1 = is_http1
        self.status = 0
        """As it was sent; 0 before."""
        self.sent = 0
        """Bytes of content so far."""

    def tell(self, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        """Put `headers` on the answer too, whatever it will be."""
        self._common += headers

    async def give(self, answer: Answer) -> None:
        """Send an answer of data in one go, as `__call__` would send it in two."""
        body, status = answer.body, answer.status
        headers = [*answer.headers, *self._common, _DATA_POLICY]
        if status not in {204, 304}:
            headers.append((b"content-length", b"%d" % len(body)))
        content = b"" if self._is_head else body
        self.status, self.sent = status, len(content)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": content, "more_body": False})

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self._common]
            if all(name != b"content-security-policy" for name, _ in message["headers"]):
                headers.append(_DATA_POLICY)
            if message["status"] == 413 and self._is_http1:
                # The rest of the body stays unread, so the connection cannot carry another request.
                headers.append((b"connection", b"close"))
            message = {"type": "http.response.start", "status": message["status"], "headers": headers}
        elif self._is_head:
            message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)


class Edge:
    """Wraps the application; see the module."""

    def __init__(
        self,
        app: Application,
        *,
        allowed_hosts: Iterable[str],
        cors_origins: Iterable[str],
        cookie_path: str = "/api/v1/auth/",
        event_streams: frozenset[str] = frozenset({"/api/v1/events"}),
        revocations: Revocations | None = None,
        api_keys: ApiKeyDoor | None = None,
        auth: Authenticator | None = None,
        limits: EdgeLimits | None = None,
        telemetry: Telemetry | None = None,
        addresses: ClientAddresses | None = None,
        direct: DirectRoutes | None = None,
    ) -> None:
        self._app = app
        self._auth = auth
        self._limits = limits
        self._telemetry = telemetry or Telemetry(RequestMetrics())
        self._addresses = addresses or ClientAddresses(())
        self._api_keys = api_keys
        self._direct = direct or DirectRoutes()
        self._event_streams = event_streams
        self._origins = ContextOrigins()
        self._revocations = revocations
        self._hosts = HostPolicy(allowed_hosts)
        self._cors = Cors(cors_origins, cookie_path=cookie_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._exchange(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "There are no WebSockets here."})
        else:
            await self._app(scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        exchange = Exchange(scope)
        exchange.request_id = _request_id(exchange)
        peer = scope.get("client")
        if peer:
            self._locate(scope, exchange, peer)
        method: str = scope["method"]
        path: str = scope["path"]
        # What the common headers are is known before anything happens, so they go on every answer, errors included.
        common = (
            *_SECURITY,
            *(self._cors.headers(exchange, path) if b"origin" in exchange.fields else self._cors.always),
            (b"x-request-id", exchange.request_id.encode("ascii")),
        )
        respond = _Respond(send, common, is_head=method == "HEAD", is_http1=scope["http_version"] in {"1.0", "1.1"})
        telemetry = self._telemetry
        telemetry.metrics.in_flight += 1
        try:
            await self._answer(exchange, scope, receive, respond)
        except Exception as error:
            if respond.status:
                # Half an answer is out; all that is left is to break off, which is the server's to do.
                _log.error("%s %s broke off (request %s)", method, path, exchange.request_id)
                raise
            exchange.failure = error
            await answer_for(error, exchange.request_id, method=method, path=path)(scope, receive, respond)
        finally:
            telemetry.metrics.in_flight -= 1
            seconds = time.perf_counter() - began
            telemetry.finish(scope, exchange, method, status=respond.status, sent=respond.sent, seconds=seconds)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, respond: _Respond) -> None:
        """Take a request through everything that all requests pass, in this order, to whoever answers it."""
        method, path = scope["method"], scope["path"]
        self._guard(scope, exchange, path)
        if method == "OPTIONS" and (preflight := self._cors.preflight(exchange)) is not None:
            exchange.route = PREFLIGHT
            await preflight(scope, receive, respond)
            return
        credentials = exchange.fields.get(b"authorization")
        if credentials is not None:
            # Here, once, because it may wait: whoever asks who is calling is told without waiting.
            revocations, api_keys, auth = self._revocations, self._api_keys, self._auth
            if revocations is not None and not revocations.are_known():
                await revocations.catch_up()
            if api_keys is not None and api_keys.MARK in credentials:
                await api_keys.settle(exchange, credentials)
            if auth is not None:
                auth.recognise(exchange, credentials)
        if self._limits is not None:
            standings = await self._limits.take(method, path, address=exchange.address, user_id=exchange.user_id)
            respond.tell(ratelimit_fields(standings))
        if method in {"GET", "HEAD"}:
            answering = self._direct.find(path, exchange, scope["query_string"])
            if answering is not None:
                await respond.give(await answering)
                return
            # A HEAD is a GET whose content is not sent (RFC 9110, section 9.3.2): the same headers for certain.
            scope["method"] = "GET"
        else:
            receive = _bounded(receive)
        # Only who writes leaves a trace, and asks where the request came from.
        self._origins.begin(scope.get("client"), exchange.fields, exchange.request_id)
        exchange.attach(scope)
        await self._app(scope, receive, respond)

    def _locate(self, scope: Scope, exchange: Exchange, peer: tuple[str, int]) -> None:
        """Find out whose address the request comes from; everything further in goes by that."""
        exchange.peer = peer
        address = exchange.address = self._addresses.of(peer[0], exchange.fields)
        if address != peer[0]:
            scope["client"] = address, 0

    def _guard(self, scope: Scope, exchange: Exchange, path: str) -> None:
        """Raise for a request that must not go any further."""
        fields = exchange.fields
        if exchange.size > HEADERS_LIMIT or len(scope["headers"]) > FIELDS_LIMIT:
            raise HeadersTooLarge
        if len(scope.get("raw_path") or path) + len(scope["query_string"]) > TARGET_LIMIT:
            raise UriTooLong
        self._hosts.check(exchange)
        length = fields.get(b"content-length")
        if length is not None:
            if b"transfer-encoding" in fields:
                # Two lengths are how requests are smuggled past a proxy (RFC 9112, section 6.3).
                raise BadRequest("Content-Length and Transfer-Encoding exclude each other.")
            if not _LENGTH.fullmatch(length):
                raise BadRequest("Content-Length is not one number.")
            if int(length) > BODY_LIMIT:
                raise BodyTooLarge
        accept = fields.get(b"accept")
        if accept is not None and accept != b"*/*" and path.startswith("/api/"):
            self._guard_acceptance(accept, path)

    def _guard_acceptance(self, accept: bytes, path: str) -> None:
        if path in self._event_streams:
            if not accepts(accept, "text/event-stream"):
                raise NotAcceptable("It is only available as text/event-stream.")
        elif not accepts_json(accept):
            raise NotAcceptable


def _request_id(exchange: Exchange) -> str:
    """Return the caller's request id when it is fit to be logged, else a new one."""
    given = exchange.fields.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{_ids.getrandbits(128):032x}"


_ids: Final = random.Random()  # noqa: S311 - an id has to be unique, not secret, and is not worth a system call each
"""Not a counter either, which would tell everybody how many requests there are."""


def _bounded(receive: Receive) -> Receive:
    """Count the body as it comes in and raise `BodyTooLarge` with the first byte over the limit.

    `Content-Length` was checked before; this is for bodies that do not tell their length, and for ones that lie.
    """
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > BODY_LIMIT:
                raise BodyTooLarge
        return message

    return bounded


def accepts_json(accept: bytes) -> bool:
    return accepts(accept, "application/json")


def accepts(accept: bytes, media_type: str) -> bool:
    """Tell whether an `Accept` field lets a media type through: the most specific range decides (RFC 9110, 12.5.1).

    A field that cannot be read lets everything through, as leaving it out would.
    """
    any_subtype = media_type.partition("/")[0] + "/*"
    best = (-1, 0.0)
    for part in accept.decode("latin-1").lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        specificity = {"*/*": 0, any_subtype: 1, media_type: 2}.get(media_range, -1)
        if specificity >= 0:
            best = max(best, (specificity, _quality(parameters)))
    return best[1] > 0 or not accept.strip()


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
