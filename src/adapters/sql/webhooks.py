"""Webhooks in a database: endpoints, deliveries, and how far the event log has been handed out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    CursorResult,
    Executable,
    Integer,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from adapters.sql.database import AnyRow, Database
from adapters.sql.errors import Named
from adapters.sql.models import WebhookCursorRow, WebhookDeliveryRow, WebhookEndpointRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id, IdText, Moment, MomentText
from adapters.sql.unit_of_work import SqlUnitOfWork
from application.identity.audit import Recorder
from application.shared.errors import TransientFailure
from application.shared.unit_of_work import CommitListener
from application.webhooks.ports import (
    DeliveryRepository,
    DeliveryRetention,
    DeliverySlice,
    FanOutCursor,
    WebhookReader,
    WebhookRepository,
    WebhookSlice,
    WebhooksUnitOfWork,
)
from application.webhooks.views import DeliveryDetailView, DeliveryView, WebhookView
from domain.shared.ids import DeliveryId, WebhookId, smallest_id_at
from domain.webhooks.delivery import Delivery, DeliveryStatus
from domain.webhooks.endpoint import DisabledReason, WebhookEndpoint
from domain.webhooks.errors import DeliveryNotFound, WebhookNotFound
from domain.webhooks.values import Description, EndpointUrl, EventTypes

_ENDPOINTS = table_of(WebhookEndpointRow)
_DELIVERIES = table_of(WebhookDeliveryRow)
_CURSOR = table_of(WebhookCursorRow)
_LAST = UUID(int=(1 << 128) - 1)
"""No id is above it: a list that begins at the newest is one before this."""
_ONLY = 1
"""The id of the one row of the cursor."""
_TAKEN: Named = {"pk_webhook_cursor": TransientFailure}

_strings = msgspec.json.Decoder(list[str]).decode

_ROWS = bindparam("rows", type_=Integer)
_OF = bindparam("of_endpoint", type_=Id)
_BEFORE = bindparam("before", type_=Id)
_NOW = bindparam("now", type_=Moment)

_INSERT_ENDPOINT = insert(_ENDPOINTS)
_COUNT = select(func.count()).select_from(_ENDPOINTS)
_LOAD_ENDPOINT = select(_ENDPOINTS).where(_ENDPOINTS.c.id == bindparam("at_id", type_=Id)).with_for_update()
_ENABLED = select(_ENDPOINTS).where(_ENDPOINTS.c.enabled.is_(True)).order_by(_ENDPOINTS.c.id)
_UPDATE_ENDPOINT = update(_ENDPOINTS).where(
    _ENDPOINTS.c.id == bindparam("at_id", type_=Id), _ENDPOINTS.c.version == bindparam("at_version", type_=Integer)
)
_REMOVE_ENDPOINT = delete(_ENDPOINTS).where(
    _ENDPOINTS.c.id == bindparam("at_id", type_=Id), _ENDPOINTS.c.version == bindparam("at_version", type_=Integer)
)
_HEALTH = (
    update(_ENDPOINTS)
    .where(_ENDPOINTS.c.id == bindparam("at_id", type_=Id))
    .values(failing_since=bindparam("since", type_=Moment))
)

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
    .limit(_ROWS)
    # What another process is just taking is not waited for; on SQLite writers take turns anyway.
    .with_for_update(skip_locked=True)
)
_IDS = bindparam("ids", expanding=True, type_=Id)
_CLAIM = (
    update(_DELIVERIES)
    .where(_DELIVERIES.c.id.in_(_IDS))
    .values(claim=bindparam("by", type_=Id), next_attempt_at=bindparam("until", type_=Moment))
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
    .limit(_ROWS)
    .with_for_update()
)
_REPLAY = (
    update(_DELIVERIES)
    .where(_DELIVERIES.c.id.in_(_IDS))
    .values(
        status=DeliveryStatus.PENDING.value,
        attempts=0,
        claim=None,
        next_attempt_at=bindparam("now", type_=Moment),
    )
)

_LOCK_CURSOR = select(_CURSOR.c.position).where(_CURSOR.c.id == _ONLY).with_for_update()
_BEGIN_CURSOR = insert(_CURSOR)
_MOVE_CURSOR = update(_CURSOR).where(_CURSOR.c.id == _ONLY)

_ENDPOINT_VIEWS: Select[*tuple[Any, ...]] = select(
    type_coerce(_ENDPOINTS.c.id, IdText),
    _ENDPOINTS.c.url,
    _ENDPOINTS.c.event_types,
    _ENDPOINTS.c.description,
    _ENDPOINTS.c.enabled,
    _ENDPOINTS.c.disabled_reason,
    type_coerce(_ENDPOINTS.c.failing_since, MomentText),
    type_coerce(_ENDPOINTS.c.previous_until, MomentText),
    type_coerce(_ENDPOINTS.c.created_at, MomentText),
    type_coerce(_ENDPOINTS.c.updated_at, MomentText),
    _ENDPOINTS.c.version,
)
_ONE_ENDPOINT = _ENDPOINT_VIEWS.where(_ENDPOINTS.c.id == bindparam("at_id", type_=Id))
_NEWEST_ENDPOINTS = _ENDPOINT_VIEWS.where(_ENDPOINTS.c.id < _BEFORE).order_by(_ENDPOINTS.c.id.desc()).limit(_ROWS)

_DELIVERY_COLUMNS = (
    type_coerce(_DELIVERIES.c.id, IdText),
    type_coerce(_DELIVERIES.c.endpoint_id, IdText),
    type_coerce(_DELIVERIES.c.event_id, IdText),
    _DELIVERIES.c.event_type,
    _DELIVERIES.c.status,
    _DELIVERIES.c.attempts,
    type_coerce(_DELIVERIES.c.next_attempt_at, MomentText),
    type_coerce(_DELIVERIES.c.last_attempt_at, MomentText),
    _DELIVERIES.c.last_status_code,
    _DELIVERIES.c.last_error,
    type_coerce(_DELIVERIES.c.created_at, MomentText),
)
_ONE_DELIVERY: Select[*tuple[Any, ...]] = select(*_DELIVERY_COLUMNS, _DELIVERIES.c.body).where(
    _DELIVERIES.c.id == bindparam("at_id", type_=Id), _DELIVERIES.c.endpoint_id == _OF
)
_NEWEST_DELIVERIES: Select[*tuple[Any, ...]] = (
    select(*_DELIVERY_COLUMNS)
    .where(_DELIVERIES.c.endpoint_id == _OF, _DELIVERIES.c.id < _BEFORE)
    .order_by(_DELIVERIES.c.id.desc())
    .limit(_ROWS)
)
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

_OLD = (
    select(_DELIVERIES.c.id)
    .where(_DELIVERIES.c.id < bindparam("older", type_=Id))
    .order_by(_DELIVERIES.c.id)
    .limit(_ROWS)
)
# A step from one endpoint to the next along the index: a deleted one is found without reading what the others have.
_NEXT_OWNER = (
    select(_DELIVERIES.c.endpoint_id)
    .where(_DELIVERIES.c.endpoint_id > bindparam("after", type_=Id))
    .order_by(_DELIVERIES.c.endpoint_id)
    .limit(1)
)
_OF_ORPHAN = select(_DELIVERIES.c.id).where(_DELIVERIES.c.endpoint_id == _OF).limit(_ROWS)
_ALL_ENDPOINTS = select(_ENDPOINTS.c.id)
_DELETE = delete(_DELIVERIES).where(_DELIVERIES.c.id.in_(_IDS))


class SqlWebhookRepository(WebhookRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, endpoint: WebhookEndpoint) -> None:
        values = {
            **_endpoint_values(endpoint),
            "id": endpoint.id,
            "version": endpoint.version,
            "failing_since": endpoint.failing_since,
        }
        await self._transaction.execute(_INSERT_ENDPOINT, values)
        self._transaction.touch(endpoint)

    async def count(self) -> int:
        return int((await self._transaction.execute(_COUNT, {})).scalar_one())

    async def get(self, webhook_id: WebhookId) -> WebhookEndpoint:
        row = (await self._transaction.execute(_LOAD_ENDPOINT, {"at_id": webhook_id})).one_or_none()
        if row is None:
            raise WebhookNotFound
        return _endpoint(row)

    async def save(self, endpoint: WebhookEndpoint) -> None:
        values = {**_endpoint_values(endpoint), "version": endpoint.version + 1}
        if endpoint.failing_since is None:
            values["failing_since"] = None
        await self._transaction.execute_guarded(
            _UPDATE_ENDPOINT, {**values, "at_id": endpoint.id, "at_version": endpoint.version}
        )
        endpoint.version += 1
        self._transaction.touch(endpoint)

    async def remove(self, endpoint: WebhookEndpoint) -> None:
        await self._transaction.execute_guarded(
            _REMOVE_ENDPOINT, {"at_id": endpoint.id, "at_version": endpoint.version}
        )
        self._transaction.touch(endpoint)

    async def enabled(self) -> Sequence[WebhookEndpoint]:
        return [_endpoint(row) for row in (await self._transaction.execute(_ENABLED, {})).all()]

    async def note_health(self, webhook_id: WebhookId, *, failing_since: datetime | None) -> None:
        await self._transaction.execute(_HEALTH, {"at_id": webhook_id, "since": failing_since})


class SqlDeliveryRepository(DeliveryRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add_all(self, deliveries: Sequence[Delivery]) -> None:
        rows = [{**_delivery_values(delivery), "id": delivery.id} for delivery in deliveries]
        await self._transaction.execute_many(_INSERT_DELIVERY, rows)

    async def get(self, delivery_id: DeliveryId, *, of: WebhookId) -> Delivery:
        parameters = {"at_id": delivery_id, "of_endpoint": of}
        row = (await self._transaction.execute(_LOAD_DELIVERY, parameters)).one_or_none()
        if row is None:
            raise DeliveryNotFound
        return _delivery(row)

    async def save(self, delivery: Delivery) -> None:
        # Guarded by the lock that `get` took: nothing else loads one to save it.
        await self._transaction.execute(_UPDATE_DELIVERY, {**_delivery_values(delivery), "at_id": delivery.id})

    async def claim(self, of: WebhookId, *, now: datetime, until: datetime, claim: UUID, limit: int) -> list[Delivery]:
        ids = await self._ids(_DUE_IDS, {"of_endpoint": of, "now": now, "rows": limit})
        if not ids:
            return []
        await self._transaction.execute(_CLAIM, {"ids": ids, "by": claim, "until": until})
        return [_delivery(row) for row in (await self._transaction.execute(_CLAIMED, {"ids": ids})).all()]

    async def replay_failed(self, of: WebhookId, *, since: datetime, now: datetime, limit: int) -> int:
        ids = await self._ids(_FAILED_IDS, {"of_endpoint": of, "since": smallest_id_at(since), "rows": limit})
        if ids:
            await self._transaction.execute(_REPLAY, {"ids": ids, "now": now})
        return len(ids)

    async def _ids(self, statement: Executable, parameters: dict[str, Any]) -> list[UUID]:
        return list((await self._transaction.execute(statement, parameters)).scalars())


class SqlFanOutCursor(FanOutCursor):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock(self) -> int:
        position = (await self._transaction.execute(_LOCK_CURSOR, {})).scalar_one_or_none()
        if position is None:
            await self._transaction.execute(_BEGIN_CURSOR, {"id": _ONLY, "position": 0}, _TAKEN)
            return 0
        return int(position)

    async def move(self, position: int) -> None:
        await self._transaction.execute(_MOVE_CURSOR, {"position": position})


class SqlWebhooksUnitOfWork(SqlUnitOfWork, WebhooksUnitOfWork):
    """One transaction on webhooks; good for one `async with`."""

    def __init__(self, database: Database, recorder: Recorder, listeners: Sequence[CommitListener] = ()) -> None:
        super().__init__(database, recorder, listeners)
        self._webhooks = SqlWebhookRepository(self.transaction)
        self._deliveries = SqlDeliveryRepository(self.transaction)
        self._fan_out = SqlFanOutCursor(self.transaction)

    @property
    def webhooks(self) -> SqlWebhookRepository:
        return self._webhooks

    @property
    def deliveries(self) -> SqlDeliveryRepository:
        return self._deliveries

    @property
    def fan_out(self) -> SqlFanOutCursor:
        return self._fan_out


class SqlWebhookReader(WebhookReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, webhook_id: WebhookId) -> WebhookView | None:
        row = await self._database.fetch_one(_ONE_ENDPOINT, {"at_id": webhook_id})
        return None if row is None else _endpoint_view(row)

    async def newest(self, *, limit: int, before: WebhookId | None) -> WebhookSlice:
        rows = await self._database.fetch_all(_NEWEST_ENDPOINTS, {"before": before or _LAST, "rows": limit + 1})
        return WebhookSlice([_endpoint_view(row) for row in rows[:limit]], more=len(rows) > limit)

    async def delivery(self, delivery_id: DeliveryId, *, of: WebhookId) -> DeliveryDetailView | None:
        row = await self._database.fetch_one(_ONE_DELIVERY, {"at_id": delivery_id, "of_endpoint": of})
        if row is None:
            return None
        *columns, body = row
        return DeliveryDetailView(**msgspec.structs.asdict(_delivery_view(columns)), payload=msgspec.Raw(body.encode()))

    async def deliveries(
        self, *, of: WebhookId, status: DeliveryStatus | None, limit: int, before: DeliveryId | None
    ) -> DeliverySlice:
        parameters: dict[str, Any] = {"of_endpoint": of, "before": before or _LAST, "rows": limit + 1}
        statement = _NEWEST_DELIVERIES
        if status is not None:
            statement = _NEWEST_OF_STATUS
            parameters["status"] = status.value
        rows = await self._database.fetch_all(statement, parameters)
        return DeliverySlice([_delivery_view(row) for row in rows[:limit]], more=len(rows) > limit)

    async def due(self, now: datetime) -> Sequence[WebhookId]:
        return [WebhookId(row[0]) for row in await self._database.fetch_all(_DUE, {"now": now})]


class SqlDeliveryRetention(DeliveryRetention):
    """Looks for rows outside of the transaction, so that nothing is locked but what is deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(self, *, before: datetime, limit: int) -> int:
        found = await self._database.fetch_all(_OLD, {"older": smallest_id_at(before), "rows": limit})
        ids = [row[0] for row in found] or await self._orphans(limit)
        if not ids:
            return 0
        transaction = Transaction(self._database)
        try:
            result = await transaction.execute(_DELETE, {"ids": ids})
            await transaction.commit()
        finally:
            await transaction.end()
        return result.rowcount if isinstance(result, CursorResult) else len(ids)

    async def _orphans(self, limit: int) -> list[UUID]:
        """Return ids of deliveries whose endpoint is gone."""
        # Read after the owner, so that an endpoint just registered is not taken for one that is gone.
        owner = await self._next_owner(UUID(int=0))
        while owner is not None:
            endpoints = {row[0] for row in await self._database.fetch_all(_ALL_ENDPOINTS, {})}
            if owner not in endpoints:
                found = await self._database.fetch_all(_OF_ORPHAN, {"of_endpoint": owner, "rows": limit})
                return [row[0] for row in found]
            owner = await self._next_owner(owner)
        return []

    async def _next_owner(self, after: UUID) -> UUID | None:
        row = await self._database.fetch_one(_NEXT_OWNER, {"after": after})
        found: UUID | None = None if row is None else row[0]
        return found


