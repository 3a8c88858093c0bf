"""Routes: how a handler is registered, and the table in which every request finds its own.

The table is made of what Litestar was given, which checks templates, names and duplicates, and stands in front of its
router: that finds one of many handlers with converters, hooks and layers, none of which is used here, and takes half of
the time of a cached answer. The router is asked for what the table does not have, and answers with 404 or 405.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from entrypoints.http.edge.compression import NEVER
from entrypoints.http.edge.exchange import Exchange, Response, no_content
from entrypoints.http.edge.operation import Operation
from entrypoints.http.edge.rate_limits import Count, RequestLimits

Handler: TypeAlias = Callable[[Exchange], Response | Awaitable[Response]]
"""Answers a request, or raises what is to be answered with a problem.

An answer that is at hand is returned without a coroutine, each of which costs 0.3 µs, and is sent as it is; one that is
awaited is compressed where that is asked for.
"""

Registration: TypeAlias = HTTPRouteHandler
"""A handler with its path, as Litestar takes it."""

_SLASHES: Final = re.compile("//+")


def endpoint(method: str, path: str, operation: Operation) -> Callable[[Handler], Registration]:
    """Register a handler, with its declaration."""

    def decorate(handler: Handler) -> Registration:
        is_compressed = operation.id not in NEVER
        return _registered(handler, method, path, compress=is_compressed, name=operation.id, operation=operation)

    return decorate


def page(path: str, handler: Handler, *, method: str = "GET", compress: bool = False) -> Registration:
    """Register the handler of a route for people, which has no place in the OpenAPI document."""
    return _registered(handler, method, path, compress=compress)


def options_of(handlers: Sequence[Registration]) -> list[Registration]:
    """Return a handler of OPTIONS for every path.

    Litestar makes its own from the first handler that it sees of a path, and so forgets the methods of the others.
    """
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)

    def of(path: str, allowed: set[str]) -> Registration:
        answer = no_content((b"allow", ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))).encode()))
        return page(path, lambda _: answer, method="OPTIONS")

    return [of(path, allowed) for path, allowed in methods.items()]


def _registered(
    handler: Handler,
    method: str,
    path: str,
    *,
    compress: bool,
    name: str | None = None,
    operation: Operation | None = None,
) -> Registration:
    async def routed(request: Request[Any, Any, Any]) -> Response:
        """Answer by the router's way: Litestar sends an ASGI application as it is."""
        exchange = Exchange.of(request.scope)
        exchange.params = request.path_params
        answer = handler(exchange)
        return answer if isinstance(answer, Response) else await answer

    declared = {} if operation is None else {"operation": operation, "operation_id": operation.id}
    return RouteHandler(
        path,
        http_method=method,  # type: ignore[arg-type]  # Litestar wants a Literal; the tests know every method
        status_code=200,  # an `Answer` has its own; Litestar refuses 204 for what returns anything
        name=name,
        opt={"handler": handler, "compress": compress, **declared},
    )(routed)


class RouteHandler(HTTPRouteHandler):
    """Handles a request by a function that takes it alone, as `request`, and returns an `Answer`.

    Litestar inspects the signature of every handler, twice, and makes a model of it. That is half of what building the
    application takes. Here the first handler's stands for all; the tests know that they are equal.
    """

    @property
    def parsed_fn_signature(self) -> Any:
        if "signature" not in _FOUND:
            _FOUND["signature"] = super().parsed_fn_signature
        return _FOUND["signature"]

    @property
    def signature_model(self) -> Any:
        if "model" not in _FOUND:
            _FOUND["model"] = super().signature_model
        return _FOUND["model"]

    def create_kwargs_model(self, path_parameters: Any) -> Any:
        # What the path holds is not among the parameters of the function.
        if "kwargs" not in _FOUND:
            _FOUND["kwargs"] = super().create_kwargs_model(path_parameters)
        return _FOUND["kwargs"]


_FOUND: Final[dict[str, Any]] = {}
"""What Litestar found out about the first handler."""


