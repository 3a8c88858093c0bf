"""Every problem there is: one table maps families of errors to statuses, one explains every slug.

A test walks all errors and demands both.
"""

from dataclasses import dataclass
from typing import Final

import application.shared.errors
import application.shared.idempotency
import application.shared.paging
import application.shared.rate_limit
import domain.identity.errors
import domain.orders.errors
import domain.posts.errors
import domain.shared.actor
import domain.shared.errors
import domain.webhooks.errors
from application.events.live import TooManyStreams
from application.shared.errors import Unavailable
from application.shared.idempotency import IdempotencyKeyReused, TooManyIdempotencyKeys
from application.shared.rate_limit import RateLimited
from domain.shared.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PosternError,
    Stale,
    Unauthenticated,
)
from entrypoints.http.problems.errors import (
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    HeadersTooLarge,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    TooManyTransfers,
    UnsupportedMediaType,
    UnsupportedTransferCoding,
    UriTooLong,
)

STATUS_BY_FAMILY: Final[dict[type[PosternError], int]] = {
    Invalid: 400,
    BadRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    BodyTooSlow: 408,
    Conflict: 409,
    Stale: 412,
    BodyTooLarge: 413,
    UriTooLong: 414,
    UnsupportedMediaType: 415,
    IdempotencyKeyReused: 422,
    RateLimited: 429,
    TooManyIdempotencyKeys: 429,
    TooManyTransfers: 429,
    HeadersTooLarge: 431,
    InternalError: 500,
    UnsupportedTransferCoding: 501,
    TooManyStreams: 429,
    Unavailable: 503,
}


