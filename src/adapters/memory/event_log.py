"""The event log in memory."""

from bisect import bisect_right
from datetime import datetime

from adapters.memory.store import MemoryStore
from application.events.retention import EventRetention
from application.shared.event_log import EventLog, LoggedEvent


class MemoryEventLog(EventLog, EventRetention):
    """Commits take turns, so each gives its events their positions by itself."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def assign_positions(self, *, limit: int = 1000) -> int:
        del limit
        return 0

    async def read(self, *, after: int, limit: int) -> list[LoggedEvent]:
        events = self._store.events
        at = bisect_right(events, after, key=lambda event: event.position)
        return events[at : at + limit]

    async def head(self) -> int:
        return self._store.events[-1].position if self._store.events else 0

    async def position_before_oldest(self) -> int:
        return self._store.events[0].position - 1 if self._store.events else 0

    async def purge(self, *, before: datetime, delivered_only: bool, limit: int = 1000) -> int:
        handled = self._store.handled_to if delivered_only else None
        purged = 0
        for event in self._store.events[:-1][:limit]:
            if event.time >= before or (handled is not None and event.position > handled):
                break
            purged += 1
        del self._store.events[:purged]
        return purged
