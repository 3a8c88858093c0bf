"""Idempotency keys in memory."""

from datetime import datetime
from typing import TypeVar

from adapters.memory.store import MemoryStore, Transaction
from application.shared.idempotency import (
    CallerGone,
    IdempotencyClaim,
    IdempotencyKey,
    IdempotencyKeys,
    KeyTaken,
    StoredResponse,
    StoredResponses,
)
from domain.shared.ids import UserId

V = TypeVar("V")


class MemoryIdempotencyKeys(IdempotencyKeys):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def claim(self, idempotency: IdempotencyClaim[V] | None, view: V) -> None:
        if idempotency is None:
            return
        await self._transaction.lock()
        place = idempotency.owner, idempotency.key.value
        if self._transaction.stored_responses.get(place) is not None:
            raise KeyTaken
        if self._transaction.users.get(idempotency.owner) is None:
            raise CallerGone
        self._transaction.stored_responses.put(place, StoredResponse(idempotency.seal(view), idempotency.at))


def delete_keys_of(transaction: Transaction, user_id: UserId, *, at: datetime) -> None:
    """Delete the keys of an account that is about to go."""
    del at
    transaction.stored_responses.remove_where(lambda place, _: place[0] == user_id)


class MemoryStoredResponses(StoredResponses):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def find(self, owner: UserId, key: IdempotencyKey) -> StoredResponse | None:
        return self._store.stored_responses.get((owner, key.value))

    async def forget(self, owner: UserId, key: IdempotencyKey, *, until: datetime) -> None:
        kept = self._store.stored_responses.get((owner, key.value))
        if kept is not None and kept.at <= until:
            del self._store.stored_responses[owner, key.value]

    async def count(self, owner: UserId, *, limit: int) -> int:
        return min(limit, sum(1 for whose, _ in self._store.stored_responses if whose == owner))

    async def purge(self, *, until: datetime, limit: int) -> int:
        old = sorted((kept.at, place) for place, kept in self._store.stored_responses.items() if kept.at <= until)
        for _, place in old[:limit]:
            del self._store.stored_responses[place]
        return len(old[:limit])
