"""Ending tasks that would otherwise go on."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_SECONDS: Final = 0.05


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when each is done, whatever it ended with; its outcome is no longer anybody's concern.

    One `cancel` is not enough. `asyncio.wait_for` before Python 3.12 drops a cancellation that comes in the same turn
    of the loop as what it waited for (CPython issue 86296), and drivers read the network through it. A task that works
    in an endless loop then goes on, and whoever waits for its end waits for ever.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()  # Marked as seen.
