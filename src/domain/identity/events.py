"""What happened to accounts and sessions."""

from dataclasses import dataclass

from domain.shared.events import DomainEvent
from domain.shared.ids import SessionId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent(DomainEvent):
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSignedUp(UserEvent):
    name = "user.signed_up"
    username: str


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
    name = "session.revoked"
    reason: str
