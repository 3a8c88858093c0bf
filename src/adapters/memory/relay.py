"""What relays share out among each other, in memory: one of them at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from adapters.memory.store import MemoryStore
from application.events.ports import (
    NOTHING,
    Claim,
    ClaimedBatch,
    Lag,
    Outcome,
    RelayLedger,
    RelayQueue,
    RetryEntry,
    first_by_subject,
)


class _Claim(Claim):
    def __init__(self, store: MemoryStore, batch: ClaimedBatch) -> None:
        self._store = store
        self._batch = batch

    @property
    def batch(self) -> ClaimedBatch:
        return self._batch

    async def finish(self, outcome: Outcome) -> None:
        store = self._store
        upto = max((event.position for event in self._batch.events), default=store.handled_to)
        upto = min((event.position - 1 for event in outcome.unhandled), default=upto)
        store.handled_to = max(store.handled_to, upto)
        for entry in outcome.delivered:
            del store.retries[entry.event.position]
        for entry in outcome.refused:
            store.retries[entry.event.position] = entry
        for entry in outcome.deferred:
            # Beyond what is passed, an event is still the log's, and will be met again.
            if entry.event.position <= store.handled_to:
                store.retries[entry.event.position] = entry


class MemoryRelay(RelayQueue, RelayLedger):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @asynccontextmanager
    async def claim(self, *, limit: int, now: datetime) -> AsyncIterator[Claim]:
        if self._store.relaying.locked():
            yield _Claim(self._store, NOTHING)
            return
        async with self._store.relaying:
            first = first_by_subject(self._retry_entries(dead=False))
            due = {
                subject
                for subject, entry in first.items()
                if entry.next_attempt_at is None or entry.next_attempt_at <= now
            }
            entries = [entry for entry in self._retry_entries(dead=False) if entry.event.subject in due][:limit]
            events = [event for event in self._store.events if event.position > self._store.handled_to][:limit]
            yield _Claim(self._store, ClaimedBatch(entries, events, frozenset(first)))

    async def lag(self) -> Lag:
        pending = await self.pending(limit=len(self._store.events) + len(self._store.retries))
        times = [entry.event.time for entry in pending]
        return Lag(len(pending), min(times, default=None), len(self._retry_entries(dead=True)))

    async def waiting_since(self, now: datetime) -> datetime | None:
        times = (event.time for event in self._store.events if event.position > self._store.handled_to)
        return min((time for time in times if time <= now), default=None)

    async def dead(self, *, limit: int) -> Sequence[RetryEntry]:
        return self._retry_entries(dead=True)[:limit]

    async def pending(self, *, limit: int) -> Sequence[RetryEntry]:
        unhandled = [RetryEntry(event) for event in self._store.events if event.position > self._store.handled_to]
        return [*self._retry_entries(dead=False), *unhandled][:limit]

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        found = [entry for entry in self._retry_entries(dead=True) if ids is None or entry.event.id in ids]
        for entry in found:
            self._store.retries[entry.event.position] = replace(
                entry, dead=False, attempts=0, error="", next_attempt_at=None
            )
        return len(found)

    def _retry_entries(self, *, dead: bool) -> list[RetryEntry]:
        return [entry for _, entry in sorted(self._store.retries.items()) if entry.dead == dead]
