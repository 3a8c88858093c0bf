"""The audit trail: who did what to whom, in the words of the domain's events.

Storage writes the entry of an event in the very transaction that commits what the event tells of, so that neither is
ever there without the other. What changes nothing, and so has no event (a log-in that failed), is recorded by its use
case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from application.shared.ids import IdGenerator
from application.shared.origin import Origin, OriginReader
from domain.identity.events import (
    ApiKeyEvent,
    EmailReplaced,
    EmailVerified,
    PasswordChanged,
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
from domain.shared.events import AuditedEvent, DomainEvent
from domain.shared.ids import SessionId, UserId


class AuditOnlyEvent(StrEnum):
    """Security events that change nothing, and so are no events of the domain."""

    LOG_IN_FAILED = "login.failed"
    WRONG_PASSWORD = "password.wrong"  # noqa: S105 - the name of an event, not a secret
    DATA_EXPORTED = "user.data_exported"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the trail. Storage adds an id and where the request came from."""

    event: str
    at: datetime
    actor: UserId | None
    """Who did it; None: nobody signed in, or a rule by itself."""
    subject: UserId | None
    """Whom it was done to; None: an account that does not exist, or no account at all."""
    details: Mapping[str, str] = field(default_factory=dict)


def entry_of(event: DomainEvent) -> AuditEntry | None:
    """Return the line for an event; None for what concerns nobody's security."""
    if isinstance(event, AuditedEvent):
        details = event.audit_details()
        return AuditEntry(event=event.name, at=event.at, actor=event.by, subject=None, details=details)
    if not isinstance(event, UserEvent) or (found := _who_and_details(event)) is None:
        return None
    actor, details = found
    return AuditEntry(event=event.name, at=event.at, actor=actor, subject=event.user_id, details=details)


def _who_and_details(event: UserEvent) -> tuple[UserId | None, dict[str, str]] | None:
    found: tuple[UserId | None, dict[str, str]] | None = None
    match event:
        case UserSignedUp() | PasswordChanged() | EmailVerified() | SecondFactorEnabled() | SecondFactorDisabled():
            found = event.user_id, {}
        case SessionOpened():
            found = event.user_id, _session(event.session_id)
        case SessionRevoked():
            found = event.by, {**_session(event.session_id), "reason": event.reason}
        case RecoveryCodeUsed():
            found = event.user_id, {"left": str(event.left)}
        case ApiKeyEvent():
            found = event.user_id, {"api_key_id": str(event.api_key_id)}
        case UserCreated():
            found = event.by, {"role": event.role}
        case RoleChanged():
            found = event.by, {"before": event.before, "after": event.after}
        case UserSuspended():
            found = event.by, {} if event.reason is None else {"reason": event.reason}
        case EmailReplaced() | UserReinstated() | UserDeleted():
            found = event.by, {}
    return found


def _session(session_id: SessionId) -> dict[str, str]:
    return {"session_id": str(session_id)}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as it is stored."""

    id: UUID
    entry: AuditEntry
    origin: Origin


class Recorder:
    """Completes entries with an id, whose order is that of the trail, and with where the request came from."""

    def __init__(self, *, ids: IdGenerator, origins: OriginReader) -> None:
        self._ids = ids
        self._origins = origins

    def new_id(self, at: datetime) -> UUID:
        """Return an id for something else that is recorded with the commit."""
        return self._ids.new(at)

    def record(self, entry: AuditEntry) -> AuditRecord:
        return AuditRecord(self._ids.new(entry.at), entry, self._origins.current())

    def records_of(self, events: Sequence[DomainEvent]) -> list[AuditRecord]:
        """Return what the trail says of these events, in their order."""
        return [self.record(entry) for event in events if (entry := entry_of(event)) is not None]
