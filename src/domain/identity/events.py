"""What happened to accounts and sessions."""

from dataclasses import dataclass

from domain.shared.actor import Role
from domain.shared.events import DomainEvent
from domain.shared.ids import ApiKeyId, SessionId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent(DomainEvent):
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSignedUp(UserEvent):
    name = "user.signed_up"
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreated(UserEvent):
    """An administrator made the account for somebody."""

    name = "user.created"
    username: str
    role: Role
    by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReplaced(UserEvent):
    """An administrator set another address, or whether it counts as verified."""

    name = "user.email_replaced"
    by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChanged(UserEvent):
    name = "user.role_changed"
    before: Role
    after: Role
    by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSuspended(UserEvent):
    name = "user.suspended"
    reason: str | None
    by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReinstated(UserEvent):
    name = "user.reinstated"
    by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeleted(UserEvent):
    """The account is gone, and with it its posts, votes and sessions."""

    name = "user.deleted"
    by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged(UserEvent):
    """The public part of a profile (username, name) or the phone number changed."""

    name = "user.profile_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged(UserEvent):
    name = "user.password_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent(UserEvent):
    session_id: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(SessionEvent):
    name = "session.opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked(SessionEvent):
    """The session is closed for good: none of its tokens of any generation holds any more."""

    name = "session.revoked"
    reason: str
    by: UserId | None = None
    """Who closed it; None: nobody did, a rule closed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessWithdrawn(SessionEvent):
    """Access tokens up to and with `generation` say what is no longer so; the session goes on at its next refresh."""

    name = "session.access_withdrawn"
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailVerified(UserEvent):
    name = "user.email_verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorEnabled(UserEvent):
    name = "second_factor.enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorDisabled(UserEvent):
    name = "second_factor.disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodeUsed(UserEvent):
    name = "second_factor.recovery_code_used"
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyEvent(UserEvent):
    api_key_id: ApiKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyCreated(ApiKeyEvent):
    name = "api_key.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked(ApiKeyEvent):
    name = "api_key.revoked"
