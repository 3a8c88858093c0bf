"""Bringing events to a broker: at least once, and those of one subject in order."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from application.events.ports import Claim, ClaimedBatch, EventPublisher, Message, Outcome, RelayQueue, RetryEntry
from application.shared.clock import Clock
from application.shared.errors import Unavailable
from application.shared.event_log import EventLog, LoggedEvent

_ERROR_LENGTH: Final = 500
_PATIENCE: Final = timedelta(seconds=10)
"""How long a batch is delivered before the rest is left to the next: a claim on a database's rows is not for ever."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When what was refused is tried again: after `first` seconds, then twice as many, up to `longest`, with jitter."""

    attempts: int
    first: float = 1.0
    longest: float = 300.0

    def after(self, attempts: int, random: float) -> timedelta:
        """Return how long to wait after so many attempts; `random` is from [0, 1). Between half of it and all."""
        bound = min(self.first * 2 ** min(attempts - 1, 30), self.longest)
        return timedelta(seconds=bound * (1 + random) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Delivers a batch a step.

    One subject's events go out one after the other, each once the one before is confirmed; different subjects go at
    once. What the broker refuses becomes a letter, and what comes after it in its subject waits behind it, while all
    others pass. When the broker does not answer, nothing counts as tried: the batch is simply still there.
    """

    log: EventLog
    queue: RelayQueue
    publisher: EventPublisher
    envelope: Callable[[LoggedEvent], bytes]
    clock: Clock
    random: Callable[[], float]
    policy: RetryPolicy
    batch: int

    async def step(self) -> int:
        """Deliver a batch of what nobody else is delivering; return how many events it dealt with.

        Raises `Unavailable` when the broker or the storage does not answer.
        """
        await self.log.assign_positions()
        async with self.queue.claim(limit=self.batch, now=self.clock.now()) as claim:
            return await self._deliver(claim) if len(claim.batch) else 0

    async def close(self) -> None:
        await self.publisher.close()

    async def _deliver(self, claim: Claim) -> int:
        work = _Work(claim.batch, self.policy, self.random)
        until = self.clock.now() + _PATIENCE
        try:
            while (entries := work.next_entries()) and self.clock.now() < until:
                refusals = await self.publisher.publish([self._message(head.event) for head in entries])
                work.note(entries, refusals, now=self.clock.now())
        except Unavailable:
            await claim.finish(work.outcome())
            raise
        await claim.finish(work.outcome())
        return work.dealt_with

    def _message(self, event: LoggedEvent) -> Message:
        return Message(id=event.id, type=event.type, subject=event.subject, time=event.time, body=self.envelope(event))


@dataclass(frozen=True, slots=True)
class _Item:
    entry: RetryEntry
    is_new: bool
    """It comes from the log, and is no letter yet."""

    @property
    def event(self) -> LoggedEvent:
        return self.entry.event


class _Work:
    """What of a batch is still to be sent, a line for each subject."""

    def __init__(self, batch: ClaimedBatch, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._lines: dict[UUID, deque[_Item]] = {}
        self._outcome = Outcome()
        self.dealt_with = 0
        for entry in batch.retries:
            self._lines.setdefault(entry.event.subject, deque()).append(_Item(entry, is_new=False))
        # Behind letters that are not here, or not all of them: only the queue knows when those are through.
        behind = batch.waiting
        for event in batch.events:
            if event.subject in behind:
                self._outcome.deferred.append(RetryEntry(event))
                self.dealt_with += 1
            else:
                self._lines.setdefault(event.subject, deque()).append(_Item(RetryEntry(event), is_new=True))

    def next_entries(self) -> list[_Item]:
        """Return the next of each subject."""
        return [line[0] for line in self._lines.values() if line]

    def note(self, entries: Sequence[_Item], refusals: Sequence[str | None], *, now: datetime) -> None:
        """Take in what became of the heads."""
        for head, refusal in zip(entries, refusals, strict=True):
            line = self._lines[head.event.subject]
            line.popleft()
            self.dealt_with += 1
            if refusal is None:
                if not head.is_new:
                    self._outcome.delivered.append(head.entry)
                continue
            entry = self._refused(head.entry, refusal, now)
            (self._outcome.deferred if head.is_new else self._outcome.refused).append(entry)
            if not entry.dead:
                self._defer(line)

    def outcome(self) -> Outcome:
        """Return what is to be recorded."""
        rest = [item.event for line in self._lines.values() for item in line if item.is_new]
        self._outcome.unhandled = sorted(rest, key=lambda event: event.position)
        return self._outcome

    def _refused(self, entry: RetryEntry, refusal: str, now: datetime) -> RetryEntry:
        attempts = entry.attempts + 1
        return replace(
            entry,
            attempts=attempts,
            next_attempt_at=now + self._policy.after(attempts, self._random()),
            error=refusal[:_ERROR_LENGTH],
            dead=attempts >= self._policy.attempts,
        )

    def _defer(self, line: "deque[_Item]") -> None:
        waiting: Iterable[_Item] = [item for item in line if item.is_new]
        self._outcome.deferred += [item.entry for item in waiting]
        self.dealt_with += sum(1 for _ in waiting)
        line.clear()
