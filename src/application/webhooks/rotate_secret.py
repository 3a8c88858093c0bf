"""Changing the secret of a webhook."""

from dataclasses import dataclass

from application.shared.clock import Clock
from application.webhooks.ports import WebhookSecrets, WebhooksUnits
from application.webhooks.views import CreatedWebhookView, created_view
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId


@dataclass(frozen=True, slots=True)
class RotateSecretCommand:
    actor: Actor
    webhook_id: WebhookId


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateSecret:
    """Give a webhook a new secret, which is shown this once.

    For 24 hours deliveries carry two signatures, by the new secret and by the one before, so that a receiver may change
    in between. The one before that holds no more.
    """

    uow: WebhooksUnits
    secrets: WebhookSecrets
    clock: Clock

    async def execute(self, command: RotateSecretCommand) -> CreatedWebhookView:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        secret = self.secrets.new(owner=command.webhook_id)
        async with self.uow() as uow:
            endpoint = await uow.webhooks.get(command.webhook_id)
            endpoint.rotate_secret(secret.sealed, by=command.actor, at=self.clock.now())
            await uow.webhooks.save(endpoint)
            await uow.commit()
        return created_view(endpoint, secret.text)
