"""Domain events: facts in the past tense, recorded by aggregates and committed with what they tell of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainEvent:
    """A fact. `name` is public (`post.published`); `at` is UTC."""

    name: ClassVar[str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedEvent(DomainEvent):
    """A fact about the installation rather than an account, which belongs in the audit trail all the same."""

    by: UserId | None
    """Who did it; None: a rule by itself."""

    def audit_details(self) -> Mapping[str, str]:
        """Return what the trail says besides who, when and what; never a secret."""
        return {}


class Aggregate:
    """Keeps the events of one unit of work until the unit of work takes them away."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: list[DomainEvent] = []

    def _record(self, event: DomainEvent) -> None:
        self._events.append(event)

    def pull_events(self) -> list[DomainEvent]:
        """Return the events recorded since the last call, oldest first, and forget them."""
        events, self._events = self._events, []
        return events
