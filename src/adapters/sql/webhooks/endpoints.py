"""Webhook endpoints: the repository, which writes them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Integer, bindparam, delete, func, insert, select, update

from adapters.sql.database import AnyRow
from adapters.sql.tables import WebhookEndpointRow, table_of
from adapters.sql.transaction import SqlRepository
from adapters.sql.types import Id, Timestamp
from application.webhooks.ports import WebhookRepository
from domain.shared.ids import WebhookId
from domain.webhooks.endpoint import DisabledReason, WebhookEndpoint
from domain.webhooks.errors import WebhookNotFound
from domain.webhooks.values import Description, EndpointUrl, EventTypes

_ENDPOINTS = table_of(WebhookEndpointRow)

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
    .values(failing_since=bindparam("since", type_=Timestamp))
)

decode_event_types = msgspec.json.Decoder(list[str]).decode


class SqlWebhookRepository(SqlRepository, WebhookRepository):
    async def add(self, endpoint: WebhookEndpoint) -> None:
        values = {
            **_endpoint_values(endpoint),
            "id": endpoint.id,
            "version": endpoint.version,
            "failing_since": endpoint.failing_since,
        }
        await self._transaction.run(_INSERT_ENDPOINT, values)
        self._track(endpoint)

    async def count(self) -> int:
        return int((await self._transaction.run(_COUNT, {})).scalar())

    async def get(self, webhook_id: WebhookId) -> WebhookEndpoint:
        row = (await self._transaction.run(_LOAD_ENDPOINT, {"at_id": webhook_id})).one_or_none()
        if row is None:
            raise WebhookNotFound
        return _endpoint(row)

    async def save(self, endpoint: WebhookEndpoint) -> None:
        values = {**_endpoint_values(endpoint), "version": endpoint.version + 1}
        if endpoint.failing_since is None:
            values["failing_since"] = None
        await self._transaction.run_guarded(
            _UPDATE_ENDPOINT, {**values, "at_id": endpoint.id, "at_version": endpoint.version}
        )
        endpoint.version += 1
        self._track(endpoint)

    async def remove(self, endpoint: WebhookEndpoint) -> None:
        await self._transaction.run_guarded(_REMOVE_ENDPOINT, {"at_id": endpoint.id, "at_version": endpoint.version})
        self._track(endpoint)

    async def enabled(self) -> Sequence[WebhookEndpoint]:
        return [_endpoint(row) for row in (await self._transaction.run(_ENABLED, {})).rows]

    async def set_failing_since(self, webhook_id: WebhookId, *, failing_since: datetime | None) -> None:
        await self._transaction.run(_HEALTH, {"at_id": webhook_id, "since": failing_since})


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
        event_types=EventTypes(tuple(decode_event_types(row.event_types))),
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
