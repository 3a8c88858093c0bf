"""Changing a webhook."""

from dataclasses import dataclass

from application.shared.clock import Clock
from application.shared.event_log import EventLog
from application.webhooks.ports import TargetGuard, WebhooksUnits
from application.webhooks.views import WebhookView, webhook_view
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId
from domain.webhooks.errors import WebhookChanged
from domain.webhooks.values import Description, EndpointUrl, EventTypes


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Stands for what a command leaves as it is, where None has a meaning of its own."""


UNCHANGED = Unchanged()


@dataclass(frozen=True, slots=True)
class EditWebhookCommand:
    actor: Actor
    webhook_id: WebhookId
    url: EndpointUrl | None = None
    """None leaves it as it is, here and for the next; so does `UNCHANGED` for the description, which None takes off."""
    event_types: EventTypes | None = None
    description: Description | Unchanged | None = UNCHANGED
    enabled: bool | None = None
    if_version: int | None = None
    """The version that the caller saw; None changes whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditWebhook:
    """Change where a webhook leads, what it is told of, what it is called, or whether it is sent anything.

    Disabled, it is not told of what happens meanwhile; what was waiting for it goes out when it is enabled again.
    """

    uow: WebhooksUnits
    guard: TargetGuard
    events: EventLog
    clock: Clock

    async def execute(self, command: EditWebhookCommand) -> WebhookView:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        if command.url is not None:
            await self.guard.check(command.url)
        await self.events.assign_positions()
        position = await self.events.head()
        async with self.uow() as uow:
            endpoint = await uow.webhooks.get(command.webhook_id)
            if command.if_version not in (None, endpoint.version):
                raise WebhookChanged
            description = command.description
            endpoint.edit(
                by=command.actor,
                url=command.url or endpoint.url,
                event_types=command.event_types or endpoint.event_types,
                description=endpoint.description if isinstance(description, Unchanged) else description,
                enabled=endpoint.enabled if command.enabled is None else command.enabled,
                position=position,
                at=self.clock.now(),
            )
            await uow.webhooks.save(endpoint)
            await uow.commit()
        return webhook_view(endpoint)
