"""Endpoints and deliveries as they are shown, and which endpoints have something due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, exists, func, select, type_coerce

from adapters.sql.database import AnyRow, Database
from adapters.sql.keyset import newest_first, page_parameters
from adapters.sql.tables import (
    EventLogRow,
    OutboxRow,
    WebhookCursorRow,
    WebhookDeliveryRow,
    WebhookEndpointRow,
    table_of,
)
from adapters.sql.types import Id, IdText, Timestamp, TimestampText
from adapters.sql.webhooks.endpoints import decode_event_types
from application.webhooks.ports import DeliverySlice, WebhookReader, WebhookSlice
from application.webhooks.views import DeliveryDetailView, DeliveryView, WebhookView
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.delivery import DeliveryStatus
from domain.webhooks.endpoint import DisabledReason

_ENDPOINTS = table_of(WebhookEndpointRow)
_DELIVERIES = table_of(WebhookDeliveryRow)
_EVENTS = table_of(EventLogRow)
_OUTBOX = table_of(OutboxRow)
_CURSOR = table_of(WebhookCursorRow)

_OF = bindparam("of_endpoint", type_=Id)
_NOW = bindparam("now", type_=Timestamp)

_WANTED_FROM = select(func.min(_ENDPOINTS.c.from_position)).where(_ENDPOINTS.c.enabled.is_(True))
_HANDED_OUT = select(_CURSOR.c.position)
_NEXT_EVENT = (
    select(_EVENTS.c.time)
    .where(_EVENTS.c.position > bindparam("after", type_=_EVENTS.c.position.type))
    .order_by(_EVENTS.c.position)
    .limit(1)
)
_NEXT_OF_OUTBOX = select(_OUTBOX.c.time).order_by(_OUTBOX.c.id).limit(1)
_FIRST_DUE = (
    select(func.min(_DELIVERIES.c.next_attempt_at))
    .join(_ENDPOINTS, _ENDPOINTS.c.id == _DELIVERIES.c.endpoint_id)
    .where(_ENDPOINTS.c.enabled.is_(True), _DELIVERIES.c.next_attempt_at <= _NOW)
)
_ENDPOINT_VIEWS: Select[*tuple[Any, ...]] = select(
    type_coerce(_ENDPOINTS.c.id, IdText),
    _ENDPOINTS.c.url,
    _ENDPOINTS.c.event_types,
    _ENDPOINTS.c.description,
    _ENDPOINTS.c.enabled,
    _ENDPOINTS.c.disabled_reason,
    type_coerce(_ENDPOINTS.c.failing_since, TimestampText),
    type_coerce(_ENDPOINTS.c.previous_until, TimestampText).label("previous_secret_until"),
    type_coerce(_ENDPOINTS.c.created_at, TimestampText),
    type_coerce(_ENDPOINTS.c.updated_at, TimestampText),
    _ENDPOINTS.c.version,
)
_ONE_ENDPOINT = _ENDPOINT_VIEWS.where(_ENDPOINTS.c.id == bindparam("at_id", type_=Id))
_NEWEST_ENDPOINTS = newest_first(_ENDPOINT_VIEWS, _ENDPOINTS.c.id)

_DELIVERY_COLUMNS = (
    type_coerce(_DELIVERIES.c.id, IdText),
    type_coerce(_DELIVERIES.c.endpoint_id, IdText).label("webhook_id"),
    type_coerce(_DELIVERIES.c.event_id, IdText),
    _DELIVERIES.c.event_type,
    _DELIVERIES.c.status,
    _DELIVERIES.c.attempts,
    type_coerce(_DELIVERIES.c.next_attempt_at, TimestampText),
    type_coerce(_DELIVERIES.c.last_attempt_at, TimestampText),
    _DELIVERIES.c.last_status_code,
    _DELIVERIES.c.last_error,
    type_coerce(_DELIVERIES.c.created_at, TimestampText),
)
_ONE_DELIVERY: Select[*tuple[Any, ...]] = select(*_DELIVERY_COLUMNS, _DELIVERIES.c.body).where(
    _DELIVERIES.c.id == bindparam("at_id", type_=Id), _DELIVERIES.c.endpoint_id == _OF
)
_NEWEST_DELIVERIES = newest_first(select(*_DELIVERY_COLUMNS).where(_DELIVERIES.c.endpoint_id == _OF), _DELIVERIES.c.id)
_NEWEST_OF_STATUS = _NEWEST_DELIVERIES.where(_DELIVERIES.c.status == bindparam("status"))

# Each endpoint is asked for by itself, which is one look into an index, however much it has waiting.
_DUE = select(_ENDPOINTS.c.id).where(
    _ENDPOINTS.c.enabled.is_(True),
    exists(
        select(_DELIVERIES.c.id).where(
            _DELIVERIES.c.endpoint_id == _ENDPOINTS.c.id, _DELIVERIES.c.next_attempt_at <= _NOW
        )
    ),
)


class SqlWebhookReader(WebhookReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, webhook_id: WebhookId) -> WebhookView | None:
        row = await self._database.fetch_one(_ONE_ENDPOINT, {"at_id": webhook_id})
        return None if row is None else _endpoint_view(row)

    async def newest(self, *, limit: int, before: WebhookId | None) -> WebhookSlice:
        rows = await self._database.fetch_all(_NEWEST_ENDPOINTS, page_parameters(limit, before))
        return WebhookSlice([_endpoint_view(row) for row in rows[:limit]], more=len(rows) > limit)

    async def delivery(self, delivery_id: DeliveryId, *, of: WebhookId) -> DeliveryDetailView | None:
        row = await self._database.fetch_one(_ONE_DELIVERY, {"at_id": delivery_id, "of_endpoint": of})
        if row is None:
            return None
        values = _delivery_values(row)
        payload = msgspec.Raw(values.pop("body").encode())
        return DeliveryDetailView(**values, payload=payload)

    async def deliveries(
        self, *, of: WebhookId, status: DeliveryStatus | None, limit: int, before: DeliveryId | None
    ) -> DeliverySlice:
        parameters = {**page_parameters(limit, before), "of_endpoint": of}
        statement = _NEWEST_DELIVERIES
        if status is not None:
            statement = _NEWEST_OF_STATUS
            parameters["status"] = status.value
        rows = await self._database.fetch_all(statement, parameters)
        return DeliverySlice([DeliveryView(**_delivery_values(row)) for row in rows[:limit]], more=len(rows) > limit)

    async def waiting_since(self, now: datetime) -> datetime | None:
        fetch = self._database.fetch_all
        ((wanted_from,),) = await fetch(_WANTED_FROM, {})
        if wanted_from is None:
            return None
        handed_out = max((row.position for row in await fetch(_HANDED_OUT, {})), default=0)
        times = [row.time for row in await fetch(_NEXT_EVENT, {"after": max(handed_out, wanted_from)})]
        times += [row.time for row in await fetch(_NEXT_OF_OUTBOX, {})]
        times += [first for (first,) in await fetch(_FIRST_DUE, {"now": now}) if first is not None]
        return min((time for time in times if time <= now), default=None)

    async def due(self, now: datetime) -> Sequence[WebhookId]:
        return [WebhookId(row.id) for row in await self._database.fetch_all(_DUE, {"now": now})]


def _endpoint_view(row: AnyRow) -> WebhookView:
    reason = None if row.disabled_reason is None else DisabledReason(row.disabled_reason)
    event_types = decode_event_types(row.event_types)
    return WebhookView(**{**row._asdict(), "event_types": event_types, "disabled_reason": reason})


def _delivery_values(row: AnyRow) -> dict[str, Any]:
    return {**row._asdict(), "status": DeliveryStatus(row.status)}
