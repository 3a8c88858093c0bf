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
    Lag,
    Letter,
    Outcome,
    RelayLedger,
    RelayQueue,
    Taken,
    first_of_each,
)


class _Claim(Claim):
    def __init__(self, store: MemoryStore, taken: Taken) -> None:
        self._store = store
        self._taken = taken

    @property
    def taken(self) -> Taken:
        return self._taken

    async def finish(self, outcome: Outcome) -> None:
        store = self._store
        upto = max((event.position for event in self._taken.events), default=store.handled_to)
        upto = min((event.position - 1 for event in outcome.unhandled), default=upto)
        store.handled_to = max(store.handled_to, upto)
        for letter in outcome.delivered:
            del store.letters[letter.event.position]
        for letter in outcome.refused:
            store.letters[letter.event.position] = letter
        for letter in outcome.put_off:
            # Beyond what is passed, an event is still the log's, and will be met again.
            if letter.event.position <= store.handled_to:
                store.letters[letter.event.position] = letter


class MemoryRelay(RelayQueue, RelayLedger):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @asynccontextmanager
    async def claim(self, *, limit: int, now: datetime) -> AsyncIterator[Claim]:
        if self._store.relaying.locked():
            yield _Claim(self._store, NOTHING)
            return
        async with self._store.relaying:
            first = first_of_each(self._letters(dead=False))
            due = {
                subject
                for subject, letter in first.items()
                if letter.next_attempt_at is None or letter.next_attempt_at <= now
            }
            letters = [letter for letter in self._letters(dead=False) if letter.event.subject in due][:limit]
            events = [event for event in self._store.events if event.position > self._store.handled_to][:limit]
            yield _Claim(self._store, Taken(letters, events, frozenset(first)))

    async def lag(self) -> Lag:
        pending = await self.pending(limit=len(self._store.events) + len(self._store.letters))
        times = [letter.event.time for letter in pending]
        return Lag(len(pending), min(times, default=None), len(self._letters(dead=True)))

    async def waiting_since(self, now: datetime) -> datetime | None:
        times = (event.time for event in self._store.events if event.position > self._store.handled_to)
        return min((time for time in times if time <= now), default=None)

    async def dead(self, *, limit: int) -> Sequence[Letter]:
        return self._letters(dead=True)[:limit]

    async def pending(self, *, limit: int) -> Sequence[Letter]:
        unhandled = [Letter(event) for event in self._store.events if event.position > self._store.handled_to]
        return [*self._letters(dead=False), *unhandled][:limit]

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        found = [letter for letter in self._letters(dead=True) if ids is None or letter.event.id in ids]
        for letter in found:
            self._store.letters[letter.event.position] = replace(
                letter, dead=False, attempts=0, error="", next_attempt_at=None
            )
        return len(found)

    def _letters(self, *, dead: bool) -> list[Letter]:
        return [letter for _, letter in sorted(self._store.letters.items()) if letter.dead == dead]
