"""`GET /api/v1/events`."""

from collections.abc import Awaitable, Callable
from typing import Final

from adapters.live.hub import LiveHub
from adapters.system.connections import abort_connection
from application.events.catalogue import TYPES
from application.events.live import Reader, TooManyStreams
from application.identity.ports import Revocations
from application.shared.errors import Overloaded, StorageUnavailable
from domain.shared.actor import Actor
from domain.shared.errors import FieldError, Invalid
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.exchange import Exchange, Response
from entrypoints.http.edge.operation import Auth, Operation, Parameter
from entrypoints.http.edge.paging import Query
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.live.event_stream import HEADERS, EventStreamResponse, position_of

TYPES_MAX_LENGTH: Final = 2_000
_KNOWN_PARAMETERS: Final = frozenset({"types"})
_TYPES: Final = frozenset(TYPES)

_EXAMPLE: Final = """retry: 2000
id: 41

id: 42
event: post.published
data: {"specversion":"1.0","id":"019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c","source":"https://postern.example.com",\
"type":"post.published","subject":"019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b","time":"2026-11-21T09:30:00.000000Z","sequence":"00000000000000000042",\
"datacontenttype":"application/json","dataschema":"https://postern.example.com/events/post.published/1",\
"data":{"post_id":"019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b","author_id":"019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2d",\
"version":1,"reply_to":null}}

"""

LISTEN: Final = Operation(
    id="listenToEvents",
    summary="Listen to what happens",
    tag="events",
    description="""Server-Sent Events (`text/event-stream`, HTML Living Standard): everybody gets what happens to
posts and their scores, without who voted; a signed-in caller gets what concerns them as well. `data` is a CloudEvents
1.0 envelope.

The stream has no end. A reader who comes back sends the last `id` as `Last-Event-ID`, as `EventSource` does by itself,
and gets what was missed, each event once and in order; without it, the stream begins now. The event `reset` says that
events were missed which cannot be had any more: read again what you show. Silence is broken every 15 seconds.

The server ends a stream whose token no longer holds, whose reader is too slow, and when it stops. An API key is not
accepted, and neither is a token in the query.""",
    auth=Auth.OPTIONAL,
    parameters=(
        Parameter(
            "types",
            "query",
            "Only these types of events, separated by commas.",
            {"type": "string", "maxLength": TYPES_MAX_LENGTH},
            "post.published,vote.cast",
        ),
        Parameter(
            "Last-Event-ID",
            "header",
            "The `id` of the last event seen.",
            {"type": "string", "pattern": "^[0-9]{1,18}$", "maxLength": 18},
            "42",
        ),
    ),
    text_example=_EXAMPLE,
    answer_description="The stream.",
    media_type="text/event-stream",
    headers=("Cache-Control", "Vary"),
    raises=(TooManyStreams, Overloaded),
)


class LiveRoutes:
    """The handler and the table of it."""

    def __init__(
        self, hub: LiveHub, auth: Authenticator, revocations: Revocations, peers: set[tuple[str, int]], *, base: str
    ) -> None:
        self._peers = peers
        self._hub = hub
        self._auth = auth
        self._revocations = revocations
        self._base = base

    def handlers(self) -> list[Registration]:
        return [endpoint("GET", f"{self._base}/events", LISTEN)(self.listen)]

    async def listen(self, exchange: Exchange) -> Response:
        actor = self._auth.caller(exchange, LISTEN.scope)
        query = Query(exchange.query, _KNOWN_PARAMETERS)
        types = query.parsed("types", _types)
        query.check()
        after = position_of(exchange.fields.get(b"last-event-id"))
        if exchange.is_head:
            return Response(200, b"", HEADERS)
        peer, server = exchange.peer, exchange.scope["server"]
        stream = await self._hub.open(
            Reader(None if actor is None else actor.user_id, types),
            exchange.address if actor is None else actor.user_id,
            after=after,
            is_over=lambda: actor is not None and self._is_token_void(exchange),
            abort=lambda: abort_connection(peer, server),
        )
        exchange.is_stream = True
        return EventStreamResponse(stream, self._admission(exchange, actor), peer=peer, peers=self._peers)

    def _is_token_void(self, exchange: Exchange) -> bool:
        """Tell whether the caller's token is known to hold no more. In doubt it may: nothing is sent until it does."""
        try:
            return not self._auth.still_holds(exchange)
        except StorageUnavailable:
            return False

    def _admission(self, exchange: Exchange, actor: Actor | None) -> Callable[[], Awaitable[bool]]:
        """Return what tells, before something is sent, that the caller's token holds: for certain, and now."""

        async def admits() -> bool:
            if actor is None:
                return True
            if not self._revocations.are_current():
                await self._revocations.refresh()
            try:
                return self._auth.still_holds(exchange)
            except StorageUnavailable:
                return False

        return admits


def _types(text: str) -> frozenset[str]:
    """Read a list of types. Raises `Invalid` for one that there is not."""
    if len(text) > TYPES_MAX_LENGTH:
        raise Invalid([FieldError("?types", "length", f"takes at most {TYPES_MAX_LENGTH} characters")])
    found = frozenset(name.strip() for name in text.split(","))
    if not found <= _TYPES:
        raise Invalid([FieldError("?types", "choice", f"is a list of {', '.join(TYPES)}, separated by commas")])
    return found
