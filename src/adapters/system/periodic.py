"""Work that is due again and again while the process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from adapters.shared.supervision import Failures, supervise
from adapters.shared.tasks import end
from domain.shared.errors import PosternError

_log = logging.getLogger("postern.periodic")


class Periodic:
    """Runs `work` every `seconds`, the first time after as many. A failure is logged and does not end it."""

    def __init__(self, name: str, work: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._unforeseen = Failures(name)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(supervise(self._name, self._run), name=self._name)

    async def close(self) -> None:
        """Stop, in the middle of the work if need be. Closing what was never started is fine."""
        if self._task is not None:
            await end([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._work()
            except PosternError as error:
                _log.warning("%s failed and will be tried again: %s", self._name, error.slug)
            except Exception as error:  # noqa: BLE001 - it ends here, with its stack in the log
                # Nobody waits for it, so this is where its failure is told.
                self._unforeseen.note(error)
