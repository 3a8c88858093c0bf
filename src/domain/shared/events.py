"""Domain events: facts in the past tense, recorded by aggregates and committed with what they tell of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, TypeVar

from domain.shared.ids import UserId

A = TypeVar("A")


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


class _Restore:
    """`Post.restore` is `Post` itself: type checkers know its fields, and it costs no call of its own."""

    def __get__(self, instance: None, owner: type[A]) -> type[A]:
        return owner


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Aggregate:
    """Keeps the events of one unit of work until the unit of work takes them away.

    Every aggregate is a dataclass with these arguments. It is compared by identity, and has no `repr`: that would write
    hashes, addresses and texts into logs. Its fields have no defaults, so that whatever builds one names all of them.
    """

    _events: list[DomainEvent] = field(default_factory=list, init=False)

    restore = _Restore()
    """Brings a stored aggregate back: nothing is validated anew and no event is recorded."""

    def _record(self, event: DomainEvent) -> None:
        self._events.append(event)

    def pull_events(self) -> list[DomainEvent]:
        """Return the events recorded since the last call, oldest first, and forget them."""
        events, self._events = self._events, []
        return events
