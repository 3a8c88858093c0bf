"""The composition root: which adapter stands behind which port. Only this package and `storage` know everything.

Built once a process, as `Container(settings=Settings.load())`. Nothing is wired at import; what needs an event loop
connects on first use or in `running`. Tests override providers (`container.clock.override(...)`) before they build the
app.
"""

from entrypoints.container.events import Events
from entrypoints.container.identity import Identity
from entrypoints.container.live import LiveEvents
from entrypoints.container.orders import Orders
from entrypoints.container.posts import Posts
from entrypoints.container.telemetry import Telemetry
from entrypoints.container.webhooks import Webhooks


class Container(Telemetry, Identity, Posts, Orders, Events, LiveEvents, Webhooks):
    """Every object of one process. All are singletons: stateless, or shared on purpose."""
