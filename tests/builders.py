"""Builders with meaning: a test names what matters to it, everything else is plausible and unlike its neighbours."""

import itertools
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from adapters.system.origin import ContextOrigins
from application.identity.audit import Recorder
from application.shared.ids import IdGenerator
from domain.identity.session import Session, SpentToken
from domain.identity.user import User
from domain.identity.values import (
    Device,
    EmailAddress,
    PersonName,
    PhoneNumber,
    RefreshTokenHash,
    Username,
    UserStatus,
)
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.values import OrderLine, OrderLines, ProductId, ShippingAddress
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.actor import Actor, Role
from domain.shared.ids import DeliveryId, OrderId, PostId, SessionId, UserId, WebhookId
from domain.webhooks.delivery import Delivery, DeliveryStatus
from domain.webhooks.endpoint import DisabledReason, WebhookEndpoint
from domain.webhooks.values import Description, EndpointUrl, EventTypes

NOW = datetime(2026, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC)
"""The present of most tests; it has microseconds, which storage likes to lose."""

_numbers = itertools.count(1)


def an_id(at: datetime = NOW) -> UUID:
    """Return a UUIDv7 (RFC 9562) of `at`; later calls sort later, within one microsecond too."""
    microseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    milliseconds, rest = divmod(microseconds, 1000)
    # Method 3 of section 6.2: the fraction of the millisecond, scaled to 12 bits, follows the version.
    return UUID(int=milliseconds << 80 | 7 << 76 | (rest * 4096 // 1000) << 64 | 2 << 62 | next(_numbers))


class _CountedIds(IdGenerator):
    def new(self, at: datetime) -> UUID:
        return an_id(at)


def a_recorder() -> Recorder:
    """Return a recorder whose entries are numbered and come from where the context says."""
    return Recorder(ids=_CountedIds(), origins=ContextOrigins())


def a_hash(of: object = None) -> RefreshTokenHash:
    """Return the hash of some refresh token; equal arguments give equal hashes, none a fresh one."""
    return RefreshTokenHash(sha256(repr(next(_numbers) if of is None else of).encode()).digest())


def a_user(
    username: str | None = None,
    *,
    email: str | None = None,
    id: UserId | None = None,
    name: str | None = None,
    phone: str | None = None,
    email_verified: bool = False,
    password_hash: str = "fake$a password nobody has$1",
    role: Role = Role.USER,
    status: UserStatus = UserStatus.ACTIVE,
    created_at: datetime = NOW,
    updated_at: datetime | None = None,
    version: int = 1,
) -> User:
    handle = f"user-{next(_numbers)}" if username is None else username
    return User.restore(
        id=UserId(an_id(created_at)) if id is None else id,
        email=EmailAddress.parse(f"{handle}@example.org" if email is None else email),
        email_verified=email_verified,
        username=Username.parse(handle),
        name=None if name is None else PersonName.parse(name),
        phone=None if phone is None else PhoneNumber.parse(phone),
        password_hash=password_hash,
        role=role,
        status=status,
        created_at=created_at,
        updated_at=created_at if updated_at is None else updated_at,
        version=version,
    )


def a_session(
    of: User,
    *,
    id: SessionId | None = None,
    user_agent: str = "curl/8.9",
    address: str = "192.0.2.7",
    current: RefreshTokenHash | None = None,
    generation: int = 0,
    spent: SpentToken | None = None,
    earlier_exchanges: tuple[datetime, ...] = (),
    newest_used: bool = False,
    created_at: datetime = NOW,
    last_used_at: datetime | None = None,
    expires_at: datetime | None = None,
    revoked_at: datetime | None = None,
    version: int = 1,
) -> Session:
    return Session.restore(
        id=SessionId(an_id(created_at)) if id is None else id,
        user_id=of.id,
        device=Device.of(user_agent, address),
        current=a_hash() if current is None else current,
        generation=generation,
        spent=spent,
        earlier_exchanges=earlier_exchanges,
        newest_used=newest_used,
        created_at=created_at,
        last_used_at=created_at if last_used_at is None else last_used_at,
        expires_at=created_at + timedelta(days=30) if expires_at is None else expires_at,
        revoked_at=revoked_at,
        version=version,
    )


def a_post(
    by: User,
    text: str = "Something worth saying",
    *,
    id: PostId | None = None,
    created_at: datetime = NOW,
    updated_at: datetime | None = None,
    version: int = 1,
    reply_to: Post | None = None,
    replies: int = 0,
) -> Post:
    return Post.restore(
        id=PostId(an_id(created_at)) if id is None else id,
        author_id=by.id,
        text=PostText.parse(text),
        created_at=created_at,
        updated_at=created_at if updated_at is None else updated_at,
        version=version,
        reply_to=None if reply_to is None else reply_to.id,
        replies=replies,
    )


AN_ADDRESS = ShippingAddress("1 Main Street", "Springfield", "IL", "62701", "US")


def an_order(
    by: User | None,
    *products: tuple[str, int],
    id: OrderId | None = None,
    address: ShippingAddress | None = AN_ADDRESS,
    status: OrderStatus = OrderStatus.PENDING,
    created_at: datetime = NOW,
    updated_at: datetime | None = None,
    version: int = 1,
) -> Order:
    lines = OrderLines.of([OrderLine.of(ProductId.parse(name), many) for name, many in products or (("sku-1", 1),)])
    return Order.restore(
        id=OrderId(an_id(created_at)) if id is None else id,
        customer_id=None if by is None else by.id,
        lines=lines,
        address=address,
        status=status,
        created_at=created_at,
        updated_at=created_at if updated_at is None else updated_at,
        version=version,
    )


def an_actor(user: User, *, session: Session | None = None, role: Role | None = None) -> Actor:
    """Return `user`, signed in."""
    session_id = SessionId(an_id()) if session is None else session.id
    return Actor(user_id=user.id, role=user.role if role is None else role, session_id=session_id)


def a_webhook(
    url: str = "https://hooks.example.com/in",
    *event_types: str,
    id: WebhookId | None = None,
    description: str | None = None,
    enabled: bool = True,
    disabled_reason: DisabledReason | None = None,
    secret: bytes = b"sealed",
    previous_secret: bytes | None = None,
    previous_until: datetime | None = None,
    from_position: int = 0,
    failing_since: datetime | None = None,
    created_at: datetime = NOW,
    updated_at: datetime | None = None,
    version: int = 1,
) -> WebhookEndpoint:
    return WebhookEndpoint.restore(
        id=WebhookId(an_id(created_at)) if id is None else id,
        url=EndpointUrl.parse(url),
        event_types=EventTypes(event_types or ("*",)),
        description=None if description is None else Description.parse(description),
        enabled=enabled,
        disabled_reason=disabled_reason,
        secret=secret,
        previous_secret=previous_secret,
        previous_until=previous_until,
        from_position=from_position,
        failing_since=failing_since,
        created_at=created_at,
        updated_at=created_at if updated_at is None else updated_at,
        version=version,
    )


def a_delivery(
    to: WebhookEndpoint,
    *,
    id: DeliveryId | None = None,
    event_id: UUID | None = None,
    event_type: str = "post.published",
    body: bytes = b'{"id": "1"}',
    status: DeliveryStatus = DeliveryStatus.PENDING,
    attempts: int = 0,
    next_attempt_at: datetime | None = NOW,
    claim: UUID | None = None,
    last_attempt_at: datetime | None = None,
    last_status_code: int | None = None,
    last_error: str | None = None,
    created_at: datetime = NOW,
) -> Delivery:
    return Delivery.restore(
        id=DeliveryId(an_id(created_at)) if id is None else id,
        endpoint_id=to.id,
        event_id=an_id(created_at) if event_id is None else event_id,
        event_type=event_type,
        body=body,
        status=status,
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        claim=claim,
        last_attempt_at=last_attempt_at,
        last_status_code=last_status_code,
        last_error=last_error,
        created_at=created_at,
    )
