"""What a route declares beside itself: what it takes and what it can answer. The OpenAPI document is made of it."""

import inspect
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from application.shared.errors import Overloaded, StorageUnavailable
from application.shared.idempotency import (
    CallerGone,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    IdempotentResponseLost,
    TooManyIdempotencyKeys,
)
from application.shared.paging import DEFAULT_LIMIT, MAX_LIMIT, InvalidCursor
from application.shared.rate_limit import RateLimited
from domain.identity.errors import InvalidToken
from domain.shared.actor import InsufficientScope, Permission, Scope
from domain.shared.errors import Forbidden, Invalid, PosternError, Unauthenticated
from entrypoints.http.edge.idempotency import KEY_SCHEMA
from entrypoints.http.edge.paging import CURSOR_MAX_LENGTH
from entrypoints.http.problems.errors import (
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    HeadersTooLarge,
    InternalError,
    MalformedBody,
    NotAcceptable,
    TooManyTransfers,
    UnknownHost,
    UnsupportedContentCoding,
    UnsupportedMediaType,
    UnsupportedTransferCoding,
    UriTooLong,
    WeakTag,
)

Json = dict[str, Any]


class Auth(Enum):
    """Whether a route wants to know who is calling."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    where: str
    description: str
    schema: Json
    example: object = None
    """For a parameter that may be left out it stands in the description alone: Swagger UI sends every other one."""


ID_SCHEMA: Final[Json] = {"type": "string", "format": "uuid", "maxLength": 36}
_EXAMPLE_ID: Final = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"

PAGE: Final = (
    Parameter(
        "limit",
        "query",
        "Items in a page at the most. A page closes early when its texts would exceed 4 MiB.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    Parameter(
        "cursor",
        "query",
        "Where to go on: `next_cursor` of the page before, unchanged, with the same other parameters.",
        {"type": "string", "maxLength": CURSOR_MAX_LENGTH},
    ),
)


def path_parameter(name: str, description: str) -> Parameter:
    return Parameter(name, "path", description, ID_SCHEMA, _EXAMPLE_ID)


def id_parameter(name: str, description: str) -> Parameter:
    return Parameter(name, "query", description, ID_SCHEMA, _EXAMPLE_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a route takes and what it can answer."""

    id: str
    """The `operationId`: generated clients name their methods after it, so it never changes."""
    summary: str
    tag: str
    describes: type | None = None
    """The use case whose docstring is the description."""
    description: str | None = None
    auth: Auth = Auth.NONE
    scope: Scope | None = None
    """What an API key has to be good for; None where only a session will do. Told to the `Authenticator` too."""
    permission: Permission | None = None
    """What the caller's role has to allow, before anything else of the request is looked at."""
    body: type[msgspec.Struct] | None = None
    body_example: Json | None = None
    parameters: tuple[Parameter, ...] = ()
    status: int = 200
    answer: type[msgspec.Struct] | None = None
    body_is_optional: bool = False
    has_content: bool = True
    """Whether the success has a body; one of 204 never has."""
    answer_example: Json | None = None
    text_example: str | None = None
    """Of an answer that is not JSON."""
    answer_description: str = "Done."
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    """Headers of the successful answer, by the names of `_HEADERS`."""
    cacheable: bool = False
    """It answers a read with an `ETag`, and 304 to a caller who holds it."""
    takes_if_match: bool = False
    """It is a write that heeds `If-Match`."""
    idempotent: bool = False
    """It creates, and heeds `Idempotency-Key`; see `application.shared.idempotency`."""
    stores: bool = True
    """It needs storage, so it can find it unavailable."""
    is_api: bool = True
    """It answers 406 to those who rule JSON out, and is limited: all below `/api` do, and are."""
    raises: tuple[type[PosternError], ...] = ()

    def errors(self) -> list[type[PosternError]]:
        """Return every error that the route can answer with, each once."""
        found: list[type[PosternError]] = [BadRequest, UnknownHost, UriTooLong, HeadersTooLarge, InternalError, Invalid]
        found += [BodyTooLarge, UnsupportedTransferCoding, TooManyTransfers, Overloaded]
        found += [NotAcceptable, RateLimited] if self.is_api else []
        found += [MalformedBody, UnsupportedMediaType, UnsupportedContentCoding, BodyTooSlow] if self.body else []
        found += [WeakTag] if self.takes_if_match else []
        found += [InvalidCursor] if any(parameter.name == "cursor" for parameter in self.parameters) else []
        found += [Unauthenticated, InvalidToken, InsufficientScope] if self.auth is not Auth.NONE else []
        found += [Forbidden] if self.permission is not None else []
        found += [StorageUnavailable] if self.stores else []
        if self.idempotent:
            found += [IdempotencyKeyReused, IdempotencyInFlight, IdempotentResponseLost, CallerGone]
            found += [TooManyIdempotencyKeys]
        found += self.raises
        return list(dict.fromkeys(found))

    def text(self) -> str:
        if self.description is not None or self.describes is None:
            return self.description or self.summary
        return inspect.getdoc(self.describes) or self.summary


def key_parameter(description: str) -> Parameter:
    return Parameter("Idempotency-Key", "header", description, KEY_SCHEMA)
