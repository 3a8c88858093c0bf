"""Deliveries of events to endpoints: the repository, which writes and claims them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, bindparam, insert, select, update

from adapters.sql.database import AnyRow
from adapters.sql.keyset import ROWS
from adapters.sql.tables import WebhookDeliveryRow, table_of
from adapters.sql.transaction import SqlRepository
from adapters.sql.types import Id, Timestamp
from application.webhooks.ports import DeliveryRepository
from domain.shared.ids import DeliveryId, WebhookId, smallest_id_at
from domain.webhooks.delivery import Delivery, DeliveryStatus
from domain.webhooks.errors import DeliveryNotFound

_DELIVERIES = table_of(WebhookDeliveryRow)

_OF = bindparam("of_endpoint", type_=Id)
_NOW = bindparam("now", type_=Timestamp)

_INSERT_DELIVERY = insert(_DELIVERIES)
_LOAD_DELIVERY = (
    select(_DELIVERIES)
    .where(_DELIVERIES.c.id == bindparam("at_id", type_=Id), _DELIVERIES.c.endpoint_id == _OF)
    .with_for_update()
)
_UPDATE_DELIVERY = update(_DELIVERIES).where(_DELIVERIES.c.id == bindparam("at_id", type_=Id))
_DUE_IDS = (
    select(_DELIVERIES.c.id)
    .where(_DELIVERIES.c.endpoint_id == _OF, _DELIVERIES.c.next_attempt_at <= _NOW)
    .order_by(_DELIVERIES.c.next_attempt_at, _DELIVERIES.c.id)
    .limit(ROWS)
    # What another process is just taking is not waited for; on SQLite writers take turns anyway.
    .with_for_update(skip_locked=True)
)
_IDS = bindparam("ids", expanding=True, type_=Id)
_CLAIM = (
    update(_DELIVERIES)
    .where(_DELIVERIES.c.id.in_(_IDS))
    .values(claim=bindparam("by", type_=Id), next_attempt_at=bindparam("until", type_=Timestamp))
)
_CLAIMED = select(_DELIVERIES).where(_DELIVERIES.c.id.in_(_IDS)).order_by(_DELIVERIES.c.id)
_FAILED_IDS = (
    select(_DELIVERIES.c.id)
    .where(
        _DELIVERIES.c.endpoint_id == _OF,
        _DELIVERIES.c.status == DeliveryStatus.FAILED.value,
        _DELIVERIES.c.id >= bindparam("since", type_=Id),
    )
    .order_by(_DELIVERIES.c.id)
    .limit(ROWS)
    .with_for_update()
)
_REPLAY = (
    update(_DELIVERIES)
    .where(_DELIVERIES.c.id.in_(_IDS))
    .values(
        status=DeliveryStatus.PENDING.value,
        attempts=0,
        claim=None,
        next_attempt_at=bindparam("now", type_=Timestamp),
    )
)


class SqlDeliveryRepository(SqlRepository, DeliveryRepository):
    async def add_all(self, deliveries: Sequence[Delivery]) -> None:
        rows = [{**_delivery_values(delivery), "id": delivery.id} for delivery in deliveries]
        await self._transaction.run_many(_INSERT_DELIVERY, rows)

    async def get(self, delivery_id: DeliveryId, *, of: WebhookId) -> Delivery:
        parameters = {"at_id": delivery_id, "of_endpoint": of}
        row = (await self._transaction.run(_LOAD_DELIVERY, parameters)).one_or_none()
        if row is None:
            raise DeliveryNotFound
        return _delivery(row)

    async def save(self, delivery: Delivery) -> None:
        # Guarded by the lock that `get` took: nothing else loads one to save it.
        await self._transaction.run(_UPDATE_DELIVERY, {**_delivery_values(delivery), "at_id": delivery.id})

    async def claim(self, of: WebhookId, *, now: datetime, until: datetime, claim: UUID, limit: int) -> list[Delivery]:
        ids = await self._ids(_DUE_IDS, {"of_endpoint": of, "now": now, "rows": limit})
        if not ids:
            return []
        await self._transaction.run(_CLAIM, {"ids": ids, "by": claim, "until": until})
        return [_delivery(row) for row in (await self._transaction.run(_CLAIMED, {"ids": ids})).rows]

    async def replay_failed(self, of: WebhookId, *, since: datetime, now: datetime, limit: int) -> int:
        ids = await self._ids(_FAILED_IDS, {"of_endpoint": of, "since": smallest_id_at(since), "rows": limit})
        if ids:
            await self._transaction.run(_REPLAY, {"ids": ids, "now": now})
        return len(ids)

    async def _ids(self, statement: Executable, parameters: dict[str, Any]) -> list[UUID]:
        return (await self._transaction.run(statement, parameters)).scalars()


def _delivery_values(delivery: Delivery) -> dict[str, Any]:
    return {
        "endpoint_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "body": delivery.body.decode(),
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "claim": delivery.claim,
        "last_attempt_at": delivery.last_attempt_at,
        "last_status_code": delivery.last_status_code,
        "last_error": delivery.last_error,
        "created_at": delivery.created_at,
    }


def _delivery(row: AnyRow) -> Delivery:
    return Delivery.restore(
        id=DeliveryId(row.id),
        endpoint_id=WebhookId(row.endpoint_id),
        event_id=row.event_id,
        event_type=row.event_type,
        body=row.body.encode(),
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        claim=row.claim,
        last_attempt_at=row.last_attempt_at,
        last_status_code=row.last_status_code,
        last_error=row.last_error,
        created_at=row.created_at,
    )