class Route:
    """One method of one path."""

    __slots__ = ("compress", "count", "handle", "template")

    def __init__(self, template: str, handle: Handler, *, compress: bool, count: Count | None) -> None:
        self.template = template
        self.handle = handle
        self.compress = compress
        """Whether its answers may be compressed."""
        self.count = count
        """Counts a request against its limits; None where it has none."""


_Methods: TypeAlias = dict[str, Route]


class _Node:
    """A segment of templates with parameters: the segments after it, and what ends here."""

    __slots__ = ("inner", "methods", "names", "parameter")

    def __init__(self) -> None:
        self.inner: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: _Methods = {}
        self.names: tuple[str, ...] = ()


class RouteTable:
    """Finds the route of a path as Litestar's router does; a test compares them.

    A path without parameters is found by its whole text. In a template, a segment that is spelt out goes before a
    parameter, and there is no way back: what follows it has to match, or nothing does. The path is read whole: `postern
    serve` has no prefix of paths, so `root_path` is empty.
    """

    def __init__(self, routes: Iterable[object] = (), limits: RequestLimits | None = None) -> None:
        self._limits = limits
        self.reads: dict[str, Route] = {}
        """What GET finds of paths without parameters: the edge looks here first."""
        self._plain: dict[str, _Methods] = {}
        self._root = _Node()
        self._members: dict[str, tuple[_Methods, str]] = {}
        """A short way to most templates: by the path before their last segment, which is their only parameter."""
        for route in routes:
            if isinstance(route, HTTPRoute):
                self._add(route)

    def _add(self, route: HTTPRoute) -> None:
        methods: _Methods = {
            method: Route(
                route.path_format,
                handler.opt["handler"],
                compress=handler.opt["compress"],
                count=self.count_of(method, route.path_format),
            )
            for handler in route.route_handlers
            for method in handler.http_methods
            if "handler" in handler.opt  # what Litestar makes of itself has none
        }
        if not route.path_parameters:
            self._plain[route.path] = methods
            if "GET" in methods:
                self.reads[route.path] = methods["GET"]
            return
        node = self._root
        for component in route.path_components:
            if isinstance(component, str):
                node = node.inner.setdefault(component, _Node())
            else:
                node.parameter = node = node.parameter or _Node()
        node.methods, node.names = methods, tuple(route.path_parameters)
        collection, _, last = route.path.rpartition("/")
        if len(node.names) == 1 and last[:1] == "{":
            self._members[collection] = methods, node.names[0]

    def count_of(self, method: str, path: str) -> Count | None:
        """Return what counts the requests of a template, or of a path that has no route."""
        return None if self._limits is None else self._limits.of(method, path)

    def find(self, exchange: Exchange, method: str, path: str) -> Route | None:
        """Return the route of a method and a path, and leave on the exchange what the path says."""
        collection, _, last = path.rpartition("/")
        members = self._members.get(collection)
        if members is not None and last and path not in self._plain:
            methods, name = members
            exchange.params = {name: last}
        else:
            found = self._plain.get(path) or self._walk(exchange, path) or self._find_respelt(exchange, path)
            if found is None:
                return None
            methods = found
        route = methods.get(method)
        if route is not None:
            exchange.route = route.template
        return route

    def _find_respelt(self, exchange: Exchange, path: str) -> _Methods | None:
        """Find a path with slashes too many, and leave the plain one on the scope, as the router does."""
        plain = "/" + _SLASHES.sub("/", path.strip("/"))
        if plain == path:
            return None
        methods = self._plain.get(plain) or self._walk(exchange, plain)
        if methods is not None:
            exchange.scope["path"] = plain
        return methods

    def _walk(self, exchange: Exchange, path: str) -> _Methods | None:
        node = self._root
        values: list[str] = []
        for segment in path[1:].split("/"):
            inner = node.inner.get(segment)
            if inner is None:
                if node.parameter is None or not segment:
                    return None
                inner = node.parameter
                values.append(segment)
            node = inner
        if not node.methods:
            return None
        exchange.params = dict(zip(node.names, values, strict=True))
        return node.methods
