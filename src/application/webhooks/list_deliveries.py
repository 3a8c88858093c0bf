"""Listing the deliveries of a webhook."""

from dataclasses import dataclass
from uuid import UUID

from application.shared.paging import CursorCodec, PageRequest, scope_of
from application.webhooks.ports import WebhookReader
from application.webhooks.views import DeliveryPageView
from domain.shared.actor import Actor, Permission
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.delivery import DeliveryStatus
from domain.webhooks.errors import WebhookNotFound


@dataclass(frozen=True, slots=True)
class ListDeliveriesQuery:
    actor: Actor
    webhook_id: WebhookId
    page: PageRequest
    status: DeliveryStatus | None = None
    """Only these; None: all."""


class ListDeliveries:
    """List what a webhook was sent, or is to be sent, newest first. Deliveries are kept for 30 days."""

    def __init__(self, *, reader: WebhookReader, cursors: CursorCodec) -> None:
        self._reader = reader
        self._cursors = cursors

    async def execute(self, query: ListDeliveriesQuery) -> DeliveryPageView:
        query.actor.require(Permission.MANAGE_WEBHOOKS)
        if await self._reader.get(query.webhook_id) is None:
            raise WebhookNotFound
        scope = scope_of("deliveries", {"webhook": str(query.webhook_id), "status": query.status})
        cursor = query.page.cursor
        before = None if cursor is None else DeliveryId(self._cursors.decode(scope, cursor))
        found = await self._reader.deliveries(
            of=query.webhook_id, status=query.status, limit=query.page.limit, before=before
        )
        last = UUID(found.items[-1].id) if found.more else None
        return DeliveryPageView(found.items, None if last is None else self._cursors.encode(scope, last))
