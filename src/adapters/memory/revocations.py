"""Revocations in memory."""

from collections.abc import Callable, Sequence
from time import monotonic

from adapters.memory.store import MemoryStore
from application.identity.ports import RevocationLog
from application.identity.revocations import Revocation


class MemoryRevocationLog(RevocationLog):
    """`now` counts seconds and never runs backwards."""

    def __init__(self, store: MemoryStore, *, now: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._now = now

    async def since(self, seconds: float) -> Sequence[Revocation]:
        oldest = self._now() - seconds
        return [revocation for at, revocation in self._store.revocations if at >= oldest]

    async def purge(self, *, older_than_seconds: float, limit: int) -> int:
        oldest = self._now() - older_than_seconds
        # They are in the order of their commits, so what is old is at the beginning.
        old = sum(1 for at, _ in self._store.revocations[:limit] if at < oldest)
        del self._store.revocations[:old]
        return old
