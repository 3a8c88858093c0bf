"""Webhooks in memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from adapters.memory.store import MemoryStore, Transaction, copy_of
from application.shared.errors import VersionConflict
from application.webhooks.ports import (
    DeliveryRepository,
    DeliveryRetention,
    DeliverySlice,
    FanOutCursor,
    WebhookReader,
    WebhookRepository,
    WebhookSlice,
)
from application.webhooks.views import (
    DeliveryDetailView,
    WebhookView,
    delivery_detail_view,
    delivery_view,
    webhook_view,
)
from domain.shared.ids import DeliveryId, WebhookId, smallest_id_at
from domain.webhooks.delivery import Delivery, DeliveryStatus
from domain.webhooks.endpoint import WebhookEndpoint
from domain.webhooks.errors import DeliveryNotFound, WebhookNotFound

T = TypeVar("T")


class MemoryWebhookRepository(WebhookRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, endpoint: WebhookEndpoint) -> None:
        await self._transaction.lock()
        self._transaction.webhooks.put(endpoint.id, copy_of(endpoint))
        self._transaction.track(endpoint)

    async def count(self) -> int:
        return sum(1 for _ in self._transaction.webhooks.values())

    async def get(self, webhook_id: WebhookId) -> WebhookEndpoint:
        await self._transaction.lock()
        endpoint = self._transaction.webhooks.get(webhook_id)
        if endpoint is None:
            raise WebhookNotFound
        return copy_of(endpoint)

    async def save(self, endpoint: WebhookEndpoint) -> None:
        stored = await self._as_loaded(endpoint)
        endpoint.version += 1
        failing_since = None if endpoint.failing_since is None else stored.failing_since
        self._transaction.webhooks.put(endpoint.id, replace(endpoint, failing_since=failing_since))
        self._transaction.track(endpoint)

    async def remove(self, endpoint: WebhookEndpoint) -> None:
        await self._as_loaded(endpoint)
        self._transaction.webhooks.remove(endpoint.id)
        self._transaction.track(endpoint)

    async def enabled(self) -> Sequence[WebhookEndpoint]:
        found = (endpoint for endpoint in self._transaction.webhooks.values() if endpoint.enabled)
        return [copy_of(endpoint) for endpoint in sorted(found, key=lambda endpoint: endpoint.id)]

    async def set_failing_since(self, webhook_id: WebhookId, *, failing_since: datetime | None) -> None:
        await self._transaction.lock()
        endpoint = self._transaction.webhooks.get(webhook_id)
        if endpoint is not None:
            self._transaction.webhooks.put(webhook_id, replace(endpoint, failing_since=failing_since))

    async def _as_loaded(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        await self._transaction.lock()
        stored = self._transaction.webhooks.get(endpoint.id)
        if stored is None or stored.version != endpoint.version:
            raise VersionConflict
        return stored


class MemoryDeliveryRepository(DeliveryRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add_all(self, deliveries: Sequence[Delivery]) -> None:
        await self._transaction.lock()
        known = {(kept.endpoint_id, kept.event_id) for kept in self._transaction.deliveries.values()}
        for delivery in deliveries:
            if (delivery.endpoint_id, delivery.event_id) in known:
                raise ValueError(f"the event {delivery.event_id} is queued for this endpoint already")
            self._transaction.deliveries.put(delivery.id, copy_of(delivery))

    async def get(self, delivery_id: DeliveryId, *, of: WebhookId) -> Delivery:
        await self._transaction.lock()
        delivery = self._transaction.deliveries.get(delivery_id)
        if delivery is None or delivery.endpoint_id != of:
            raise DeliveryNotFound
        return copy_of(delivery)

    async def save(self, delivery: Delivery) -> None:
        await self._transaction.lock()
        self._transaction.deliveries.put(delivery.id, copy_of(delivery))

    async def claim(self, of: WebhookId, *, now: datetime, until: datetime, claim: UUID, limit: int) -> list[Delivery]:
        await self._transaction.lock()
        due = [
            (kept.next_attempt_at, kept.id, kept)
            for kept in self._transaction.deliveries.values()
            if kept.endpoint_id == of and kept.next_attempt_at is not None and kept.next_attempt_at <= now
        ]
        found = [
            replace(kept, claim=claim, next_attempt_at=until)
            for _, _, kept in sorted(due, key=lambda entry: entry[:2])[:limit]
        ]
        for delivery in found:
            await self.save(delivery)
        return found

    async def replay_failed(self, of: WebhookId, *, since: datetime, now: datetime, limit: int) -> int:
        await self._transaction.lock()
        oldest = smallest_id_at(since)
        failed = [
            kept
            for kept in self._transaction.deliveries.values()
            if kept.endpoint_id == of and kept.status is DeliveryStatus.FAILED and kept.id >= oldest
        ]
        failed = sorted(failed, key=lambda kept: kept.id)[:limit]
        for kept in failed:
            delivery = copy_of(kept)
            delivery.replay(at=now)
            await self.save(delivery)
        return len(failed)


class MemoryFanOutCursor(FanOutCursor):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock(self) -> int:
        await self._transaction.lock()
        return self._transaction.handed_out.get(0) or 0

    async def move(self, position: int) -> None:
        self._transaction.handed_out.put(0, position)


class MemoryWebhookReader(WebhookReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, webhook_id: WebhookId) -> WebhookView | None:
        endpoint = self._store.webhooks.get(webhook_id)
        return None if endpoint is None else webhook_view(endpoint)

    async def newest(self, *, limit: int, before: WebhookId | None) -> WebhookSlice:
        found = _newest(self._store.webhooks.values(), lambda endpoint: endpoint.id, before)
        return WebhookSlice([webhook_view(endpoint) for endpoint in found[:limit]], more=len(found) > limit)

    async def delivery(self, delivery_id: DeliveryId, *, of: WebhookId) -> DeliveryDetailView | None:
        delivery = self._store.deliveries.get(delivery_id)
        return None if delivery is None or delivery.endpoint_id != of else delivery_detail_view(delivery)

    async def deliveries(
        self, *, of: WebhookId, status: DeliveryStatus | None, limit: int, before: DeliveryId | None
    ) -> DeliverySlice:
        wanted = (
            kept
            for kept in self._store.deliveries.values()
            if kept.endpoint_id == of and (status is None or kept.status is status)
        )
        found = _newest(wanted, lambda delivery: delivery.id, before)
        return DeliverySlice([delivery_view(delivery) for delivery in found[:limit]], more=len(found) > limit)

    async def due(self, now: datetime) -> Sequence[WebhookId]:
        waiting = {
            kept.endpoint_id
            for kept in self._store.deliveries.values()
            if kept.next_attempt_at is not None and kept.next_attempt_at <= now
        }
        return [
            endpoint.id for endpoint in self._store.webhooks.values() if endpoint.enabled and endpoint.id in waiting
        ]

    async def waiting_since(self, now: datetime) -> datetime | None:
        enabled = {endpoint.id: endpoint for endpoint in self._store.webhooks.values() if endpoint.enabled}
        if not enabled:
            return None
        handed_out = max(self._store.handed_out[0], min(endpoint.from_position for endpoint in enabled.values()))
        times = [event.time for event in self._store.events if event.position > handed_out]
        times += [
            delivery.next_attempt_at
            for delivery in self._store.deliveries.values()
            if delivery.endpoint_id in enabled and delivery.next_attempt_at is not None
        ]
        return min((time for time in times if time <= now), default=None)


class MemoryDeliveryRetention(DeliveryRetention):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def purge(self, *, before: datetime, limit: int) -> int:
        oldest = smallest_id_at(before)
        async with self._store.write_lock:
            kept = self._store.deliveries
            gone = [
                delivery.id
                for delivery in kept.values()
                if delivery.id < oldest or delivery.endpoint_id not in self._store.webhooks
            ][:limit]
            for delivery_id in gone:
                del kept[delivery_id]
        return len(gone)


def _newest(found: Iterable[T], id_of: Callable[[T], UUID], before: UUID | None) -> list[T]:
    wanted = [item for item in found if before is None or id_of(item) < before]
    return sorted(wanted, key=id_of, reverse=True)
