"""Direct routes: the few reads and writes that most requests are for, answered before routing.

A router finds one of many handlers, with converters, hooks and layers that these have no use for; on a cached answer
that is half of the time, and on a write more than the database takes. So their handlers take what the edge has learned
of the request anyway. There is still one handler for each: the one that is registered with Litestar calls the same
function, which is what the document, the permission tests and every other spelling of the path (a slash too many) go
by.

A direct route changes nothing but the way to its handler. Guards, request id, credentials, limits, log and metrics
belong to the edge, which all requests pass; the media type and the faults of a body to `body`, by either way.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from entrypoints.http.edge.exchange import Answer, AnyReceive, AnyScope, Exchange, Receive, Scope

DirectRead = Callable[[Exchange, bytes], Answer | Awaitable[Answer]]
"""Takes the exchange and the raw query string. Raises what is to be answered with a problem.

What is at hand is answered at once, without a coroutine: each costs 0.3 µs, and a cached answer has some ten to spare.
"""
DirectReadOfOne = tuple[str, Callable[[Exchange, bytes, str], Awaitable[Answer]]]
"""The template of its route, for log and metrics; it takes the last segment of the path besides: the id, as the caller
spelt it."""
DirectWrite = Callable[[AnyScope, AnyReceive], Awaitable[Answer]]
"""Takes the scope, which the exchange is attached to, and what the body comes from. Raises as a read does."""
DirectWriteOfOne = tuple[str, Callable[[AnyScope, AnyReceive, str], Awaitable[Answer]]]
"""The template of its route; it takes the id besides, as the caller spelt it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRoutes:
    """What is answered directly, by its exact path."""

    reads: Mapping[str, DirectRead] = field(default_factory=dict)
    reads_of_one: Mapping[str, DirectReadOfOne] = field(default_factory=dict)
    """By the path of the collection, without a slash at the end."""
    writes: Mapping[tuple[str, str], DirectWrite] = field(default_factory=dict)
    """By method and path."""
    writes_of_one: Mapping[tuple[str, str, str], DirectWriteOfOne] = field(default_factory=dict)
    """By method, the path of the collection, and the segment after the id: what of the one is written."""

    def find(self, path: str, exchange: Exchange, query_string: bytes) -> Answer | Awaitable[Answer] | None:
        """Answer a GET of `path`, or begin to; None when it is the router's to answer."""
        read = self.reads.get(path)
        if read is not None:
            exchange.route = path
            return read(exchange, query_string)
        collection, _, last = path.rpartition("/")
        read_of_one = self.reads_of_one.get(collection)
        if read_of_one is None or not last:
            return None
        exchange.route, answer = read_of_one
        return answer(exchange, query_string, last)

    def find_write(
        self, method: str, path: str, exchange: Exchange, scope: Scope, receive: Receive
    ) -> Awaitable[Answer] | None:
        """Begin to answer a request that is no GET; None when it is the router's to answer."""
        write = self.writes.get((method, path))
        if write is not None:
            exchange.route = path
            return write(scope, receive)
        one, _, part = path.rpartition("/")
        collection, _, id = one.rpartition("/")
        write_of_one = self.writes_of_one.get((method, collection, part))
        if write_of_one is None or not id:
            return None
        exchange.route, answer = write_of_one
        return answer(scope, receive, id)


async def at_last(answer: Answer | Awaitable[Answer]) -> Answer:
    """Return what a direct read answers, at once or later."""
    return answer if isinstance(answer, Answer) else await answer
