"""Between aggregates and rows, spelled out: what is stored, and how an aggregate comes back from it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapters.sql.rows import AnyRow
from adapters.sql.tables import NAME_KEY_LENGTH
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
from domain.posts.ranking import hot_rank
from domain.posts.values import PostText
from domain.shared.actor import Role
from domain.shared.ids import OrderId, PostId, SessionId, UserId
from domain.shared.text import canonical_key

Values = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOMENT_BYTES: Final = 8


def user_from(row: AnyRow) -> User:
    return User.restore(
        id=UserId(row.id),
        email=EmailAddress(row.email, row.email_key),
        email_verified=row.email_verified,
        username=Username(row.username, row.username_key),
        name=None if row.name is None else PersonName(row.name),
        phone=None if row.phone is None else PhoneNumber(row.phone),
        password_hash=row.password_hash,
        role=Role(row.role),
        status=UserStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def user_values(user: User) -> Values:
    """Return what an account stores, except for its version, which the statement moves on."""
    return {
        "id": user.id,
        "email": user.email.value,
        "email_key": user.email.key,
        "email_verified": user.email_verified,
        "username": user.username.value,
        "username_key": user.username.key,
        "name": user.name.value if user.name else None,
        "name_key": canonical_key(user.name.value)[:NAME_KEY_LENGTH] if user.name else None,
        "phone": user.phone.value if user.phone else None,
        "password_hash": user.password_hash,
        "role": user.role.value,
        "status": user.status.value,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


def session_from(row: AnyRow) -> Session:
    spent = None
    if row.spent_hash is not None and row.spent_at is not None:
        spent = SpentToken(RefreshTokenHash(row.spent_hash), row.spent_at)
    return Session.restore(
        id=SessionId(row.id),
        user_id=UserId(row.user_id),
        device=Device(row.user_agent, row.address),
        current=RefreshTokenHash(row.current_hash),
        generation=row.generation,
        spent=spent,
        earlier_exchanges=_moments_from(row.earlier_exchanges),
        newest_used=row.used_generation == row.generation,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        version=row.version,
    )


def session_values(session: Session) -> Values:
    """Return what a session stores, except for its version, which the statement moves on."""
    return {
        "id": session.id,
        "user_id": session.user_id,
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "current_hash": session.current.digest,
        "generation": session.generation,
        "spent_hash": session.spent.hash.digest if session.spent else None,
        "spent_at": session.spent.at if session.spent else None,
        "earlier_exchanges": _octets_of(session.earlier_exchanges),
        "used_generation": session.generation if session.newest_used else None,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
        "revoked_at": session.revoked_at,
    }


def _moments_from(stored: bytes | None) -> tuple[datetime, ...]:
    octets = stored or b""
    microseconds = (int.from_bytes(octets[at : at + _MOMENT_BYTES]) for at in range(0, len(octets), _MOMENT_BYTES))
    return tuple(_EPOCH + timedelta(microseconds=count) for count in microseconds)


def _octets_of(moments: Sequence[datetime]) -> bytes | None:
    """Return each moment as microseconds since 1970, in eight bytes; None for none."""
    counts = [(moment - _EPOCH) // _MICROSECOND for moment in moments]
    return b"".join(count.to_bytes(_MOMENT_BYTES) for count in counts) or None


def post_from(row: AnyRow) -> Post:
    """Return the post of a row; a tombstone is no post. Raises `ValueError` for one."""
    if row.author_id is None:
        raise ValueError(f"the post {row.id} is a tombstone")
    return Post.restore(
        id=PostId(row.id),
        author_id=UserId(row.author_id),
        text=PostText(row.text),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
        reply_to=None if row.reply_to is None else PostId(row.reply_to),
        replies=row.replies,
    )


def new_post_values(post: Post) -> Values:
    """Return all that a new post stores: nobody has voted on it or answered it."""
    return {
        **post_values(post),
        "version": post.version,
        "reply_to": post.reply_to,
        "listed": post.reply_to is None,
        "replies": 0,
        "score": 0,
        "upvotes": 0,
        "downvotes": 0,
        "hot": hot_rank(0, post.created_at),
        "ranked_at": 0,
    }


def post_values(post: Post) -> Values:
    """Return what a post stores of its aggregate, except for its version; the counters are storage's own."""
    return {
        "id": post.id,
        "author_id": post.author_id,
        "text": post.text.value,
        "text_bytes": len(post.text.value.encode()),
        "created_at": post.created_at,
        "updated_at": post.updated_at,
    }


def order_from(row: AnyRow, lines: Sequence[tuple[str, int]]) -> Order:
    """Return the order of a row and of its lines, each a product and a quantity, in their order."""
    address = None
    if row.street is not None and row.city is not None and row.state is not None and row.zip is not None:
        address = ShippingAddress(row.street, row.city, row.state, row.zip, row.country)
    return Order.restore(
        id=OrderId(row.id),
        customer_id=None if row.user_id is None else UserId(row.user_id),
        lines=OrderLines(tuple(OrderLine(ProductId(product_id), quantity) for product_id, quantity in lines)),
        address=address,
        status=OrderStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def new_order_values(order: Order) -> Values:
    """Return all that a new order stores beside its lines."""
    address = order.address
    return {
        **order_values(order),
        "id": order.id,
        "user_id": order.customer_id,
        "street": address and address.street,
        "city": address and address.city,
        "state": address and address.state,
        "zip": address and address.zip,
        "country": address and address.country,
        "created_at": order.created_at,
        "version": order.version,
    }


def order_values(order: Order) -> Values:
    """Return what changes in an order, except for its version."""
    return {"status": order.status.value, "updated_at": order.updated_at}


def order_line_values(order: Order) -> list[Values]:
    return [
        {"order_id": order.id, "position": position, "product_id": line.product_id.value, "quantity": line.quantity}
        for position, line in enumerate(order.lines.items)
    ]
