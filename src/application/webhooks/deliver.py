"""Sending what is due."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from application.shared.clock import Clock
from application.shared.ids import IdGenerator
from application.webhooks.counts import DeliveryCounts
from application.webhooks.ports import (
    SecretUnreadable,
    WebhookReader,
    WebhookRequest,
    WebhookSecrets,
    WebhookSender,
    WebhooksUnits,
)
from domain.shared.ids import WebhookId
from domain.webhooks.delivery import Delivery, Outcome
from domain.webhooks.endpoint import FAILING_DISABLES_AFTER, DisabledReason, WebhookEndpoint
from domain.webhooks.errors import DeliveryNotFound, WebhookNotFound

LEASE = timedelta(seconds=60)
"""How long a claim holds: four times what an attempt may take. After a crash an attempt is made again that much
later. Processes compare it by their own clocks, which therefore may differ by less."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is this process's own to try, for as long as the lease lasts."""

    endpoint: WebhookEndpoint
    delivery: Delivery
    claim: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Claims deliveries, tries each once, and stores what came of it.

    At least once: whoever dies in the middle of an attempt leaves a claim that runs out, and another tries again. What
    a holder reports after its claim ran out and was taken over is dropped.
    """

    uow: WebhooksUnits
    reader: WebhookReader
    sender: WebhookSender
    secrets: WebhookSecrets
    ids: IdGenerator
    clock: Clock
    random: Callable[[], float]
    counts: DeliveryCounts

    async def due(self) -> Sequence[WebhookId]:
        """Return the endpoints that something is due for."""
        return await self.reader.due(self.clock.now())

    async def claim(self, webhook_id: WebhookId, *, limit: int) -> Sequence[Claimed]:
        """Take up to `limit` due deliveries of one endpoint; none when it is disabled or gone."""
        now = self.clock.now()
        claim = self.ids.new(now)
        async with self.uow() as uow:
            try:
                endpoint = await uow.webhooks.get(webhook_id)
            except WebhookNotFound:
                return []
            if not endpoint.enabled:
                return []
            found = await uow.deliveries.claim(webhook_id, now=now, until=now + LEASE, claim=claim, limit=limit)
            await uow.commit()
        return [Claimed(endpoint, delivery, claim) for delivery in found]

    async def attempt(self, claimed: Claimed) -> None:
        """Send one delivery and store how it went. Raises `TransientFailure` and `StorageUnavailable`."""
        await self.note(claimed, await self.send(claimed))

    async def send(self, claimed: Claimed) -> Outcome:
        outcome = await self._sent(claimed)
        self.counts.attempted(outcome)
        return outcome

    async def _sent(self, claimed: Claimed) -> Outcome:
        endpoint, delivery = claimed.endpoint, claimed.delivery
        now = self.clock.now()
        id, seconds = str(delivery.event_id), int(now.timestamp())
        try:
            signature = self.secrets.sign(
                endpoint.signing_secrets(now), owner=endpoint.id, id=id, timestamp=seconds, body=delivery.body
            )
        except SecretUnreadable:
            return Outcome(error="secret")
        return await self.sender.send(
            WebhookRequest(url=endpoint.url, id=id, timestamp=seconds, signature=signature, body=delivery.body)
        )

    async def note(self, claimed: Claimed, outcome: Outcome) -> None:
        """Store the outcome, unless the claim is another's by now. Raises as `attempt` does."""
        now = self.clock.now()
        async with self.uow() as uow:
            try:
                # The endpoint first, as everybody locks the two.
                endpoint = await uow.webhooks.get(claimed.endpoint.id)
                delivery = await uow.deliveries.get(claimed.delivery.id, of=endpoint.id)
            except (WebhookNotFound, DeliveryNotFound):
                return
            if delivery.claim != claimed.claim:
                return
            delivery.note(outcome, at=now, random=self.random())
            await uow.deliveries.save(delivery)
            if outcome.is_success:
                if endpoint.failing_since is not None:
                    await uow.webhooks.set_failing_since(endpoint.id, failing_since=None)
            elif outcome.is_gone:
                endpoint.disable(DisabledReason.GONE, at=now)
                await uow.webhooks.save(endpoint)
            elif endpoint.failing_since is None:
                await uow.webhooks.set_failing_since(endpoint.id, failing_since=now)
            elif now - endpoint.failing_since >= FAILING_DISABLES_AFTER:
                endpoint.disable(DisabledReason.FAILING, at=now)
                await uow.webhooks.save(endpoint)
            await uow.commit()
        self.counts.noted(delivery.status)
