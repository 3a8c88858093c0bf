"""Forgetting deliveries: old ones, and those whose endpoint is gone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, select

from adapters.sql.database import Database
from adapters.sql.keyset import FIRST, ROWS
from adapters.sql.tables import WebhookDeliveryRow, WebhookEndpointRow, table_of
from adapters.sql.transaction import write
from adapters.sql.types import Id
from application.webhooks.ports import DeliveryRetention
from domain.shared.ids import smallest_id_at

_ENDPOINTS = table_of(WebhookEndpointRow)
_DELIVERIES = table_of(WebhookDeliveryRow)

_OF = bindparam("of_endpoint", type_=Id)
_IDS = bindparam("ids", expanding=True, type_=Id)

_OLD = (
    select(_DELIVERIES.c.id)
    .where(_DELIVERIES.c.id < bindparam("older", type_=Id))
    .order_by(_DELIVERIES.c.id)
    .limit(ROWS)
)
# A step from one endpoint to the next along the index: a deleted one is found without reading what the others have.
_NEXT_OWNER = (
    select(_DELIVERIES.c.endpoint_id)
    .where(_DELIVERIES.c.endpoint_id > bindparam("after", type_=Id))
    .order_by(_DELIVERIES.c.endpoint_id)
    .limit(1)
)
_OF_ORPHAN = select(_DELIVERIES.c.id).where(_DELIVERIES.c.endpoint_id == _OF).limit(ROWS)
_ALL_ENDPOINTS = select(_ENDPOINTS.c.id)
_DELETE = delete(_DELIVERIES).where(_DELIVERIES.c.id.in_(_IDS))


class SqlDeliveryRetention(DeliveryRetention):
    """Looks for rows outside of the transaction, so that nothing is locked but what is deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(self, *, before: datetime, limit: int) -> int:
        found = await self._database.fetch_all(_OLD, {"older": smallest_id_at(before), "rows": limit})
        ids = [row.id for row in found] or await self._orphans(limit)
        return await write(self._database, _DELETE, {"ids": ids}) if ids else 0

    async def _orphans(self, limit: int) -> list[UUID]:
        """Return ids of deliveries whose endpoint is gone."""
        # Read after the owner, so that an endpoint just registered is not taken for one that is gone.
        owner = await self._next_owner(FIRST)
        while owner is not None:
            endpoints = {row.id for row in await self._database.fetch_all(_ALL_ENDPOINTS, {})}
            if owner not in endpoints:
                found = await self._database.fetch_all(_OF_ORPHAN, {"of_endpoint": owner, "rows": limit})
                return [row.id for row in found]
            owner = await self._next_owner(owner)
        return []

    async def _next_owner(self, after: UUID) -> UUID | None:
        row = await self._database.fetch_one(_NEXT_OWNER, {"after": after})
        found: UUID | None = None if row is None else row.endpoint_id
        return found
