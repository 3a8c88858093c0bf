"""Work off the event loop, in the threads that asyncio keeps for it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from application.shared.threads import Threads

T = TypeVar("T")


class AsyncioThreads(Threads):
    """The loop's own executor: a few threads, begun when they are first needed and joined when the loop ends."""

    async def run(self, work: Callable[[], T], /) -> T:
        return await asyncio.to_thread(work)