def status_of(error: type[PosternError]) -> int:
    """Return the status of an error by its family. Raises `LookupError` for one without a family."""
    for family in error.__mro__:
        if family in STATUS_BY_FAMILY:
            return STATUS_BY_FAMILY[family]
    raise LookupError(f"{error.__name__} belongs to no family of errors")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a problem means, and what a caller can do about it."""

    description: str
    remedy: str


EXPLANATIONS: Final[dict[str, Explanation]] = {
    "invalid-input": Explanation(
        "The body, the query or the path breaks a rule. `errors` lists every fault: a JSON Pointer (RFC 6901) into "
        "the body, or the name of a parameter.",
        "Correct what `errors` names and send the request again.",
    ),
    "malformed-body": Explanation(
        "The body is not JSON (RFC 8259) in UTF-8, is nested too deeply, or names one member twice.",
        "Send one JSON object, written by a JSON library.",
    ),
    "invalid-cursor": Explanation(
        "The cursor was not given out by this list with these filters, was altered, or comes from before the "
        "server's key was changed.",
        "Begin again without `cursor`, then follow `next_cursor` or the `Link` header unchanged.",
    ),
    "invalid-one-time-token": Explanation(
        "The token out of the mail is unknown, was used, was replaced by a newer one, or has expired.",
        "Ask for a new mail and use its link.",
    ),
    "bad-request": Explanation(
        "The request breaks the rules of HTTP: no `Host`, lengths that contradict each other, or a body that ends "
        "before it is whole.",
        "Look at the client or the proxy in between; an ordinary HTTP library never sends this.",
    ),
    "unknown-host": Explanation(
        "The `Host` header names a host that is not among those the operator configured.",
        "Use the service's proper address. Operators list host names in `ALLOWED_HOSTS`.",
    ),
    "unauthenticated": Explanation(
        "This needs a signed-in caller, and the request carries no bearer token.",
        "Log in and send `Authorization: Bearer <access_token>`.",
    ),
    "invalid-credentials": Explanation(
        "The pair of e-mail address and password is not right. Whether the address has an account is not told.",
        "Check both and try again.",
    ),
    "invalid-token": Explanation(
        "The token is malformed, expired or withdrawn, or its account is gone.",
        "Get a new access token with the refresh token; if that is refused too, log in again.",
    ),
    "token-reused": Explanation(
        "A refresh token that had been spent was presented again, so it may be in two hands. The session is closed.",
        "Log in again. A client must keep only the newest refresh token.",
    ),
    "account-gone": Explanation(
        "The account that this token speaks for has been deleted.",
        "Sign up or log in with another account.",
    ),
    "customer-gone": Explanation(
        "The account that this token speaks for has been deleted, and orders nothing more.",
        "Sign up or log in with another account.",
    ),
    "forbidden": Explanation(
        "You are signed in, but this is not yours to do.",
        "Use an account that has the permission.",
    ),
    "csrf-refused": Explanation(
        "With `transport=cookie` a request must prove that it comes from a page that may send it: the header "
        "`X-CSRF-Protection: 1`, and an origin that is this server's own or listed in `CORS_ORIGINS`.",
        "Send the header. For pages of another origin, the operator lists that origin.",
    ),
    "wrong-password": Explanation(
        "The current password, asked for to confirm the change, is wrong.",
        "Give the current password of the account that is signed in.",
    ),
    "out-of-reach": Explanation(
        "A moderator suspends and reinstates users. Moderators and administrators are for administrators to act on.",
        "Ask an administrator.",
    ),
    "own-account": Explanation(
        "Nobody suspends or deletes their own account by way of administration: it would most likely be a mistake.",
        "To delete your account, use `DELETE /api/v1/users/me` with your password.",
    ),
    "last-admin": Explanation(
        "There is no other active administrator, and without one nobody could administer any more.",
        "Make another administrator first: `PUT /api/v1/users/{id}`, or `postern create-admin` on the machine.",
    ),
    "wrong-code": Explanation(
        "The code of the second factor, asked for to confirm the change, is wrong or was used before.",
        "Give the code that the authenticator shows now.",
    ),
    "second-factor-required": Explanation(
        "The password is right, and the account asks for a code of its second factor too.",
        "Send the code that the authenticator shows now, or a recovery code.",
    ),
    "invalid-code": Explanation(
        "The code of the second factor is wrong, was used before, or was one of too many.",
        "Send the code that the authenticator shows now; after too many, begin again.",
    ),
    "insufficient-scope": Explanation(
        "The credentials are good, but were not given the scope that this needs.",
        "Use credentials with that scope, or sign in with the password.",
    ),
    "not-your-post": Explanation(
        "A post is edited by its author alone, and deleted by its author or a moderator.",
        "Sign in as the author.",
    ),
    "not-your-order": Explanation(
        "An order is cancelled this way by whose it is. Administrators set its status instead.",
        "Sign in as the customer, or use `PATCH /api/v1/orders/{id}`.",
    ),
    "not-found": Explanation(
        "It does not exist, or it is not yours to know of; the two look the same on purpose.",
        "Check the id.",
    ),
    "no-such-route": Explanation("Nothing is served at this path.", "See /docs for what there is."),
    "no-such-problem": Explanation("There is no problem of this name.", "See /problems for all of them."),
    "not-configured": Explanation(
        "The installation runs without this component, which is fine.",
        "Nothing; operators of several workers or instances set `REDIS_URL` to share the cache.",
    ),
    "user-not-found": Explanation("There is no such user.", "Check the id."),
    "session-not-found": Explanation("There is no such session among yours.", "List your sessions."),
    "totp-not-enabled": Explanation("The account has no second factor.", "Set one up first."),
    "api-key-not-found": Explanation("There is no such API key among yours.", "List your API keys."),
    "post-not-found": Explanation("There is no such post; it may have been deleted.", "Check the id."),
    "webhook-not-found": Explanation("There is no such webhook; it may have been deleted.", "Check the id."),
    "delivery-not-found": Explanation(
        "This webhook has no such delivery. Deliveries are kept for 30 days.", "Check the id, and that of the webhook."
    ),
    "webhook-changed": Explanation(
        "Somebody has changed the webhook since you read it, so `If-Match` does not match.",
        "Read it again and decide anew.",
    ),
    "too-many-webhooks": Explanation(
        "An installation has at most 100 webhooks.", "Delete one, or have one receiver pass events on."
    ),
    "webhook-disabled": Explanation(
        "The webhook is disabled: by hand, because its receiver answered 410, or after days of nothing but failures.",
        "Enable it with `PATCH`, and send again.",
    ),
    "webhook-target-refused": Explanation(
        "The URL is well-formed, and its host cannot be resolved, leads to an address that is private, loopback or "
        "otherwise special, or is not to be reached without TLS.",
        "Use a public `https` URL, or have the operator allow the network (`WEBHOOK_ALLOWED_NETWORKS`).",
    ),
    "order-not-found": Explanation(
        "There is no such order, or it is not yours to know of; the two look the same on purpose.", "Check the id."
    ),
    "author-not-found": Explanation("There is no such author; the account may have been deleted.", "Check the id."),
    "method-not-allowed": Explanation(
        "The path exists and does not take this method.", "Use one of the methods in the `Allow` header."
    ),
    "not-acceptable": Explanation(
        "The `Accept` header rules out the one type that the path answers with, which `detail` names: "
        "text/event-stream for the stream of events, application/json for everything else below /api.",
        "Accept that type, or leave `Accept` out.",
    ),
    "conflict": Explanation(
        "The request is valid but at odds with what is stored.", "Read the current state and decide again."
    ),
    "idempotency-in-flight": Explanation(
        "A request with the same `Idempotency-Key` is being carried out at this moment.",
        "Send it again after `Retry-After` seconds: once the other is done, this one gets its answer.",
    ),
    "too-many-idempotency-keys": Explanation(
        "The account has used 10,000 values of `Idempotency-Key` within 24 hours, each of which keeps an answer. "
        "Nothing was done. What was carried out under a key is still replayed.",
        "Wait until the first of them are a day old, or send what may happen twice without a key.",
    ),
    "idempotent-answer-lost": Explanation(
        "A request with the same `Idempotency-Key` was carried out. Its answer was kept under a secret key that the "
        "installation no longer has.",
        "Do not send it under another key. Look at your list for what was created.",
    ),
    "idempotency-key-reused": Explanation(
        "The `Idempotency-Key` was used in the last 24 hours for another path or body. The same request is the same "
        "byte for byte.",
        "Use a new key for each request, and the same one only to send that very request again.",
    ),
    "caller-gone": Explanation(
        "The account was deleted a moment ago; the token that still speaks for it is as good as invalid.",
        "Sign in with another account.",
    ),
    "reply-target-gone": Explanation(
        "`reply_to` names no post that can be answered: it never was, or it was deleted.",
        "Check the id, or publish without `reply_to`.",
    ),
    "illegal-order-move": Explanation(
        "An order goes from `pending` to `confirmed`, `shipped` and `delivered`, or from one of the first two to "
        "`cancelled`.",
        "Read the order, and choose a status that follows on the one it has.",
    ),
    "order-unmoved": Explanation("The order has the status that it was to get.", "Nothing; it is done already."),
    "order-step-skipped": Explanation(
        "An order goes from `pending` to `confirmed`, `shipped` and `delivered`, one step after the other.",
        "Take the steps in between first.",
    ),
    "order-step-back": Explanation(
        "An order does not return to a status that it has left.", "Cancel it, if it is not shipped, and place another."
    ),
    "order-already-shipped": Explanation(
        "Only a `pending` or `confirmed` order can be cancelled.", "Arrange a return instead."
    ),
    "order-closed": Explanation(
        "`delivered` and `cancelled` are final.", "Place another order if something is still wanted."
    ),
    "nowhere-to-ship": Explanation(
        "The account that placed the order was deleted, and the address with it.", "Cancel the order."
    ),
    "email-taken": Explanation(
        "An account with this e-mail address exists; case and Unicode form make no difference.",
        "Log in, or use another address.",
    ),
    "username-taken": Explanation(
        "Somebody has this username; case and Unicode form make no difference.",
        "Choose another, or leave it out at sign-up and get one.",
    ),
    "totp-enabled": Explanation("The account has a second factor already.", "Disable it first to set up another."),
    "too-many-api-keys": Explanation(
        "The account has as many API keys as it may have.", "Revoke one that is no longer used."
    ),
    "stale": Explanation(
        "`If-Match` names a state that is no longer the current one.",
        "Read it again, decide again, and send the new `ETag` in `If-Match`.",
    ),
    "account-changed": Explanation(
        "The account has changed since the state that `If-Match` names.",
        "Read it again, and send the new `ETag` in `If-Match`.",
    ),
    "post-changed": Explanation(
        "The post has changed since the state that `If-Match` names.",
        "Read it again, merge, and send the new `ETag` in `If-Match`.",
    ),
    "order-changed": Explanation(
        "The order has changed since the state that `If-Match` names.",
        "Read it again, decide again, and send the new `ETag` in `If-Match`.",
    ),
    "body-too-large": Explanation("A request body takes at most 1 MiB (1,048,576 bytes).", "Send less."),
    "body-too-slow": Explanation(
        "A request body is whole within 30 seconds and keeps above 240 bytes a second, unless the operator has set "
        "other bounds (`BODY_SECONDS`, `BODY_MIN_RATE`). The connection is closed.",
        "Send the body without pauses, over a new connection.",
    ),
    "unsupported-transfer-coding": Explanation(
        "`Transfer-Encoding` is `chunked` once, and nothing else. The connection is closed.",
        "Send the body as it is, with `Content-Length` or chunked.",
    ),
    "too-many-transfers": Explanation(
        "From one IPv4 address or IPv6 /64, more request bodies are unfinished, or more of what was answered is not "
        "taken, than one address may have at once. The connection is closed.",
        "Finish what is under way, then try again after `Retry-After` seconds.",
    ),
    "uri-too-long": Explanation("Path and query together take at most 8 KiB.", "Send less in the query."),
    "unsupported-media-type": Explanation(
        "A body is JSON in UTF-8, and says so. `detail` tells what this one says instead.",
        "Send `Content-Type: application/json`, with no charset but utf-8.",
    ),
    "unsupported-content-coding": Explanation(
        "The body was sent with a `Content-Encoding`, such as gzip. A body is only taken as it is.",
        "Send it uncompressed, without `Content-Encoding`.",
    ),
    "weak-tag": Explanation(
        "The tag in `If-Match` is of the current version, but weak (`W/`), and only a strong tag proves that nothing "
        "has changed (RFC 9110, section 13.1.1). A proxy that compresses answers makes strong tags weak.",
        "Read it again with `Accept-Encoding: identity` and send that `ETag`; or have the proxy leave tags alone.",
    ),
    "headers-too-large": Explanation(
        "Names and values of all header fields together take at most 16 KiB, in at most 100 fields.",
        "Send fewer or shorter fields; large cookies are the usual cause.",
    ),
    "internal-error": Explanation(
        "A fault of the service. It has been logged under the `request_id` of the answer.",
        "Try again later; tell the operator the `request_id` if it stays.",
    ),
    "unavailable": Explanation(
        "Something the service needs does not answer.", "Try again after `Retry-After` seconds."
    ),
    "storage-unavailable": Explanation(
        "The database does not answer, not in time, or takes no writes just now: its disk is full, it was made "
        "read-only, or its file is not in its place. Nothing was changed.",
        "Try again after `Retry-After` seconds. Operators find the reason in the log, once a minute.",
    ),
    "outcome-unknown": Explanation(
        "The database was lost, or the time of the request was over, while the request was being committed, or between "
        "that and its answer. It may have been carried out, and it may not; nothing will change that any more after a "
        "few seconds.",
        "Do not simply send it again: a creation would be done twice. Sent with an `Idempotency-Key`, the same request "
        "with the same key is safe: it is answered as it was the first time, or carried out now. Without one, look "
        "first whether it was done: read the resource, or the newest items of its list (`GET /users/me/posts`, "
        "`GET /orders`). Changes that name a version (`If-Match`), votes and deletions may be sent again as they are.",
    ),
    "deadline-exceeded": Explanation(
        "The request was not answered within its time (`REQUEST_DEADLINE_SECONDS`), since what it waited for did not "
        "come, and was given up. Nothing was changed.",
        "Try again after `Retry-After` seconds.",
    ),
    "overloaded": Explanation(
        "More is being asked than can be done in time; refusing now beats making everybody wait.",
        "Try again after `Retry-After` seconds, with growing waits.",
    ),
    "too-many-streams": Explanation(
        "The account, or the address of a caller who is not signed in, has as many live streams open as it may have.",
        "Close one, or share one among the pages of a browser; then try again after `Retry-After` seconds.",
    ),
    "rate-limited": Explanation(
        "More was asked in a while than one account, or one address, may ask; or a password was guessed wrong too "
        "often. `RateLimit-Policy` names the limits and `RateLimit` how much of them is left.",
        "Try again after `Retry-After` seconds. A program heeds `RateLimit` and does not come to this.",
    ),
    "contention": Explanation(
        "Too many callers changed the same thing at once, and trying again on the server did not help.",
        "Try again after `Retry-After` seconds.",
    ),
    "not-ready": Explanation(
        "A component that the service needs is down, writes fail, or the server is about to stop; `detail` says which.",
        "Send traffic elsewhere until /health/ready answers 200.",
    ),
}


@dataclass(frozen=True, slots=True)
class ProblemType:
    """An entry of the public catalogue: stable, one per slug."""

    slug: str
    title: str
    status: int
    description: str
    remedy: str


def public_errors() -> list[type[PosternError]]:
    """Return every error class of ours that an answer can tell of: all below `PosternError`.

    Those are in `errors` beside this, and in `_SOURCES`; a test imports everything there is and finds no others.
    """

    def below(root: type[PosternError]) -> list[type[PosternError]]:
        return [error for child in root.__subclasses__() for error in (child, *below(child))]

    return [error for error in below(PosternError) if error.__module__.partition(".")[0] in _OURS]


_OURS: Final = frozenset({"domain", "application", "adapters", "entrypoints"})
_SOURCES: Final = (
    application.shared.errors,
    application.shared.idempotency,
    application.shared.paging,
    application.shared.rate_limit,
    domain.identity.errors,
    domain.orders.errors,
    domain.posts.errors,
    domain.shared.actor,
    domain.shared.errors,
    domain.webhooks.errors,
)
"""The modules that define errors. Nothing else refers to some of them, and what is not imported is not found."""


def catalogue() -> dict[str, ProblemType]:
    """Return every problem by slug, in alphabetical order."""
    found: dict[str, ProblemType] = {}
    for error in public_errors():
        explanation = _explanation(error)
        found.setdefault(
            error.slug,
            ProblemType(error.slug, error.title, status_of(error), explanation.description, explanation.remedy),
        )
    return dict(sorted(found.items()))


def _explanation(error: type[PosternError]) -> Explanation:
    """Return the explanation of an error, or of its family: a test demands one of its own, a start goes without."""
    slugs = (vars(cls)["slug"] for cls in error.__mro__ if "slug" in vars(cls))
    return next(EXPLANATIONS[slug] for slug in slugs if slug in EXPLANATIONS)
