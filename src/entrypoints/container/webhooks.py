"""The use cases of webhooks, and what sends them."""

import random

from dependency_injector import providers

from adapters.security.webhook_secrets import SealedWebhookSecrets
from adapters.webhooks.addresses import AddressPolicy
from adapters.webhooks.dispatcher import Dispatcher
from adapters.webhooks.resolver import SystemResolver
from adapters.webhooks.target import ResolvingTargetGuard
from application.events.views import Envelopes
from application.shared.clock import Clock
from application.webhooks.counts import DeliveryCounts
from application.webhooks.delete_webhook import DeleteWebhook
from application.webhooks.deliver import Deliver
from application.webhooks.edit_webhook import EditWebhook
from application.webhooks.fan_out import FanOut
from application.webhooks.get_delivery import GetDelivery
from application.webhooks.get_webhook import GetWebhook
from application.webhooks.list_deliveries import ListDeliveries
from application.webhooks.list_webhooks import ListWebhooks
from application.webhooks.ports import WebhookSender
from application.webhooks.purge import PurgeDeliveries
from application.webhooks.register_webhook import RegisterWebhook
from application.webhooks.replay_delivery import ReplayDelivery
from application.webhooks.replay_failed import ReplayFailed
from application.webhooks.rotate_secret import RotateSecret
from application.webhooks.send_test_event import SendTestEvent
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.container.retried import retried


def _sender(guard: ResolvingTargetGuard, clock: Clock) -> WebhookSender:
    from adapters.webhooks.sender import HttpcoreWebhookSender  # noqa: PLC0415 - a server that sends none needs no client

    return HttpcoreWebhookSender(guard, clock)


class WebhooksUseCases(Infrastructure):
    """Webhooks."""

    webhook_secrets = providers.Singleton(SealedWebhookSecrets, Infrastructure.secret_box)
    webhook_resolver = providers.Singleton(SystemResolver)
    webhook_guard = providers.Singleton(
        ResolvingTargetGuard,
        webhook_resolver,
        providers.Singleton(AddressPolicy, Infrastructure.settings.provided.webhook_allowed_networks),
    )
    webhook_sender = providers.Singleton(_sender, webhook_guard, Infrastructure.clock)
    _envelope = providers.Singleton(Envelopes, api=Infrastructure.settings.provided.events_source)

    register_webhook = providers.Singleton(
        retried,
        providers.Singleton(
            RegisterWebhook,
            uow=Infrastructure.storage.provided.webhooks_units,
            guard=webhook_guard,
            secrets=webhook_secrets,
            events=Infrastructure.storage.provided.events,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
    )
    edit_webhook = providers.Singleton(
        retried,
        providers.Singleton(
            EditWebhook,
            uow=Infrastructure.storage.provided.webhooks_units,
            guard=webhook_guard,
            events=Infrastructure.storage.provided.events,
            clock=Infrastructure.clock,
        ),
    )
    delete_webhook = providers.Singleton(
        retried,
        providers.Singleton(
            DeleteWebhook, uow=Infrastructure.storage.provided.webhooks_units, clock=Infrastructure.clock
        ),
    )
    rotate_webhook_secret = providers.Singleton(
        retried,
        providers.Singleton(
            RotateSecret,
            uow=Infrastructure.storage.provided.webhooks_units,
            secrets=webhook_secrets,
            clock=Infrastructure.clock,
        ),
    )
    send_test_event = providers.Singleton(
        retried,
        providers.Singleton(
            SendTestEvent,
            uow=Infrastructure.storage.provided.webhooks_units,
            envelope=_envelope,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
    )
    replay_delivery = providers.Singleton(
        retried,
        providers.Singleton(
            ReplayDelivery, uow=Infrastructure.storage.provided.webhooks_units, clock=Infrastructure.clock
        ),
    )
    replay_failed = providers.Singleton(
        retried,
        providers.Singleton(
            ReplayFailed, uow=Infrastructure.storage.provided.webhooks_units, clock=Infrastructure.clock
        ),
    )
    list_webhooks = providers.Singleton(
        ListWebhooks, reader=Infrastructure.storage.provided.webhooks, cursors=Infrastructure.cursors
    )
    get_webhook = providers.Singleton(GetWebhook, reader=Infrastructure.storage.provided.webhooks)
    list_deliveries = providers.Singleton(
        ListDeliveries, reader=Infrastructure.storage.provided.webhooks, cursors=Infrastructure.cursors
    )
    get_delivery = providers.Singleton(GetDelivery, reader=Infrastructure.storage.provided.webhooks)

    # Beside the requests
    fan_out = providers.Singleton(
        FanOut,
        uow=Infrastructure.storage.provided.webhooks_units,
        events=Infrastructure.storage.provided.events,
        envelope=_envelope,
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
