"""The cache fence in memory: for processes that are one process."""

import time
from collections.abc import Callable
from uuid import uuid4

from adapters.memory.store import MemoryStore
from application.shared.fence import CacheFence


class MemoryCacheFence(CacheFence):
    """One owner's fence over `store`; `now` counts seconds and never runs backwards."""

    def __init__(self, store: MemoryStore, *, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._id = uuid4()

    async def raise_for(self, seconds: float) -> None:
        self._store.fences[self._id] = self._now() + seconds

    async def lower(self) -> None:
        self._store.fences.pop(self._id, None)

    async def is_up(self) -> bool:
        now = self._now()
        return any(until > now for until in self._store.fences.values())
