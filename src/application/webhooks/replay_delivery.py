"""Sending a delivery again."""

from dataclasses import dataclass

from application.shared.clock import Clock
from application.webhooks.ports import WebhooksUnits
from application.webhooks.views import DeliveryView, delivery_view
from domain.shared.actor import Actor, Permission
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.errors import WebhookDisabled


@dataclass(frozen=True, slots=True)
class ReplayDeliveryCommand:
    actor: Actor
    webhook_id: WebhookId
    delivery_id: DeliveryId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDelivery:
    """Send a delivery again at once, whatever became of it, with the same `webhook-id` and body, from the start of the
    schedule.
    """

    uow: WebhooksUnits
    clock: Clock

    async def execute(self, command: ReplayDeliveryCommand) -> DeliveryView:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        async with self.uow() as uow:
            if not (await uow.webhooks.get(command.webhook_id)).enabled:
                raise WebhookDisabled
            delivery = await uow.deliveries.get(command.delivery_id, of=command.webhook_id)
            delivery.replay(at=self.clock.now())
            await uow.deliveries.save(delivery)
            await uow.commit()
        return delivery_view(delivery)
