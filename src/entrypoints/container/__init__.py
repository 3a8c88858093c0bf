"""The composition root: which adapter stands behind which port. Only this package and `storage` know everything.

Built once a process, as `Container(settings=Settings.load())`. Nothing is wired at import; what needs an event loop
connects on first use or in `running`. Tests override providers (`container.clock.override(...)`) before they build the
app.
"""

from entrypoints.container.events import EventsUseCases
from entrypoints.container.identity import IdentityUseCases
from entrypoints.container.live import LiveEvents
from entrypoints.container.orders import OrdersUseCases
from entrypoints.container.posts import PostsUseCases
from entrypoints.container.telemetry import Telemetry
from entrypoints.container.webhooks import WebhooksUseCases


class Container(
    Telemetry, IdentityUseCases, PostsUseCases, OrdersUseCases, EventsUseCases, LiveEvents, WebhooksUseCases
):
    """Every object of one process. All are singletons: stateless, or shared on purpose."""
