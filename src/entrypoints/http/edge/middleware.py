"""The edge: one ASGI layer around everything, and one pass over each request.

Here is what every exchange has in common, whatever is behind it: the request id, the guards that the server does not
have (host, lengths, sizes), HEAD, CORS, security headers, and an answer for what nobody else caught. One layer rather
than a stack of middleware: each layer costs every request, and a stack is where 404s slip past half of them.
"""

import logging
import random
import re
from asyncio import CancelledError, current_task
from collections.abc import Awaitable, Iterable
from time import perf_counter
from typing import Final, TypeVar

from adapters.shared.cancellation import CancelledInCommit
from adapters.shared.request import current
from adapters.system.server_lifecycle import ServerLifecycle
from adapters.telemetry.metrics import RequestMetrics
from application.shared.errors import DeadlineExceeded, OutcomeUnknown
from domain.shared.errors import PosternError
from entrypoints.http.edge.accept import accepts, accepts_json
from entrypoints.http.edge.addresses import ClientAddresses
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.compression import accepts_gzip, compressed
from entrypoints.http.edge.cors import ALLOWED_METHODS, Cors
from entrypoints.http.edge.deadlines import Deadlines
from entrypoints.http.edge.exchange import (
    DATA_POLICY,
    Application,
    Exchange,
    Headers,
    Message,
    Receive,
    Response,
    Scope,
    Send,
    no_content,
)
from entrypoints.http.edge.failures import error_after_commit, problem_response_for
from entrypoints.http.edge.hosts import HostPolicy
from entrypoints.http.edge.large_responses import STREAM_BYTES, WHOLE_BYTES, LargeResponses
from entrypoints.http.edge.request_bodies import RequestBodies, ends_connection, guard_body, has_body
from entrypoints.http.edge.routing import RouteTable
from entrypoints.http.edge.telemetry import Telemetry
from entrypoints.http.problems.errors import HeadersTooLarge, NotAcceptable, TooManyTransfers, UriTooLong

T = TypeVar("T")

_log = logging.getLogger("postern.http")

