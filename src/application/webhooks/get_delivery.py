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


class GetDelivery:
    """Read one delivery with what is sent: how often it was tried, what came back last, and when it is tried next."""

    def __init__(self, *, reader: WebhookReader) -> None:
        self._reader = reader

    async def execute(self, query: GetDeliveryQuery) -> DeliveryDetailView:
        query.actor.require(Permission.MANAGE_WEBHOOKS)
        if await self._reader.get(query.webhook_id) is None:
            raise WebhookNotFound
        view = await self._reader.delivery(query.delivery_id, of=query.webhook_id)
        if view is None:
            raise DeliveryNotFound
        return view
