"""Direct routes: the few reads that most requests are for, answered before routing.

A router finds one of many handlers, with converters, hooks and layers that these reads have no use for; on a cached
answer that is half of the time. So their handlers take what the edge has learned of the request anyway. There is still
one handler for each: the one that is registered with Litestar calls the same function, which is what the document,
the permission tests and every other spelling of the path (a slash too many) go by.

A direct route changes nothing but the way to its handler. Guards, request id, credentials, limits, log and metrics
belong to the edge, which all requests pass.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from entrypoints.http.exchange import Answer, Exchange

DirectRead = Callable[[Exchange, bytes], Awaitable[Answer]]
"""Takes the exchange and the raw query string. Raises what is to be answered with a problem."""
DirectReadOfOne = tuple[str, Callable[[Exchange, bytes, str], Awaitable[Answer]]]
"""The template of its route, for log and metrics; it takes the last segment of the path besides: the id, as the caller
spelt it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRoutes:
    """Which GETs are answered directly, by their exact path."""

    reads: Mapping[str, DirectRead] = field(default_factory=dict)
    reads_of_one: Mapping[str, DirectReadOfOne] = field(default_factory=dict)
    """By the path of the collection, without a slash at the end."""

    def find(self, path: str, exchange: Exchange, query_string: bytes) -> Awaitable[Answer] | None:
        """Begin to answer a GET of `path`; None when it is the router's to answer."""
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
