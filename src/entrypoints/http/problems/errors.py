"""What goes wrong in HTTP itself; the other errors are the domain's and the application's."""

from collections.abc import Iterable

from application.shared.errors import Unavailable
from domain.shared.errors import (
    Forbidden,
    Invalid,
    NotFound,
    PosternError,
    Stale,
)


class BadRequest(PosternError):
    slug = "bad-request"
    title = "The request is not well-formed HTTP"


class UnknownHost(BadRequest):
    slug = "unknown-host"
    title = "The service does not answer under this host name"


class MalformedBody(Invalid):
    """The body is not JSON at all, so there are no fields to speak of."""

    slug = "malformed-body"
    title = "The body is not valid JSON"


class NoSuchRoute(NotFound):
    slug = "no-such-route"
    title = "Nothing is served at this path"


class NoSuchProblem(NotFound):
    slug = "no-such-problem"
    title = "No problem of this name"


class NotConfigured(NotFound):
    slug = "not-configured"
    title = "This component is not part of the installation"


class MethodNotAllowed(PosternError):
    slug = "method-not-allowed"
    title = "The path does not take this method"

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self.allow = ", ".join(sorted(set(allow)))
        super().__init__(f"It takes {self.allow}." if self.allow else None)


class NotAcceptable(PosternError):
    slug = "not-acceptable"
    title = "The answer is not available in a type that is accepted"

    def __init__(self, available: str = "application/json") -> None:
        super().__init__(f"It is only available as {available}.")


class BodyTooLarge(PosternError):
    slug = "body-too-large"
    title = "The request body is too large"


class BodyTooSlow(PosternError):
    slug = "body-too-slow"
    title = "The request body did not arrive in time"


class UnsupportedTransferCoding(PosternError):
    slug = "unsupported-transfer-coding"
    title = "The only transfer coding that is understood is chunked"


class TooManyTransfers(PosternError):
    """From one address: bodies that are not whole, or answers that are not taken."""

    slug = "too-many-transfers"
    title = "Too many unfinished transfers from this address"

    retry_after_seconds: int = 5


class UriTooLong(PosternError):
    slug = "uri-too-long"
    title = "The request target is too long"


class UnsupportedMediaType(PosternError):
    slug = "unsupported-media-type"
    title = "The body must be JSON in UTF-8, and say so"


class UnsupportedContentCoding(UnsupportedMediaType):
    """The type may be right; it is the coding that is not taken (RFC 9110, section 15.5.16)."""

    slug = "unsupported-content-coding"
    title = "A body is only taken without a content coding"


class WeakTag(Stale):
    """The version is the current one. Only its tag is weak, which `If-Match` never takes (RFC 9110, 13.1.1)."""

    slug = "weak-tag"
    title = "If-Match does not take a weak tag"

    def __init__(self) -> None:
        super().__init__(
            "The tag is of the current version, but weak: something in between, such as a proxy that compresses, has "
            "put W/ before it."
        )


class HeadersTooLarge(PosternError):
    slug = "headers-too-large"
    title = "The request header fields are too large"


class InternalError(PosternError):
    slug = "internal-error"
    title = "Something went wrong on our side"


class CsrfRefused(Forbidden):
    slug = "csrf-refused"
    title = "The request does not come from a page that may send it"


class NotReady(Unavailable):
    slug = "not-ready"
    title = "The service is not ready for requests"
