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


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDeliveries:
    """List what a webhook was sent, or is to be sent, newest first. Deliveries are kept for 30 days."""

    reader: WebhookReader
    cursors: CursorCodec

    async def execute(self, query: ListDeliveriesQuery) -> DeliveryPageView:
        query.actor.require(Permission.MANAGE_WEBHOOKS)
        if await self.reader.get(query.webhook_id) is None:
            raise WebhookNotFound
        scope = scope_of("deliveries", {"webhook": str(query.webhook_id), "status": query.status})
        cursor = query.page.cursor
        before = None if cursor is None else DeliveryId(self.cursors.decode(scope, cursor))
        found = await self.reader.deliveries(
            of=query.webhook_id, status=query.status, limit=query.page.limit, before=before
        )
        last = UUID(found.items[-1].id) if found.more else None
        return DeliveryPageView(found.items, None if last is None else self.cursors.encode(scope, last))
