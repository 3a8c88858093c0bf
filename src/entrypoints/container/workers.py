"""The work that goes on beside the requests: in `postern relay`, or in the servers themselves (RELAY_EMBEDDED).

Any number of processes may do it at once; each step takes what no other one has taken.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from adapters.system.periodic import Periodic
from adapters.system.relay_monitor import LOOK_SECONDS, RelayMonitor, WaitingSince
from adapters.system.worker import Worker
from entrypoints.container import Container

_LOOK_SECONDS = 0.2
"""How long new work may wait to be found."""
_PURGE_SECONDS = 60.0

Step = Callable[[], Awaitable[int]]


def steps(container: Container) -> dict[str, tuple[Step, float]]:
    """Return what there is to do by its name, each with the seconds to rest when there is nothing."""
    found: dict[str, tuple[Step, float]] = {"purging events": (container.purge_events().step, _PURGE_SECONDS)}
    found["handing events out to webhooks"] = (container.fan_out().step, _LOOK_SECONDS)
    found["sending webhooks"] = (container.dispatcher().step, _LOOK_SECONDS)
    found["purging deliveries of webhooks"] = (container.purge_deliveries().step, _PURGE_SECONDS)
    if (relay := container.relay()) is not None:
        found["relaying events"] = (relay.step, _LOOK_SECONDS)
    return found


@asynccontextmanager
async def watching(container: Container) -> AsyncIterator[None]:
    """Look whether others do that work, where it is not done here."""
    storage = container.storage()
    waiting: dict[str, WaitingSince] = {"webhooks": storage.webhooks.waiting_since}
    if container.settings().broker_url is not None:
        waiting["broker"] = storage.relay_ledger.waiting_since
    watch = RelayMonitor(waiting, container.notices(), container.clock())
    container.metrics_board().add_source(watch.samples)
    looking = Periodic("looking for events that wait", watch.look, seconds=LOOK_SECONDS)
    await looking.start()
    try:
        yield
    finally:
        await looking.close()


@asynccontextmanager
async def working(container: Container) -> AsyncIterator[None]:
    """Do that work; at the end each worker finishes the step it is at, within five seconds."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.dispatcher().close)  # after its worker, which starts what it waits for
        for name, (step, idle_seconds) in steps(container).items():
            worker = Worker(name, step, random=random.random, idle_seconds=idle_seconds)
            stack.push_async_callback(worker.close)
            await worker.start()
        yield
