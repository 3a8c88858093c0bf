"""The time for storage in memory: this machine's."""

from adapters.memory.store import MemoryStore
from application.shared.clock import Clock, StorageTime, TimeReading


class MemoryTime(StorageTime):
    def __init__(self, store: MemoryStore, host: Clock) -> None:
        self._store = store
        self._host = host

    async def read(self) -> TimeReading:
        return TimeReading(self._host.now(), 0.0, max(self._store.posts, default=None))
