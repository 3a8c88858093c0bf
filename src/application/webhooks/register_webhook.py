"""Registering a webhook."""

from dataclasses import dataclass

from application.shared.clock import Clock
from application.shared.event_log import EventLog
from application.shared.idempotency import IdempotencyClaim
from application.shared.ids import IdGenerator
from application.webhooks.ports import TargetGuard, WebhookSecrets, WebhooksUnits
from application.webhooks.views import CreatedWebhookView, created_view
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId
from domain.webhooks.endpoint import WebhookEndpoint
from domain.webhooks.errors import TooManyWebhooks
from domain.webhooks.values import WEBHOOKS_MAX, Description, EndpointUrl, EventTypes


@dataclass(frozen=True, slots=True)
class RegisterWebhookCommand:
    actor: Actor
    url: EndpointUrl
    event_types: EventTypes
    description: Description | None
    enabled: bool = True
    idempotency: IdempotencyClaim[CreatedWebhookView] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWebhook:
    """Have events sent to a URL, from now on, as signed POST requests (Standard Webhooks, CloudEvents).

    The secret is shown this once. The host is resolved here, and again for every delivery; private, loopback and other
    special addresses are refused, except for what the operator allows. There may be 100 webhooks.
    """

    uow: WebhooksUnits
    guard: TargetGuard
    secrets: WebhookSecrets
    events: EventLog
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: RegisterWebhookCommand) -> CreatedWebhookView:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        await self.guard.check(command.url)
        # What was committed before has its position by then, so that it is not taken for new.
        await self.events.assign_positions()
        now = self.clock.now()
        id = WebhookId(self.ids.new(now))
        secret = self.secrets.new(owner=id)
        endpoint = WebhookEndpoint.register(
            id=id,
            by=command.actor,
            url=command.url,
            event_types=command.event_types,
            description=command.description,
            enabled=command.enabled,
            secret=secret.sealed,
            from_position=await self.events.head(),
            at=now,
        )
        view = created_view(endpoint, secret.text)
        async with self.uow() as uow:
            await uow.idempotency.claim(command.idempotency, view)
            # The lock is what makes the count hold.
            await uow.fan_out.lock()
            if await uow.webhooks.count() >= WEBHOOKS_MAX:
                raise TooManyWebhooks
            await uow.webhooks.add(endpoint)
            await uow.commit()
        return view
