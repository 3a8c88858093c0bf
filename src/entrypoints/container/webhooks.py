"""Webhooks, and what sends them."""

import random

from dependency_injector import providers

from adapters.security.webhook_secrets import SealedWebhookSecrets
from adapters.webhooks.addresses import AddressPolicy
from adapters.webhooks.dispatcher import Dispatcher
from adapters.webhooks.resolver import SystemResolver
from adapters.webhooks.target import ResolvingTargetGuard
from application.shared.clock import Clock
from application.webhooks.counts import DeliveryCounts
from application.webhooks.deliver import Deliver
from application.webhooks.fan_out import FanOut
from application.webhooks.ports import WebhookSender
from application.webhooks.purge import PurgeDeliveries
from application.webhooks.use_cases import WebhooksUseCases
from entrypoints.container.infrastructure import Infrastructure


def _sender(guard: ResolvingTargetGuard, clock: Clock) -> WebhookSender:
    from adapters.webhooks.sender import HttpcoreWebhookSender  # noqa: PLC0415 - a server that sends none needs no client

    return HttpcoreWebhookSender(guard, clock)


class Webhooks(Infrastructure):
    webhook_secrets = providers.Singleton(SealedWebhookSecrets, Infrastructure.secret_box)
    webhook_resolver = providers.Singleton(SystemResolver)
    webhook_guard = providers.Singleton(
        ResolvingTargetGuard,
        webhook_resolver,
        providers.Singleton(AddressPolicy, Infrastructure.settings.provided.webhook_allowed_networks),
    )
    webhook_sender = providers.Singleton(_sender, webhook_guard, Infrastructure.clock)

    webhooks = providers.Singleton(
        WebhooksUseCases,
        uow=Infrastructure.storage.provided.webhooks_units,
        reader=Infrastructure.storage.provided.webhooks,
        guard=webhook_guard,
        secrets=webhook_secrets,
        events=Infrastructure.storage.provided.events,
        envelope=Infrastructure.envelope,
        ids=Infrastructure.ids,
        clock=Infrastructure.clock,
        cursors=Infrastructure.cursors,
        writing=Infrastructure.writing,
    )

    # Beside the requests
    fan_out = providers.Singleton(
        FanOut,
        uow=Infrastructure.storage.provided.webhooks_units,
        events=Infrastructure.storage.provided.events,
        envelope=Infrastructure.envelope,
        ids=Infrastructure.ids,
        clock=Infrastructure.clock,
    )
    delivery_counts = providers.Singleton(DeliveryCounts)
    """Apart from who counts: where nothing is sent from, they are asked for all the same."""
    dispatcher = providers.Singleton(
        Dispatcher,
        providers.Singleton(
            Deliver,
            uow=Infrastructure.storage.provided.webhooks_units,
            reader=Infrastructure.storage.provided.webhooks,
            sender=webhook_sender,
            secrets=webhook_secrets,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
            random=providers.Object(random.random),
            counts=delivery_counts,
        ),
    )
    purge_deliveries = providers.Singleton(
        PurgeDeliveries, retention=Infrastructure.storage.provided.deliveries, clock=Infrastructure.clock
    )
