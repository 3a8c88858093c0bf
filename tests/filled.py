"""Aggregates without a field at its default, for tests that a field cannot be lost on its way.

`FILLED` makes one of each kind. Every field has a value that nothing gives by itself: it is not what a new aggregate
starts with, not empty, and not the value of another field of its type. A test asks for all three by name.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Final

from domain.identity.api_key import ApiKey, ApiKeyHash, ApiKeyName
from domain.identity.second_factor import RecoveryCodeHash, SecondFactor
from domain.identity.session import Session, SpentToken
from domain.identity.user import User
from domain.identity.values import Device, UserStatus
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.values import ShippingAddress
from domain.posts.post import Post
from domain.posts.vote import NO_VOTES, Ballot, Direction, Tally
from domain.shared.actor import Role, Scope
from domain.shared.events import Aggregate
from domain.shared.ids import ApiKeyId, DeliveryId, OrderId, PostId, SessionId, WebhookId
from domain.webhooks.delivery import Delivery, DeliveryStatus
from domain.webhooks.endpoint import DisabledReason, WebhookEndpoint
from tests.builders import (
    NOW,
    a_delivery,
    a_hash,
    a_post,
    a_session,
    a_user,
    a_webhook,
    an_actor,
    an_id,
    an_order,
)

_MOMENTS: Final = [NOW + timedelta(hours=hours, microseconds=hours) for hours in range(1, 9)]


def a_filled_user() -> User:
    return a_user(
        "filled-username",
        email="Filled.Address@example.org",
        name="Filled Name",
        phone="+4915112345678",
        email_verified=True,
        password_hash="fake$a filled password$1",
        role=Role.MODERATOR,
        status=UserStatus.SUSPENDED,
        created_at=_MOMENTS[0],
        updated_at=_MOMENTS[1],
        version=7,
    )


def a_filled_session(of: User) -> Session:
    return a_session(
        of,
        user_agent="Filled agent/1.0",
        address="203.0.113.77",
        generation=3,
        spent=SpentToken(a_hash(), _MOMENTS[0]),
        earlier_exchanges=(_MOMENTS[1], _MOMENTS[2]),
        newest_used=True,
        created_at=_MOMENTS[3],
        last_used_at=_MOMENTS[4],
        expires_at=_MOMENTS[5],
        revoked_at=_MOMENTS[6],
        version=7,
    )


def a_filled_second_factor(of: User) -> SecondFactor:
    return SecondFactor.restore(
        user_id=of.id,
        sealed_secret=b"\x00a filled secret, sealed\xff",
        confirmed_at=_MOMENTS[0],
        last_step=58_000_001,
        recovery=frozenset(RecoveryCodeHash(sha256(bytes([code])).digest()) for code in range(3)),
        failures=6,
        blocked_until=_MOMENTS[1],
        created_at=_MOMENTS[2],
        version=7,
    )


def a_filled_api_key(of: User) -> ApiKey:
    return ApiKey.restore(
        id=ApiKeyId(an_id(_MOMENTS[0])),
        user_id=of.id,
        name=ApiKeyName.parse("Filled key"),
        scopes=frozenset({Scope.POSTS_READ, Scope.PROFILE_WRITE}),
        hash=ApiKeyHash(sha256(b"a filled key").digest()),
        hint="f1Ll",
        created_at=_MOMENTS[0],
        expires_at=_MOMENTS[1],
        last_used_at=_MOMENTS[2],
    )


def a_filled_post(by: User, reply_to: Post) -> Post:
    return a_post(
        by,
        "Filled text of the post",
        created_at=_MOMENTS[0],
        updated_at=_MOMENTS[1],
        version=7,
        reply_to=reply_to,
        replies=2,
    )


def a_filled_ballot(of: User, on: Post) -> Ballot:
    return Ballot(
        post_id=on.id,
        author_id=on.author_id,
        post_version=on.version,
        published_at=on.created_at,
        voter_id=of.id,
        direction=Direction.DOWN,
        tally=Tally(upvotes=2, downvotes=1),
    )


def a_filled_order(by: User) -> Order:
    return an_order(
        by,
        ("product-7", 3),
        ("product-8", 5),
        address=ShippingAddress("7 Filled Street", "Filledville", "FS", "98765", "NZ"),
        status=OrderStatus.SHIPPED,
        created_at=_MOMENTS[0],
        updated_at=_MOMENTS[1],
        version=7,
    )


def a_filled_webhook() -> WebhookEndpoint:
    return a_webhook(
        "https://filled.example.com/in",
        "post.published",
        "order.*",
        description="Filled description",
        enabled=False,
        disabled_reason=DisabledReason.GONE,
        secret=b"a filled secret, sealed",
        previous_secret=b"the one before, sealed",
        previous_until=_MOMENTS[0],
        from_position=11,
        failing_since=_MOMENTS[1],
        created_at=_MOMENTS[2],
        updated_at=_MOMENTS[3],
        version=7,
    )


def a_filled_delivery(to: WebhookEndpoint) -> Delivery:
    return a_delivery(
        to,
        event_type="order.placed",
        body=b'{"filled": "body"}',
        status=DeliveryStatus.FAILED,
        attempts=4,
        next_attempt_at=_MOMENTS[0],
        claim=an_id(),
        last_attempt_at=_MOMENTS[1],
        last_status_code=503,
        last_error="timeout",
        created_at=_MOMENTS[2],
    )


FILLED: Final[Mapping[type[Aggregate], Callable[[], Aggregate]]] = {
    User: a_filled_user,
    Session: lambda: a_filled_session(a_user()),
    SecondFactor: lambda: a_filled_second_factor(a_user()),
    ApiKey: lambda: a_filled_api_key(a_user()),
    Post: lambda: a_filled_post(a_user(), a_post(a_user())),
    Ballot: lambda: a_filled_ballot(a_user(), a_post(a_user(), created_at=_MOMENTS[0], version=7)),
    Order: lambda: a_filled_order(a_user()),
    WebhookEndpoint: a_filled_webhook,
    Delivery: lambda: a_filled_delivery(a_webhook()),
}


def _new_ballot() -> Ballot:
    post = a_post(a_user())
    return Ballot(
        post_id=post.id,
        author_id=post.author_id,
        post_version=post.version,
        published_at=post.created_at,
        voter_id=a_user().id,
        direction=Direction.NONE,
        tally=NO_VOTES,
    )


def _new_webhook() -> WebhookEndpoint:
    values = a_webhook()
    return WebhookEndpoint.register(
        id=WebhookId(an_id()),
        by=an_actor(a_user(role=Role.ADMIN)),
        url=values.url,
        event_types=values.event_types,
        description=None,
        enabled=True,
        secret=values.secret,
        from_position=0,
        at=NOW,
    )


NEW: Final[Mapping[type[Aggregate], Callable[[], Aggregate]]] = {
    User: lambda: User.sign_up(
        id=a_user().id, email=a_user().email, username=a_user().username, name=None, password_hash="new", at=NOW
    ),
    Session: lambda: Session.open(
        id=SessionId(an_id()), user_id=a_user().id, device=Device.of("", ""), refresh_token=a_hash(), at=NOW
    ),
    SecondFactor: lambda: SecondFactor.enrol(user_id=a_user().id, sealed_secret=b"new", at=NOW),
    ApiKey: lambda: ApiKey.create(
        id=ApiKeyId(an_id()),
        user_id=a_user().id,
        name=ApiKeyName("new"),
        scopes=frozenset({Scope.POSTS_READ}),
        hash=ApiKeyHash(bytes(32)),
        hint="new",
        expires_at=None,
        at=NOW,
    ),
    Post: lambda: Post.publish(id=PostId(an_id()), by=an_actor(a_user()), text=a_post(a_user()).text, at=NOW),
    Ballot: _new_ballot,
    Order: lambda: Order.place(
        id=OrderId(an_id()),
        by=an_actor(a_user()),
        lines=an_order(a_user()).lines,
        address=ShippingAddress("1 New Street", "New", "NE", "1", None),
        at=NOW,
    ),
    WebhookEndpoint: _new_webhook,
    Delivery: lambda: Delivery.queue(
        id=DeliveryId(an_id()),
        endpoint_id=WebhookId(an_id()),
        event_id=an_id(),
        event_type="post.edited",
        body=b"{}",
        at=NOW,
    ),
}
"""One of each kind as its context makes it, with as little as it takes."""
