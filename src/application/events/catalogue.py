"""Which domain events leave the house, and as what: one table.

What is not in it stays in, for a reason that `INTERNAL` gives. A test walks every domain event there is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from application.events.views import (
    Data,
    OrderPlacedV1,
    OrderStatusChangedV1,
    PostData,
    PostDeletedV1,
    PostEditedV1,
    PostPublishedV1,
    UserCreatedV1,
    UserData,
    UserDeletedV1,
    UserEmailVerifiedV1,
    UserProfileChangedV1,
    UserReinstatedV1,
    UserRoleChangedV1,
    UserSignedUpV1,
    UserSuspendedV1,
    VoteCastV1,
    WebhookTestV1,
    encoded,
)
from application.shared.event_log import LoggedEvent
from domain.identity.events import (
    AccessWithdrawn,
    ApiKeyCreated,
    ApiKeyRevoked,
    EmailReplaced,
    EmailVerified,
    PasswordChanged,
    ProfileChanged,
    RecoveryCodeUsed,
    RoleChanged,
    SecondFactorDisabled,
    SecondFactorEnabled,
    SessionOpened,
    SessionRevoked,
    UserCreated,
    UserDeleted,
    UserEvent,
    UserReinstated,
    UserSignedUp,
    UserSuspended,
)
from domain.orders.events import OrderEvent, OrderPlaced, OrderStatusChanged
from domain.orders.status import OrderStatus
from domain.posts.events import PostDeleted, PostEdited, PostEvent, PostPublished, VoteCast
from domain.shared.actor import Role
from domain.shared.events import DomainEvent
from domain.shared.ids import UserId
from domain.webhooks.events import (
    WebhookDeleted,
    WebhookDisabledByRule,
    WebhookEdited,
    WebhookRegistered,
    WebhookSecretRotated,
)
from domain.webhooks.values import TEST_EVENT

E = TypeVar("E", bound=DomainEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[E]):
    """How one domain event is told outside."""

    event: type[E]
    version: int = 1
    """Of the schema of `data`."""
    schema: type[Data]
    subject: Callable[[E], UUID]
    owner: Callable[[E], UserId | None]
    public: bool = False
    data: Callable[[E], Data]


def _of_user(event: type[UserEvent], schema: type[UserData]) -> Entry[UserEvent]:
    """Return the entry of an event that says of whom it tells, and no more."""
    return Entry(
        event=event,
        schema=schema,
        subject=_user,
        owner=_user,
        data=lambda told: schema(user_id=str(told.user_id)),
    )


def _of_post(event: type[PostEvent], schema: type[PostData]) -> Entry[PostEvent]:
    """Return the entry of an event that says of which post it tells, and no more."""
    return Entry(
        event=event,
        schema=schema,
        subject=_post,
        owner=_author,
        public=True,
        data=lambda told: schema(post_id=str(told.post_id), author_id=str(told.author_id), version=told.version),
    )


def _user(event: UserEvent) -> UserId:
    return event.user_id


def _post(event: PostEvent | VoteCast) -> UUID:
    return event.post_id


def _author(event: PostEvent) -> UserId:
    return event.author_id


def _voter(event: VoteCast) -> UserId:
    return event.voter_id


def _order(event: OrderEvent) -> UUID:
    return event.order_id


def _customer(event: OrderEvent) -> UserId | None:
    return event.customer_id


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)


# The texts of enums, spelled as the schemas' literals: a new member is an error here, not a surprise in a queue.
_ROLES: Final[Mapping[Role, Any]] = {Role.USER: "user", Role.MODERATOR: "moderator", Role.ADMIN: "admin"}
_STATUSES: Final[Mapping[OrderStatus, Any]] = {
    OrderStatus.PENDING: "pending",
    OrderStatus.CONFIRMED: "confirmed",
    OrderStatus.SHIPPED: "shipped",
    OrderStatus.DELIVERED: "delivered",
    OrderStatus.CANCELLED: "cancelled",
}
_DIRECTIONS: Final[Mapping[int, Any]] = {-1: -1, 0: 0, 1: 1}


def _by_event(*entries: Entry[Any]) -> Mapping[type[DomainEvent], Entry[Any]]:
    return {entry.event: entry for entry in entries}


# Without an annotation: as entries of anything, their lambdas would not be checked.
_ENTRIES = (
    _of_user(UserSignedUp, UserSignedUpV1),
    Entry(
        event=UserCreated,
        schema=UserCreatedV1,
        subject=_user,
        owner=_user,
        data=lambda event: UserCreatedV1(user_id=str(event.user_id), role=_ROLES[event.role]),
    ),
    _of_user(UserDeleted, UserDeletedV1),
    _of_user(UserSuspended, UserSuspendedV1),
    _of_user(UserReinstated, UserReinstatedV1),
    Entry(
        event=RoleChanged,
        schema=UserRoleChangedV1,
        subject=_user,
        owner=_user,
        data=lambda event: UserRoleChangedV1(
            user_id=str(event.user_id), before=_ROLES[event.before], after=_ROLES[event.after]
        ),
    ),
    _of_user(ProfileChanged, UserProfileChangedV1),
    _of_user(EmailVerified, UserEmailVerifiedV1),
    Entry(
        event=PostPublished,
        schema=PostPublishedV1,
        subject=_post,
        owner=_author,
        public=True,
        data=lambda event: PostPublishedV1(
            post_id=str(event.post_id),
            author_id=str(event.author_id),
            version=event.version,
            reply_to=_text(event.reply_to),
        ),
    ),
    _of_post(PostEdited, PostEditedV1),
    _of_post(PostDeleted, PostDeletedV1),
    Entry(
        event=VoteCast,
        schema=VoteCastV1,
        subject=_post,
        owner=_voter,
        public=True,
        data=lambda event: VoteCastV1(
            post_id=str(event.post_id),
            dir=_DIRECTIONS[event.direction],
            score=event.upvotes - event.downvotes,
            upvotes=event.upvotes,
            downvotes=event.downvotes,
            voter_id=str(event.voter_id),
        ),
    ),
    Entry(
        event=OrderPlaced,
        schema=OrderPlacedV1,
        subject=_order,
        owner=_customer,
        data=lambda event: OrderPlacedV1(
            order_id=str(event.order_id), customer_id=_text(event.customer_id), status="pending", version=event.version
        ),
    ),
    Entry(
        event=OrderStatusChanged,
        schema=OrderStatusChangedV1,
        subject=_order,
        owner=_customer,
        data=lambda event: OrderStatusChangedV1(
            order_id=str(event.order_id),
            customer_id=_text(event.customer_id),
            before=_STATUSES[event.before],
            after=_STATUSES[event.after],
            version=event.version,
        ),
    ),
)

CATALOGUE: Final = _by_event(*_ENTRIES)
"""Every domain event that leaves, by its name as the type."""

INTERNAL: Final[Mapping[type[DomainEvent], str]] = {
    AccessWithdrawn: "tells our own processes which tokens no longer hold",
    ApiKeyCreated: "security: for the audit trail alone",
    ApiKeyRevoked: "security: for the audit trail alone",
    EmailReplaced: "security: it is about an address, and an administrator's doing",
    PasswordChanged: "security: it would tell when an account can be attacked by its old password no more",
    RecoveryCodeUsed: "security: for the audit trail alone",
    SecondFactorDisabled: "security: it would tell which accounts are easier to get into",
    SecondFactorEnabled: "security: it would tell which accounts are harder to get into",
    SessionOpened: "security: it would tell when somebody is there",
    SessionRevoked: "security: it would tell when somebody is there",
    WebhookDeleted: "concerns the installation: for the audit trail alone",
    WebhookDisabledByRule: "concerns the installation: for the audit trail alone",
    WebhookEdited: "concerns the installation: for the audit trail alone",
    WebhookRegistered: "concerns the installation: for the audit trail alone",
    WebhookSecretRotated: "concerns the installation: for the audit trail alone",
}
"""Every domain event that stays in, and why."""

SCHEMAS: Final[Mapping[tuple[str, int], type[Data]]] = {
    **{(event.name, entry.version): entry.schema for event, entry in CATALOGUE.items()},
    # What happened there is nothing, so it has no domain event and is not in the log.
    (TEST_EVENT, 1): WebhookTestV1,
}
"""Every schema that was ever published, also of versions that nothing sends any more, by type and version."""

PUBLIC_TYPES: Final = frozenset(event.name for event, entry in CATALOGUE.items() if entry.public)
"""The types that anybody may see live."""

TYPES: Final[Sequence[str]] = tuple(sorted({name for name, _ in SCHEMAS}))
"""Every type there is."""


def logged(event: DomainEvent, *, id: UUID, position: int = 0) -> LoggedEvent | None:
    """Return what the log keeps of `event`; None: it stays in the house. Position 0: it has none yet."""
    entry = CATALOGUE.get(type(event))
    if entry is None:
        return None
    return LoggedEvent(
        position=position,
        id=id,
        type=event.name,
        version=entry.version,
        subject=entry.subject(event),
        owner_id=entry.owner(event),
        public=entry.public,
        time=event.at,
        data=encoded(entry.data(event)),
    )


def is_external(event: DomainEvent) -> bool:
    """Tell whether `event` leaves the house."""
    return type(event) in CATALOGUE
