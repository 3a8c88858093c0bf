"""Reading one webhook."""

from dataclasses import dataclass

from application.webhooks.ports import WebhookReader
from application.webhooks.views import WebhookView
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId
from domain.webhooks.errors import WebhookNotFound


@dataclass(frozen=True, slots=True)
class GetWebhookQuery:
    actor: Actor
    webhook_id: WebhookId


@dataclass(frozen=True, slots=True, kw_only=True)
class GetWebhook:
    """Read a webhook; its secret is not shown again. Only administrators may."""

    reader: WebhookReader

    async def execute(self, query: GetWebhookQuery) -> WebhookView:
        query.actor.require(Permission.MANAGE_WEBHOOKS)
        view = await self.reader.get(query.webhook_id)
        if view is None:
            raise WebhookNotFound
        return view
