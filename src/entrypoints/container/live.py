"""Live events."""

import time

from dependency_injector import providers

from adapters.live.hub import LiveHub
from adapters.live.sse import event_format
from entrypoints.container.infrastructure import Infrastructure


class LiveEvents(Infrastructure):
    """The hub that fills every live stream of the process."""

    live_hub = providers.Singleton(
        LiveHub,
        Infrastructure.storage.provided.events,
        Infrastructure.commit_signal,
        providers.Singleton(event_format, Infrastructure.envelope),
        max_streams=Infrastructure.settings.provided.live_max_streams,
        max_streams_of_one=Infrastructure.settings.provided.live_max_streams_per_caller,
        timer=providers.Object(time.monotonic),
    )
