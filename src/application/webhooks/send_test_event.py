"""Trying a webhook out."""

from collections.abc import Callable
from dataclasses import dataclass

from application.shared.clock import Clock
from application.shared.event_log import LoggedEvent
from application.shared.ids import IdGenerator
from application.webhooks.ports import WebhooksUnits
from application.webhooks.views import DeliveryView, delivery_view, sample_event_data
from domain.shared.actor import Actor, Permission
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.delivery import Delivery
from domain.webhooks.errors import WebhookDisabled
from domain.webhooks.values import TEST_EVENT


@dataclass(frozen=True, slots=True)
class SendTestEventCommand:
    actor: Actor
    webhook_id: WebhookId


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTestEvent:
    """Queue a `webhook.test` for one webhook, whatever it is told of otherwise. It is sent, signed and retried as all
    events are.
    """

    uow: WebhooksUnits
    envelope: Callable[[LoggedEvent], bytes]
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: SendTestEventCommand) -> DeliveryView:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        now = self.clock.now()
        event = LoggedEvent(
            position=0,
            id=self.ids.new(now),
            type=TEST_EVENT,
            version=1,
            subject=command.webhook_id,
            owner_id=None,
            public=False,
            time=now,
            data=sample_event_data(command.webhook_id),
        )
        delivery = Delivery.queue(
            id=DeliveryId(self.ids.new(now)),
            endpoint_id=command.webhook_id,
            event_id=event.id,
            event_type=event.type,
            body=self.envelope(event),
            at=now,
        )
        async with self.uow() as uow:
            if not (await uow.webhooks.get(command.webhook_id)).enabled:
                raise WebhookDisabled
            await uow.deliveries.add_all([delivery])
            await uow.commit()
        return delivery_view(delivery)
