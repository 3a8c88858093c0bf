"""Reading one delivery."""

from dataclasses import dataclass

from application.webhooks.ports import WebhookReader
from application.webhooks.views import DeliveryDetailView
from domain.shared.actor import Actor, Permission
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.errors import DeliveryNotFound, WebhookNotFound


@dataclass(frozen=True, slots=True)
class GetDeliveryQuery:
    actor: Actor
    webhook_id: WebhookId
    delivery_id: DeliveryId


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDelivery:
    """Read one delivery with what is sent: how often it was tried, what came back last, and when it is tried next."""

    reader: WebhookReader

    async def execute(self, query: GetDeliveryQuery) -> DeliveryDetailView:
        query.actor.require(Permission.MANAGE_WEBHOOKS)
        if await self.reader.get(query.webhook_id) is None:
            raise WebhookNotFound
        view = await self.reader.delivery(query.delivery_id, of=query.webhook_id)
        if view is None:
            raise DeliveryNotFound
        return view
