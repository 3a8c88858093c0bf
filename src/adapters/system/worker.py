"""Work that is done in steps for as long as there is some."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from adapters.shared.supervision import Failures, supervise
from adapters.shared.tasks import end
from application.shared.errors import TransientFailure
from domain.shared.errors import PosternError

_RACES = 5

_log = logging.getLogger("postern.worker")


class Worker:
    """Takes bounded steps one after the other, and rests when a step finds nothing to do or fails.

    A step returns how much it did; 0 is nothing. Rests after failures grow twofold from `idle_seconds` to
    `longest_seconds` and are drawn from the upper half of that, so that workers which failed together do not come back
    together. The first of a row of failures is logged, and so is the recovery; a race that was lost is logged when it
    is the fifth in a row, since losing one now and then is how several processes share the work.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[int]],
        *,
        random: Callable[[], float],
        idle_seconds: float = 0.2,
        longest_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self._step = step
        self._random = random
        self._idle = idle_seconds
        self._longest = longest_seconds
        self._failures = 0
        self._unforeseen = Failures(name)
        self._is_told = False
        """Whether this row of failures is in the log."""
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(supervise(self.name, self._run), name=self.name)

    async def close(self, *, grace_seconds: float = 5.0) -> None:
        """Let the step that is under way end, for up to `grace_seconds`; then cancel it. Closing twice is fine."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=grace_seconds)
            await end([self._task])

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                done = await self._step()
            except TransientFailure as error:
                self._failed(f"{error.slug}: {error.detail}", patience=_RACES)
            except PosternError as error:
                self._failed(f"{error.slug}: {error.detail}")
            except Exception as error:  # noqa: BLE001 - it ends here, with its stack in the log
                # Nobody waits for it, so this is where its failure is told.
                self._unforeseen.note(error)
                self._is_told = True
                self._failures += 1
            else:
                self._went_well()
                if done:
                    continue
            await self._rest()

    def _failed(self, why: str, *, patience: int = 1) -> None:
        self._failures += 1
        if not self._is_told and self._failures >= patience:
            _log.warning("%s failed and will be tried again: %s", self.name, why)
            self._is_told = True

    def _went_well(self) -> None:
        if self._is_told:
            _log.warning("%s goes on after %d failures", self.name, self._failures)
        self._failures = 0
        self._is_told = False

    async def _rest(self) -> None:
        # Bounded before the power is taken: after some hundred failures it would be too large a number.
        bound = min(self._idle * 2 ** min(self._failures, 20), self._longest)
        try:
            async with asyncio.timeout(bound * (1 + self._random()) / 2):
                await self._stopping.wait()
        except TimeoutError:
            return
