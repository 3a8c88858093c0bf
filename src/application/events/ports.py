"""What the relay needs: a queue of events to deliver, and somebody who takes them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.shared.event_log import LoggedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event as a broker gets it."""

    id: UUID
    type: str
    subject: UUID
    time: datetime
    body: bytes
    """The envelope: CloudEvents 1.0 in JSON."""


class EventPublisher(Protocol):
    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Hand messages over; return for each why it was refused, or None once it is confirmed, in their order.

        They may go at once and arrive in any order among each other. Raises `Unavailable` when the broker does not
        answer, in time or at all; then nobody knows what arrived. Bounded in time.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RetryEntry:
    """An event that was refused, or that waits behind one of the same subject.

    Dead: given up after too many attempts; what comes after it goes on, and it stays until it is replayed.
    """

    event: LoggedEvent
    attempts: int = 0
    next_attempt_at: datetime | None = None
    """None: as soon as those before it are delivered."""
    error: str = ""
    dead: bool = False


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """What a relay has for itself until it lets go."""

    retries: Sequence[RetryEntry]
    """Of subjects whose first letter is due; all letters of each, or its first ones."""
    events: Sequence[LoggedEvent]
    """Undelivered ones, in order of their positions within each shard."""
    waiting: frozenset[UUID]
    """Subjects that have letters which are not dead, due or not."""

    def __len__(self) -> int:
        return len(self.retries) + len(self.events)


@dataclass(slots=True)
class Outcome:
    """What became of what was taken. What is named nowhere stays as it is."""

    delivered: list[RetryEntry] = field(default_factory=list)
    """Letters that arrived."""
    refused: list[RetryEntry] = field(default_factory=list)
    """Letters as they are from now on: one attempt older, or dead."""
    deferred: list[RetryEntry] = field(default_factory=list)
    """Events that become letters."""
    unhandled: list[LoggedEvent] = field(default_factory=list)
    """Events of which nobody knows; their shards go on at the first of them."""


class Claim(Protocol):
    """A batch that nobody else has. Left without `finish`, everything is as before."""

    @property
    def batch(self) -> ClaimedBatch: ...

    async def finish(self, outcome: Outcome) -> None:
        """Record what became of it, at once or not at all. Raises as storage does; then others take it again."""
        ...


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the relay is behind."""

    pending: int
    """Events that were not delivered, letters among them; without the dead."""
    oldest: datetime | None
    """When the oldest of those happened."""
    dead: int


class RelayQueue(Protocol):
    """Hands out what is to be delivered, to any number of relays, each subject's to one at a time."""

    def claim(self, *, limit: int, now: datetime) -> AbstractAsyncContextManager[Claim]:
        """Take events for oneself, `limit` at the most and `limit` letters, from whatever nobody else has."""
        ...


class RelayLedger(Protocol):
    """What an operator asks."""

    async def lag(self) -> Lag: ...

    async def waiting_since(self, now: datetime) -> datetime | None:
        """Return when the oldest event happened that no relay has taken; None without one. A look-up for each shard."""
        ...

    async def dead(self, *, limit: int) -> Sequence[RetryEntry]:
        """Return dead letters, the oldest first."""
        ...

    async def pending(self, *, limit: int) -> Sequence[RetryEntry]:
        """Return what was not delivered, the oldest first; what was not tried yet has no attempts."""
        ...

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        """Have dead letters tried again, those events or all; return how many there were."""
        ...


NOTHING = ClaimedBatch((), (), frozenset())


def first_by_subject(found: Sequence[RetryEntry]) -> Mapping[UUID, RetryEntry]:
    """Return the first letter of each subject; `found` is in order of positions."""
    first: dict[UUID, RetryEntry] = {}
    for entry in found:
        first.setdefault(entry.event.subject, entry)
    return first
