"""Sending everything again that failed."""

from dataclasses import dataclass
from datetime import datetime

from application.shared.clock import Clock
from application.webhooks.ports import WebhooksUnits
from application.webhooks.views import ReplayedView
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId
from domain.webhooks.errors import WebhookDisabled

_BATCH = 500
"""Deliveries a transaction: others that want the rows wait no longer than for this many."""


@dataclass(frozen=True, slots=True)
class ReplayFailedCommand:
    actor: Actor
    webhook_id: WebhookId
    since: datetime
    """Deliveries that were queued then or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFailed:
    """Send every failed delivery again that was queued since a time: after a receiver was down for days, say."""

    uow: WebhooksUnits
    clock: Clock

    async def execute(self, command: ReplayFailedCommand) -> ReplayedView:
        command.actor.require(Permission.MANAGE_WEBHOOKS)
        replayed, batch = 0, _BATCH
        while batch == _BATCH:
            async with self.uow() as uow:
                if not (await uow.webhooks.get(command.webhook_id)).enabled:
                    raise WebhookDisabled
                batch = await uow.deliveries.replay_failed(
                    command.webhook_id, since=command.since, now=self.clock.now(), limit=_BATCH
                )
                await uow.commit()
            replayed += batch
        return ReplayedView(replayed)