def _endpoint_values(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return what an endpoint stores, except for its id, its version, and how it is doing."""
    return {
        "url": endpoint.url.value,
        "event_types": msgspec.json.encode(endpoint.event_types.patterns).decode(),
        "description": None if endpoint.description is None else endpoint.description.value,
        "enabled": endpoint.enabled,
        "disabled_reason": None if endpoint.disabled_reason is None else endpoint.disabled_reason.value,
        "secret": endpoint.secret,
        "previous_secret": endpoint.previous_secret,
        "previous_until": endpoint.previous_until,
        "from_position": endpoint.from_position,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def _endpoint(row: AnyRow) -> WebhookEndpoint:
    return WebhookEndpoint.restore(
        id=WebhookId(row.id),
        url=EndpointUrl(row.url),
        event_types=EventTypes(tuple(_strings(row.event_types))),
        description=None if row.description is None else Description(row.description),
        enabled=row.enabled,
        disabled_reason=None if row.disabled_reason is None else DisabledReason(row.disabled_reason),
        secret=row.secret,
        previous_secret=row.previous_secret,
        previous_until=row.previous_until,
        from_position=row.from_position,
        failing_since=row.failing_since,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


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


def _endpoint_view(row: AnyRow) -> WebhookView:
    id, url, types, description, enabled, reason, failing_since, previous_until, created_at, updated_at, version = row
    return WebhookView(
        id=id,
        url=url,
        event_types=_strings(types),
        description=description,
        enabled=enabled,
        disabled_reason=None if reason is None else DisabledReason(reason),
        failing_since=failing_since,
        previous_secret_until=previous_until,
        created_at=created_at,
        updated_at=updated_at,
        version=version,
    )


def _delivery_view(row: Sequence[Any]) -> DeliveryView:
    id, webhook_id, event_id, event_type, status, attempts, next_at, last_at, last_code, last_error, created_at = row
    return DeliveryView(
        id=id,
        webhook_id=webhook_id,
        event_id=event_id,
        event_type=event_type,
        status=DeliveryStatus(status),
        attempts=attempts,
        next_attempt_at=next_at,
        last_attempt_at=last_at,
        last_status_code=last_code,
        last_error=last_error,
        created_at=created_at,
    )
