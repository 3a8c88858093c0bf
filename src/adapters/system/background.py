"""Work in the background, on the event loop of the process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

from adapters.shared.supervision import counted, supervise
from adapters.shared.tasks import end
from application.shared.background import Background
from application.shared.errors import Overloaded
from domain.shared.errors import PosternError

_log = logging.getLogger("postern.background")

_NAME: Final = "background jobs"
CAPACITY: Final = 1_000
WORKERS: Final = 4
"""How much of it runs at once: it shares the database's connections with requests, which come first."""
DELAY_SECONDS: Final = 0.05
"""How long work waits before it begins. Without it the work shares the loop's next turns with the answer of the request
that set it off, and its time shows there: asking for a password by mail told known addresses from others (AUC 0.59)."""
DRAIN_SECONDS: Final = 5.0
"""How long the end of the process waits for what is queued."""

Work = Callable[[], Awaitable[object]]


class TaskBackground(Background):
    """A bounded queue and a few tasks that work it off; they begin with the first work, on the loop it comes from."""

    def __init__(
        self,
        *,
        capacity: int = CAPACITY,
        workers: int = WORKERS,
        delay_seconds: float = DELAY_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._waiting: asyncio.Queue[tuple[float, Work]] = asyncio.Queue(capacity)
        self._delay_seconds = delay_seconds
        self._size = workers
        self._drain_seconds = drain_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    def submit(self, work: Work) -> None:
        if self._closed:
            raise Overloaded
        try:
            self._waiting.put_nowait((time.monotonic() + self._delay_seconds, work))
        except asyncio.QueueFull:
            raise Overloaded from None
        if len(self._tasks) < self._size:
            # It works for many requests: neither the deadline nor the origin of the first one is theirs.
            run = asyncio.get_running_loop().create_task(supervise(_NAME, self._run), name=_NAME, context=Context())
            self._tasks.append(run)

    async def idle(self) -> None:
        """Return when all that was submitted is done."""
        await self._waiting.join()

    async def close(self) -> None:
        """Take nothing more, and wait for what is queued, up to the limit; what is left then is given up and logged."""
        self._closed = True
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self._waiting.join()
        except TimeoutError:
            _log.error("gave up %d background jobs at shutdown", self._waiting.qsize() + len(self._tasks))
        await end(self._tasks)

    async def _run(self) -> None:
        while True:
            due, work = await self._waiting.get()
            try:
                # Each waits from when it was submitted, not from when its turn came: a full queue is no slower.
                await asyncio.sleep(max(due - time.monotonic(), 0))
                await work()
            except PosternError as error:
                _log.warning("a background job failed: %s", error.slug)
            except Exception:  # noqa: BLE001 - it ends here, with its stack in the log
                # Nobody waits for it, so this is where its failure is told.
                counted[_NAME] += 1
                _log.exception("a background job failed")
            finally:
                self._waiting.task_done()
