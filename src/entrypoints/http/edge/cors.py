"""Cross-origin resource sharing: which pages of other origins a browser lets read our answers."""

from collections.abc import Iterable
from typing import Final

from entrypoints.http.edge.exchange import Exchange, Headers, Response

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
        self.always: Headers = ((b"vary", b"Origin"),) if allowed and not self._any else ()

    def _grant(self, exchange: Exchange) -> bytes | None:
        origin = exchange.fields.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return None
        return b"*" if self._any else origin

    def _credentials(self, path: str) -> Headers:
        if self._any or not path.startswith(self._cookie_path):
            return ()
        return ((b"access-control-allow-credentials", b"true"),)

    def headers(self, exchange: Exchange, path: str) -> Headers:
        granted = self._grant(exchange)
        if granted is None:
            return self.always
        return (
            *self.always,
            (b"access-control-allow-origin", granted),
            (b"access-control-expose-headers", EXPOSED_HEADERS.encode()),
            *self._credentials(path),
        )

    def preflight(self, exchange: Exchange) -> Response | None:
        """Answer a preflight of an allowed origin; None for any other OPTIONS, which goes the usual way."""
        if b"access-control-request-method" not in exchange.fields or self._grant(exchange) is None:
            return None
        return Response(
            204,
            b"",
            (
                (b"access-control-allow-methods", ALLOWED_METHODS.encode()),
                (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
                (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
                (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
            ),
        )
