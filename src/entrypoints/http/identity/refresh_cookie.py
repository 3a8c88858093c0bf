"""Refresh tokens in a cookie, for pages in a browser, and what keeps other pages from using it.

The argument against forgery (CSRF), which needs no state on the server: a request that wants the cookie must carry the
field `X-CSRF-Protection`. A page of another origin cannot send it without asking first (a preflight of the Fetch
Standard), and only origins in `CORS_ORIGINS` are answered yes; a form or an image cannot send it at all. Beside that,
browsers say themselves where a request comes from (`Sec-Fetch-Site`, `Origin`), and what comes from elsewhere is
refused; and `SameSite=Strict` keeps the cookie at home to begin with. Each of the three would do.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from application.identity.views import TokenPairView
from domain.identity.policies import SESSION_LIFETIME
from domain.shared.errors import FieldError, Invalid, Unauthenticated
from entrypoints.http.edge.exchange import Exchange
from entrypoints.http.edge.operation import Parameter
from entrypoints.http.edge.paging import Query
from entrypoints.http.problems.errors import CsrfRefused

COOKIE: Final = "__Secure-postern_refresh"
"""Browsers take a cookie of this prefix only with `Secure` (RFC 6265bis, section 4.1.3.1)."""
PROTECTION_FIELD: Final = b"x-csrf-protection"

_KNOWN: Final = frozenset({"transport"})
_LIFETIME: Final = int(SESSION_LIFETIME.total_seconds())

TRANSPORT: Final = Parameter(
    "transport",
    "query",
    "Where the refresh token travels: `body`, or `cookie` for pages in a browser. With `cookie` the request needs the "
    "header `X-CSRF-Protection: 1`, and the answer's body has no refresh token.",
    {"type": "string", "enum": ["body", "cookie"], "default": "body"},
)


class Transport(Enum):
    BODY = "body"
    COOKIE = "cookie"


class RefreshCookie:
    """Reads and writes the cookie, and refuses requests that another page may have made a browser send."""

    def __init__(self, *, path: str, origins: Iterable[str]) -> None:
        self._origins = {origin for origin in origins if origin != "*"}
        # `Secure` also over plain HTTP to localhost, which browsers count as trustworthy (Secure Contexts, 3.1).
        self._attributes = f"; Path={path}; Secure; HttpOnly; SameSite=Strict"

    def transport(self, exchange: Exchange, query_string: bytes) -> Transport:
        """Read `transport`, the only parameter. Raises `Invalid`, and `CsrfRefused` when the cookie is off limits."""
        if not query_string:
            return Transport.BODY
        query = Query(query_string, _KNOWN)
        given = query.text("transport", max_length=16)
        query.check()
        if given not in {None, "body", "cookie"}:
            raise Invalid([FieldError("?transport", "enum", "is `body` or `cookie`")])
        if given != "cookie":
            return Transport.BODY
        self._require_same_origin(exchange)
        return Transport.COOKIE

    def _require_same_origin(self, exchange: Exchange) -> None:
        if exchange.fields.get(PROTECTION_FIELD) != b"1":
            raise CsrfRefused("With `transport=cookie` the header `X-CSRF-Protection: 1` is needed.")
        origin = exchange.field(b"origin")
        is_listed = origin is not None and origin in self._origins
        if origin is not None and not is_listed and not is_own(origin, exchange.field(b"host")):
            raise CsrfRefused("Pages of this origin may not do that; operators list origins in CORS_ORIGINS.")
        site = exchange.field(b"sec-fetch-site")
        if site not in {None, "same-origin"} and not (is_listed and site == "same-site"):
            raise CsrfRefused("The browser says that the request comes from another site.")

    def refresh_token(self, exchange: Exchange) -> str:
        """Return the refresh token of the cookie. Raises `Unauthenticated` without one."""
        found = [
            value.strip()
            for pair in (exchange.field(b"cookie") or "").replace(", ", "; ").split(";")
            for name, separator, value in (pair.partition("="),)
            if separator and name.strip() == COOKIE
        ]
        if len(found) != 1:
            raise Unauthenticated("There is no refresh token among the cookies.")
        return found[0]

    def keep(self, pair: TokenPairView) -> tuple[bytes, bytes]:
        """Return the header that stores the refresh token. It lasts as long as a session at the most."""
        return b"set-cookie", f"{COOKIE}={pair.refresh_token}; Max-Age={_LIFETIME}{self._attributes}".encode()

    def clear(self) -> tuple[bytes, bytes]:
        return b"set-cookie", f"{COOKIE}=; Max-Age=0{self._attributes}".encode()


def is_own(origin: str, host: str | None) -> bool:
    """Tell whether an origin is this server. Only the host is compared: a proxy in front may have ended TLS."""
    return host is not None and origin.partition("://")[2].lower() == host.lower()
