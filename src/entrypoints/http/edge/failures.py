"""How a problem looks on the wire, and which one a failure becomes."""

import logging
import time
from typing import Annotated, Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.response import Response as LitestarResponse

from application.events.live import TooManyStreams
from application.shared.errors import DeadlineExceeded, OutcomeUnknown, StorageUnavailable, Unavailable
from application.shared.idempotency import CallerGone, IdempotencyInFlight, TooManyIdempotencyKeys
from application.shared.rate_limit import RateLimited
from domain.identity.errors import InvalidToken, TokenReused
from domain.orders.errors import CustomerGone
from domain.posts.errors import AuthorGone
from domain.shared.actor import InsufficientScope
from domain.shared.errors import (
    ERRORS_MAX,
    Conflict,
    FieldError,
    Invalid,
    PosternError,
    Unauthenticated,
)
from entrypoints.http.edge.exchange import NO_STORE, Exchange, Response
from entrypoints.http.edge.rate_limits import ratelimit_fields
from entrypoints.http.problems.catalogue import STATUS_BY_FAMILY, status_of
from entrypoints.http.problems.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NoSuchRoute,
    NotReady,
    TooManyTransfers,
    UnsupportedContentCoding,
    UnsupportedMediaType,
)

_log = logging.getLogger("postern.http")

