"""The event log's ways out: the relay, and what forgets old events."""

import random
from datetime import timedelta
from typing import Protocol

from dependency_injector import providers

from application.events.ports import EventPublisher, RelayQueue
from application.events.purge import PurgeEvents
from application.events.relay import Relay, RetryPolicy
from application.events.retention import EventRetention
from application.events.views import Envelopes
from application.shared.clock import Clock
from application.shared.event_log import EventLog
from application.shared.health import Probe
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.settings import Settings


class Publisher(EventPublisher, Probe, Protocol):
    """A way to a broker that can also tell whether the broker answers."""


def _publisher(settings: Settings) -> Publisher | None:
    """Return the publisher that BROKER_URL names, which connects when it is first used; None without one."""
    # Each brings a client library that takes a tenth of a second to import, so only the one in use is imported.
    url, topic = settings.broker_url, settings.broker_topic
    if url is None:
        return None
    match url.partition(":")[0].lower():
        case "amqp" | "amqps":
            from adapters.broker.rabbitmq import RabbitMqPublisher  # noqa: PLC0415

            return RabbitMqPublisher(url, exchange=topic)
        case "redis" | "rediss":
            from adapters.broker.redis_streams import RedisStreamsPublisher  # noqa: PLC0415

            return RedisStreamsPublisher(url, stream=topic)
        case _:
            from adapters.broker.stdout import StdoutPublisher  # noqa: PLC0415

            return StdoutPublisher()


def _relay(
    settings: Settings,
    publisher: Publisher | None,
    *,
    log: EventLog,
    queue: RelayQueue,
    envelope: Envelopes,
    clock: Clock,
) -> Relay | None:
    if publisher is None:
        return None
    return Relay(
        log=log,
        queue=queue,
        publisher=publisher,
        envelope=envelope,
        clock=clock,
        random=random.random,
        policy=RetryPolicy(attempts=settings.relay_max_attempts),
        batch=settings.relay_batch,
    )


def _purge(settings: Settings, *, retention: EventRetention, clock: Clock) -> PurgeEvents:
    return PurgeEvents(
        retention=retention,
        clock=clock,
        keep=timedelta(days=settings.event_retention_days),
        delivered_only=settings.broker_url is not None,
    )


class Events(Infrastructure):
    """What becomes of events beside what is shown live."""

    publisher = providers.Singleton(_publisher, Infrastructure.settings)
    relay = providers.Singleton(
        _relay,
        Infrastructure.settings,
        publisher,
        log=Infrastructure.storage.provided.events,
        queue=Infrastructure.storage.provided.relay_queue,
        envelope=Infrastructure.envelope,
        clock=Infrastructure.clock,
    )
    purge_events = providers.Singleton(
        _purge, Infrastructure.settings, retention=Infrastructure.storage.provided.retention, clock=Infrastructure.clock
    )
