"""Deleting a webhook."""

from dataclasses import dataclass

from application.shared.clock import Clock
from application.webhooks.ports import WebhooksUnits
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId
from domain.webhooks.errors import WebhookChanged


@dataclass(frozen=True, slots=True)
class DeleteWebhookCommand:
    actor: Actor
    webhook_id: WebhookId
    if_version: int | None = None
    """The version that the caller saw; None deletes whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWebhook:
    """Delete a webhook with its deliveries. Nothing more is sent; an attempt that is under way may still arrive."""

    uow: WebhooksUnits
    clock: Clock

    async def execute(self, command: DeleteWebhookCommand) -> None:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        async with self.uow() as uow:
            endpoint = await uow.webhooks.get(command.webhook_id)
            if command.if_version not in (None, endpoint.version):
                raise WebhookChanged
            endpoint.delete(by=command.actor, at=self.clock.now())
            await uow.webhooks.remove(endpoint)
            await uow.commit()