PROBLEM_TYPE: Final = (b"content-type", b"application/problem+json")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: `pointer` (RFC 6901) names a field of the body, `parameter` one of query, path or header."""

    pointer: Annotated[str, msgspec.Meta(examples=["/email"])] | msgspec.UnsetType = msgspec.UNSET
    parameter: Annotated[str, msgspec.Meta(examples=["limit"])] | msgspec.UnsetType = msgspec.UNSET
    code: Annotated[str, msgspec.Meta(description="A stable word for programs.", examples=["taken"])]
    message: Annotated[str, msgspec.Meta(description="For people.", examples=["is already registered"])]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details (RFC 9457)."""

    type: Annotated[str, msgspec.Meta(description="Resolves to a description of the problem and its remedy.")]
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    detail: Annotated[str, msgspec.Meta(description="What happened this time.")]
    request_id: Annotated[str, msgspec.Meta(description="Also in `X-Request-Id` and in the service's logs.")]
    errors: (
        Annotated[
            list[Fault],
            msgspec.Meta(
                min_length=1,
                max_length=ERRORS_MAX,
                description=f"At most {ERRORS_MAX}; where there may be others, which are left out, `detail` says so.",
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


def fault_of(error: FieldError) -> Fault:
    """Return a field error as the wire has it; a field that begins with `?` is a parameter."""
    if error.field.startswith("?"):
        return Fault(parameter=error.field[1:], code=error.code, message=error.message)
    # An empty path is the whole body, which RFC 6901 points to with the empty string.
    pointer = f"/{error.field}" if error.field else ""
    return Fault(pointer=pointer, code=error.code, message=error.message)


_encoder = msgspec.json.Encoder()


def challenge(error: Unauthenticated) -> bytes:
    """Return the `WWW-Authenticate` of a 401: it names an error only where a token was sent (RFC 6750, section 3)."""
    names_error = isinstance(error, InvalidToken | TokenReused | AuthorGone | CustomerGone | CallerGone)
    return b'Bearer error="invalid_token"' if names_error else b"Bearer"


def _headers(error: PosternError) -> tuple[tuple[bytes, bytes], ...]:
    match error:
        case Unauthenticated():
            return ((b"www-authenticate", challenge(error)),)
        case InsufficientScope():
            return ((b"www-authenticate", b'Bearer error="insufficient_scope"'),)  # RFC 6750, section 3.1
        case MethodNotAllowed():
            return ((b"allow", error.allow.encode()),)
        case UnsupportedMediaType():
            is_coded = isinstance(error, UnsupportedContentCoding)  # RFC 9110, section 12.5.3
            return ((b"accept-encoding", b"identity") if is_coded else (b"accept", b"application/json"),)
        case (
            Unavailable()
            | TooManyStreams()
            | TooManyTransfers()
            | IdempotencyInFlight()
            | TooManyIdempotencyKeys()
            | RateLimited()
        ):
            left = ratelimit_fields(error.states) if isinstance(error, RateLimited) else ()
            return ((b"retry-after", b"%d" % error.retry_after_seconds), *left)
        case _:
            return ()


def _public_detail(error: PosternError) -> str:
    """Return what the caller is told. What a component said when it failed is for the log: it may name hosts."""
    if isinstance(error, OutcomeUnknown):
        return _IN_DOUBT
    return error.title if isinstance(error, Unavailable) and not isinstance(error, NotReady) else error.detail


_IN_DOUBT: Final = (
    "Something failed, or the time was over, while this was being committed or just after: it may have been carried "
    "out. Look before sending it again, unless it carries an Idempotency-Key, with which it may be sent again as it is."
)


def problem_response(error: PosternError, request_id: str) -> Response:
    """Return the answer that tells of `error`. Nothing of it may be stored: the next try may well succeed."""
    status = status_of(type(error))
    errors = error.errors if isinstance(error, Invalid | Conflict) else ()
    problem = Problem(
        type=f"/problems/{error.slug}",
        title=error.title,
        status=status,
        detail=_public_detail(error),
        request_id=request_id,
        errors=[fault_of(fault) for fault in errors] if errors else msgspec.UNSET,
    )
    return Response(status, _encoder.encode(problem), (PROBLEM_TYPE, NO_STORE, *_headers(error)))


def translate(error: Exception) -> PosternError:
    """Return `error` under its public name; what has none is an internal error, of which nothing is told."""
    if isinstance(error, PosternError):
        # The root and the bare families without a status are never raised on purpose.
        return error if any(family in STATUS_BY_FAMILY for family in type(error).__mro__) else InternalError()
    if isinstance(error, HTTPException):
        return _translate_litestar(error)
    return InternalError()


def _translate_litestar(error: HTTPException) -> PosternError:
    if error.status_code == 404:
        return NoSuchRoute()
    if error.status_code == 405:
        allow = {method.strip() for method in (error.headers or {}).get("allow", "").split(",") if method.strip()}
        return MethodNotAllowed(allow | ({"HEAD"} if "GET" in allow else set()))
    # What else Litestar refuses (a host it cannot read, a client that went away in mid-body) is a broken request.
    return BadRequest() if 400 <= error.status_code < 500 else InternalError()


def error_after_commit(error: Exception, exchange: Exchange, method: str) -> Exception:
    """Return what is told of a failure: after a commit, no longer that nothing was changed and all may be tried again.

    What reads commits nothing that would matter to its caller.
    """
    if exchange.has_committed and isinstance(error, Unavailable) and method not in _READS:
        return OutcomeUnknown(f"after a commit: {error.slug}")
    return error


_READS: Final = frozenset({"GET", "HEAD"})


def problem_response_for(error: Exception, request_id: str, *, method: str, path: str) -> Response:
    """Translate a failure into its answer, and log it here, once, if it is ours to look at."""
    public = translate(error)
    context = {"request_id": request_id, "slug": public.slug, "method": method, "path": path}
    if isinstance(public, InternalError):
        _log.error("%s %s failed (request %s)", method, path, request_id, exc_info=error, extra=context)
    elif isinstance(public, StorageUnavailable | DeadlineExceeded):
        _rarely.warn(public, method, path, request_id, context)
    elif isinstance(public, Unavailable):
        _log.warning("%s %s: %s (request %s): %s", method, path, public.slug, request_id, public.detail, extra=context)
    return problem_response(public, request_id)


class _ThrottledLog:
    """Logs that storage fails once a minute, and how often it was not logged: every request says so while it lasts."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(self, error: Unavailable, method: str, path: str, request_id: str, context: dict[str, str]) -> None:
        slug, now = error.slug, time.monotonic()
        if now < self._next.get(slug, 0.0):
            self._left_out[slug] = self._left_out.get(slug, 0) + 1
            return
        self._next[slug] = now + _LOG_SECONDS
        more = self._left_out.pop(slug, 0)
        since = f"; {more} more since the last time" if more else ""
        _log.warning("%s %s: %s (request %s): %s%s", method, path, slug, request_id, error.detail, since, extra=context)

    def forget(self) -> None:
        """Log the next one, whenever the last was: for tests."""
        self._next.clear()
        self._left_out.clear()


_LOG_SECONDS: Final = 60.0
_rarely: Final = _ThrottledLog()


def handle(request: Request[Any, Any, Any], error: Exception) -> LitestarResponse[bytes]:
    """Answer what Litestar's router raises, for a path or a method that there is not."""
    exchange = Exchange.of(request.scope)
    error = exchange.failure = error_after_commit(error, exchange, request.scope["method"])
    answer = problem_response_for(
        error, exchange.request_id, method=request.scope["method"], path=request.scope["path"]
    )
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return LitestarResponse(
        answer.body, status_code=answer.status, headers=headers, media_type="application/problem+json"
    )
