"""A process that does nothing but the work beside the requests."""

import asyncio
import signal

from entrypoints.container import Container
from entrypoints.container.lifecycle import running
from entrypoints.container.workers import working


async def run(container: Container) -> None:
    """Work until SIGTERM or SIGINT; then finish what is under way, and let go of everything."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(container), working(container):
        await stop.wait()