HEADERS_LIMIT: Final = 16_384
"""Bytes of all header names and values together."""
FIELDS_LIMIT: Final = 100
TARGET_LIMIT: Final = 8_192
"""Bytes of path and query together."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

_CLOSE: Final = (b"connection", b"close")
_CLOSING_VERSIONS: Final = frozenset({"1", "1.0", "1.1"})
"""The versions of HTTP in which a header field ends a connection; Granian writes the first of them "1"."""

_SECURITY: Final = (
    # Granian adds its name where there is none; it cannot be kept from it.
    (b"server", b""),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_READS: Final = frozenset({"GET", "HEAD"})
PREFLIGHT: Final = "preflight"
"""What the log and the metrics call a preflight, which is answered before it has a route."""
WHOLE: Final = "*"
"""The target of a request about no resource, but the server."""


class _ResponseSender:
    """Sends an answer with what every answer carries, and without its content for a HEAD; the exchange keeps count.

    The start waits for the first of the content, which shows how much there is: a large answer may have to be refused.
    """

    __slots__ = ("_answers", "_exchange", "_is_final", "_is_refused", "_scope", "_send", "_start")

    def __init__(
        self, exchange: Exchange, scope: Scope, send: Send, answers: LargeResponses, *, is_final: bool = False
    ) -> None:
        """`is_final`: it is the answer for one that was given up."""
        self._is_final = is_final
        self._exchange = exchange
        self._scope = scope
        self._send = send
        self._answers = answers
        self._start: Message | None = None
        self._is_refused = False

    async def __call__(self, message: Message) -> None:
        exchange = self._exchange
        if exchange.is_given_up and not self._is_final:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        body = b"" if exchange.is_head else message.get("body", b"")
        more_body = message.get("more_body", False)
        is_large = len(body) > WHOLE_BYTES
        start, self._start = self._start, None
        if start is not None and (is_large or exchange.is_unbounded) and self._scope["method"] in _READS:
            refusal = self._answers.refusal(exchange, STREAM_BYTES if exchange.is_unbounded else len(body))
            if refusal is not None:
                exchange.is_unbounded = False
                await self._refuse(refusal)
            elif exchange.is_unbounded:
                self._answers.hold(exchange)
        if self._is_refused:
            return
        if start is not None:
            start = self._begun(start)
            if not is_large:
                await self._send(start)
        exchange.sent += len(body)
        if is_large:
            await self._answers.send(exchange, self._send, body, start=start, more_body=more_body)
        else:
            await self._send({"type": "http.response.body", "body": body, "more_body": more_body})

    def _begun(self, start: Message) -> Message:
        exchange = self._exchange
        status = exchange.status = start["status"]
        headers = [*start["headers"], *exchange.common_headers]
        if all(name != b"content-security-policy" for name, _ in start["headers"]):
            headers.append(DATA_POLICY)
        if (exchange.has_body and _is_last(exchange, self._scope)) or isinstance(exchange.failure, TooManyTransfers):
            headers.append(_CLOSE)
        return {"type": "http.response.start", "status": status, "headers": headers}

    async def _refuse(self, refusal: PosternError) -> None:
        """Send a problem in place of the answer."""
        exchange, scope = self._exchange, self._scope
        exchange.failure = refusal
        problem = problem_response_for(refusal, exchange.request_id, method=scope["method"], path=scope["path"])
        await problem(scope, None, self)
        self._is_refused = True


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
        auth: Authenticator | None = None,
        telemetry: Telemetry | None = None,
        addresses: ClientAddresses | None = None,
        routes: RouteTable | None = None,
        hsts_seconds: int = 0,
        serving: ServerLifecycle | None = None,
        bodies: RequestBodies | None = None,
        deadline_seconds: float = 10.0,
        answers: LargeResponses | None = None,
    ) -> None:
        self._app = app
        self._auth = auth
        self._telemetry = telemetry or Telemetry(RequestMetrics())
        self._addresses = addresses or ClientAddresses(())
        self._routes = routes or RouteTable()
        self._bodies = bodies or RequestBodies()
        self._answers = answers or LargeResponses()
        self._event_streams = event_streams
        self._deadlines = Deadlines(deadline_seconds, self._answer_for, self._bodies.is_waited_for)
        self._hosts = HostPolicy(allowed_hosts)
        self._cors = Cors(cors_origins, cookie_path=cookie_path)
        self._security: Headers = _SECURITY
        if hsts_seconds:
            self._security += ((b"strict-transport-security", b"max-age=%d" % hsts_seconds),)
        self._carried: Headers = (*self._security, *self._cors.always)
        """By every answer to a request without an origin."""
        self._closing: Headers = ()
        if serving is not None:
            serving.on_closing(self._close_connections)

    def _close_connections(self) -> None:
        """Have each answer close its connection from now on."""
        self._closing = ((b"connection", b"close"),)
        self._carried = (*self._carried, *self._closing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901, PLR0912, PLR0915 # each call more costs a cached answer
        """Take a request through everything that all requests pass, in this order, to whoever answers it.

        It awaits only where something may have to be waited for: every coroutine more costs a cached answer 0.3 µs.
        """
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        began = perf_counter()
        exchange = Exchange(scope)
        method: str = scope["method"]
        path: str = scope["path"]
        self._begin(exchange, scope, method, path)
        auth, metrics = self._auth, self._telemetry.metrics
        metrics.in_flight += 1
        has_body = False  # as the exchange has it: what is only a default of its class takes long to be looked up
        try:
            has_body = self._guard(scope, exchange, path)
            reads = method in _READS
            answer = None if reads else self._preflight(exchange, method, path)
            if answer is None:
                routes = self._routes
                route = routes.reads.get(path) if reads else None
                if route is None:
                    route = routes.find(exchange, "GET" if reads else method, path)
                else:
                    exchange.route = path
                credentials = exchange.fields.get(b"authorization")
                if credentials is not None and auth is not None:
                    unknown = auth.authenticate(exchange, credentials)
                    if unknown is not None:
                        await self._wait(exchange, unknown, scope, send)
                count = routes.count_of(method, path) if route is None else route.count
                if count is not None:
                    told = count(exchange.address, exchange.user_id)
                    exchange.common_headers += (
                        told if isinstance(told, tuple) else await self._wait(exchange, told, scope, send)
                    )
                if route is None:
                    await self._wait(exchange, self._unrouted(exchange, scope, receive, send), scope, send)
                else:
                    if not reads:
                        self._bodies.begin(exchange, receive)
                    compress = route.compress and b"accept-encoding" in exchange.fields
                    if compress:
                        compress = exchange.compress = accepts_gzip(exchange.fields[b"accept-encoding"])
                    answering = route.handle(exchange)
                    if isinstance(answering, Response):
                        answer = answering
                    else:
                        current.set(exchange)
                        waiting = self._deadlines.waiting
                        waiting[exchange] = current_task(), scope, send
                        answer = await answering
                        if compress:
                            answer = await compressed(answer)
                        del waiting[exchange]
            if answer is not None:
                if answer.is_streamed or len(answer.body) > WHOLE_BYTES or (has_body and exchange.has_large_body):
                    await answer(scope, receive, _ResponseSender(exchange, scope, send, self._answers))
                else:
                    # As `_ResponseSender` would make it of the answer's own messages, in one go.
                    body = b"" if method == "HEAD" else answer.body
                    exchange.status, exchange.sent = answer.status, len(body)
                    headers = [*answer.fields, *exchange.common_headers]
                    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                    await send({"type": "http.response.body", "body": body, "more_body": False})
        except (Exception, CancelledError) as error:
            if not await self._refused(error, exchange, scope, send):
                raise
            has_body = exchange.has_body
        finally:
            metrics.in_flight -= 1
            self._telemetry.finish(exchange, method, seconds=perf_counter() - began)
        if has_body:
            await self._bodies.discard(exchange, receive)

    async def _refused(self, error: BaseException, exchange: Exchange, scope: Scope, send: Send) -> bool:
        """Answer a request that has failed; False when the failure is the server's to deal with."""
        self._deadlines.waiting.pop(exchange, None)
        if exchange.is_given_up:
            return True
        if exchange.status:
            # Half an answer is out; all that is left is to break off, which is the server's to do.
            if isinstance(error, Exception):
                _log.error("%s %s broke off (request %s)", scope["method"], scope["path"], exchange.request_id)
            self._bodies.release(exchange)
            return False
        if exchange.is_overdue:
            if (task := current_task()) is not None:
                task.uncancel()
            if isinstance(error, CancelledError):
                error = _deadline_error(error)
        if not isinstance(error, Exception):
            return False
        await self._refuse(error, exchange, scope, send)
        return True

    async def _refuse(
        self, error: Exception, exchange: Exchange, scope: Scope, send: Send, *, is_final: bool = False
    ) -> None:
        error = exchange.failure = error_after_commit(error, exchange, scope["method"])
        exchange.has_body = exchange.has_body or has_body(exchange)
        problem = problem_response_for(error, exchange.request_id, method=_method(scope, exchange), path=scope["path"])
        await problem(scope, None, _ResponseSender(exchange, scope, send, self._answers, is_final=is_final))

    async def _answer_for(self, exchange: Exchange, scope: Scope, send: Send) -> None:
        """Answer a request that was cancelled and does not come to its end: what it has done is not known."""
        error = DeadlineExceeded() if scope["method"] in _READS else OutcomeUnknown("its time was over")
        await self._refuse(error, exchange, scope, send, is_final=True)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "There are no WebSockets here."})
        else:
            self._deadlines.start()
            try:
                await self._app(scope, receive, send)
            finally:
                self._deadlines.stop()

    def _begin(self, exchange: Exchange, scope: Scope, method: str, path: str) -> None:
        """Give the request an id, find out whose address it comes from, and what its answer carries in any case."""
        exchange.request_id = request_id = _request_id(exchange)
        if method == "HEAD":
            exchange.is_head = True
        peer = scope.get("client")
        if peer:
            exchange.peer = peer
            exchange.address = self._addresses.of(peer[0], exchange.fields)
        # Known before anything happens, so they go on every answer, errors included.
        shared = self._carried
        if b"origin" in exchange.fields:
            shared = (*self._security, *self._cors.headers(exchange, path), *self._closing)
        exchange.common_headers = (*shared, (b"x-request-id", request_id.encode("ascii")))

    def _preflight(self, exchange: Exchange, method: str, path: str) -> Response | None:
        """Answer a preflight, and a question about the server as a whole (RFC 9110, section 9.3.7)."""
        if method != "OPTIONS":
            return None
        if path == WHOLE:
            exchange.route = WHOLE
            return no_content((b"allow", ALLOWED_METHODS.encode()))
        answer = self._cors.preflight(exchange)
        if answer is not None:
            exchange.route = PREFLIGHT
        return answer

    async def _wait(self, exchange: Exchange, work: Awaitable[T], scope: Scope, send: Send) -> T:
        """Await `work` within the time that the request has."""
        self._deadlines.waiting[exchange] = current_task(), scope, send
        done = await work
        del self._deadlines.waiting[exchange]
        return done

    def _unrouted(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Let Litestar's router answer, which has no route either, and says whether it is the path or the method."""
        if exchange.is_head:
            # A HEAD is a GET whose content is not sent (RFC 9110, section 9.3.2): the same headers for certain.
            scope["method"] = "GET"
        elif scope["method"] != "GET":
            receive = self._bodies.begin(exchange, receive).receive
        exchange.attach(scope)
        current.set(exchange)
        return self._app(scope, receive, _ResponseSender(exchange, scope, send, self._answers))

    def _guard(self, scope: Scope, exchange: Exchange, path: str) -> bool:
        """Raise for a request that must not go any further; tell whether it has a body."""
        fields = exchange.fields
        headers = scope["headers"]
        if len(headers) > FIELDS_LIMIT or _size(headers) > HEADERS_LIMIT:
            raise HeadersTooLarge
        if len(scope.get("raw_path") or path) + len(exchange.query) > TARGET_LIMIT:
            raise UriTooLong
        if fields.get(b"host") not in self._hosts.passed:
            self._hosts.check(exchange, path, scope["http_version"])
        accept = fields.get(b"accept")
        length = fields.get(b"content-length")
        has_body = (length is not None or b"transfer-encoding" in fields) and guard_body(exchange, length)
        if accept is not None and accept != b"*/*" and path.startswith("/api/"):
            self._guard_acceptance(accept, path)
        return has_body

    def _guard_acceptance(self, accept: bytes, path: str) -> None:
        if path in self._event_streams:
            if not accepts(accept, "text/event-stream"):
                raise NotAcceptable("text/event-stream")
        elif not accepts_json(accept):
            raise NotAcceptable


def _deadline_error(cancelled: CancelledError) -> PosternError:
    if isinstance(cancelled, CancelledInCommit):
        return OutcomeUnknown("its time was over while it was being committed")
    return DeadlineExceeded()


def _method(scope: Scope, exchange: Exchange) -> str:
    return "HEAD" if exchange.is_head else str(scope["method"])  # which was made a GET of


def _size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    # As most requests have few, this takes two thirds of what `sum` does.
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    return size


def _request_id(exchange: Exchange) -> str:
    """Return the caller's request id when it is fit to be logged, else a new one."""
    given = exchange.fields.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return _ids.getrandbits(128).to_bytes(16, "big").hex()


_ids: Final = random.Random()  # noqa: S311 - an id has to be unique, not secret, and is not worth a system call each
"""Not a counter either, which would tell everybody how many requests there are."""


def _is_last(exchange: Exchange, scope: Scope) -> bool:
    """Tell whether the answer says that its connection carries no other: more of the body is to come than is kept."""
    return scope["http_version"] in _CLOSING_VERSIONS and ends_connection(exchange)
