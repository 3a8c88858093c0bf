"""One HTTP exchange: what the edge learned of a request in its single pass, and the answer that goes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Final

from domain.shared.actor import Actor
from domain.shared.errors import PosternError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application. Litestar, the server and we each type scopes in our own way; at the seam they are just that."""

_KEY: Final = "postern.exchange"
_WITHOUT_CONTENT: Final = frozenset({204, 304})
_NO_PARAMS: Final[Mapping[str, str]] = {}

DATA_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""For answers that are data: a browser that is talked into rendering one as a page runs and loads nothing."""


class Exchange:
    """The header fields of one request, read once, the id that goes with it everywhere, and how far its answer is."""

    # Defaults of the class, so that a request only stores what it has: twelve assignments are a microsecond.
    request_id: str = ""
    caller: Actor | PosternError | None = None
    """The account that the credentials of the request belong to, or why they are refused; None without credentials.

    It is decided once, when the request comes in.
    """
    failure: Exception | None = None
    """What was answered with a problem."""
    user_id: str = ""
    """Whose credentials the request carries, for limits and the log; empty for nobody's, or none that hold."""
    address: str = ""
    """The client's, behind the proxies that are trusted."""
    peer: tuple[str, int] | None = None
    """Who is at the other end of the connection: the client, or the proxy in front."""
    route: str = ""
    """The template of the route; empty where there is none."""
    params: Mapping[str, str] = _NO_PARAMS
    """The values of the template's parameters, as the caller spelt them."""
    is_head: bool = False
    """The content of the answer is not wanted. Only who has no end of it need ask: the edge leaves it out."""
    compress: bool = False
    """The answer is to be compressed, if it is long enough; see `compression`."""
    is_stream: bool = False
    """The answer lasts as long as its reader listens, so that its duration is no latency."""
    is_unbounded: bool = False
    """The answer is made as it is sent, and nobody knows how long it gets."""
    release: Callable[[], None] | None = None
    """Counts such an answer no more; None when it is not counted."""
    has_body: bool = False
    """The request says that it has one."""
    has_large_body: bool = False
    """It is so large, or may be, that a connection is not kept when it is not wanted."""
    length: int | None = None
    """Of the body, in bytes, as the request tells it; None where it does not."""
    body: Any = None
    """What receives it (`request_bodies.RequestBody`); None for a request that only reads."""
    repeated: AbstractSet[bytes] = frozenset()
    common_headers: Headers = ()
    """Header fields that the answer carries, whatever it will be."""
    due: float = 0.0
    """When it must be answered, by `time.perf_counter`; 0 until it has waited for a moment."""
    is_overdue: bool = False
    """Its time was over, and it was cancelled."""
    has_committed: bool = False
    """Something was committed for it."""
    is_given_up: bool = False
    """It did not end even so, and is answered for: what it sends itself goes nowhere."""
    status: int = 0
    """Of the answer, as it was sent; 0 before."""
    sent: int = 0
    """Bytes of its content so far."""

    def __init__(self, scope: Scope) -> None:
        """Read the fields of `scope`; a repeated one is joined by commas (RFC 9110, section 5.3) and remembered."""
        self.scope = scope
        self.query: bytes = scope["query_string"]
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.fields: dict[bytes, bytes] = dict(headers)
        if len(self.fields) != len(headers):
            self._join(headers)

    def _join(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        fields: dict[bytes, bytes] = {}
        repeated: set[bytes] = set()
        for name, value in headers:
            if name in fields:
                fields[name] += b", " + value
                repeated.add(name)
            else:
                fields[name] = value
        self.fields, self.repeated = fields, repeated

    def field(self, name: bytes) -> str | None:
        """Return a field's value; None without it. Bytes become characters one by one, as HTTP has it."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")

    def attach(self, scope: Scope) -> None:
        scope[_KEY] = self

    @staticmethod
    def of(scope: Any) -> "Exchange":
        """Return the exchange that the edge attached."""
        exchange: Exchange = scope[_KEY]
        return exchange


class Response:
    """A response ready for the wire, any number of times: it never changes.

    It is an ASGI application too: that is how a large one is sent, and how Litestar's router would send it.
    """

    __slots__ = ("body", "fields", "headers", "status")

    is_streamed: ClassVar[bool] = False
    """It is made while it is sent, by `__call__` alone; `body` is empty."""
    policy: ClassVar[Headers] = (DATA_POLICY,)

    def __init__(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        # 204 and 304 have no content, and no length of one either (RFC 9110, section 8.6).
        length = () if status in _WITHOUT_CONTENT else ((b"content-length", b"%d" % len(body)),)
        self.fields = (*headers, *length, *self.policy)
        """The headers, the length of the content, and what a browser may do with it."""

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.fields)})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class PageResponse(Response):
    """A page for people. Its headers hold a content security policy of its own."""

    __slots__ = ()

    policy = ()


class StreamedResponse(Response):
    """A response that is sent as it is made, piece by piece; its length is not known before.

    The first piece is made before anything is sent, so that a failure up to there still gets its proper answer. After
    that all that can be done is to break the response off, which a client tells from its end.
    """

    __slots__ = ("_exchange", "_first", "_rest")

    is_streamed = True

    def __init__(
        self, exchange: Exchange, status: int, first: bytes, rest: AsyncIterator[bytes], headers: Headers
    ) -> None:
        super().__init__(status, b"", headers)
        self._exchange = exchange
        self._first = first
        self._rest = rest

    @classmethod
    async def begin(
        cls, exchange: Exchange, status: int, pieces: AsyncIterator[bytes], headers: Headers
    ) -> "StreamedResponse":
        return cls(exchange, status, await anext(pieces, b""), pieces, headers)

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        exchange = self._exchange
        exchange.is_unbounded = not exchange.is_head
        # Granian takes what is sent to a reader who has gone, and says nothing.
        gone = asyncio.create_task(_end_of(receive), name="waiting for a reader of what is streamed to go")
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
            await send({"type": "http.response.body", "body": self._first, "more_body": not exchange.is_head})
            if exchange.is_head or exchange.status != self.status:  # Nothing is wanted of the rest, or it was refused.
                return
            async for piece in self._rest:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            if exchange.release is not None:
                exchange.release()


async def _end_of(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


JSON_TYPE: Final = (b"content-type", b"application/json")
HTML_TYPE: Final = (b"content-type", b"text/html; charset=utf-8")
NO_STORE: Final = (b"cache-control", b"no-store")


def no_content(*headers: tuple[bytes, bytes]) -> Response:
    return Response(204, b"", headers)
