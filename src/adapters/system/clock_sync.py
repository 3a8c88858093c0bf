"""Keeping a process's clock with the database's."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from adapters.shared.supervision import supervise
from adapters.shared.tasks import end
from adapters.system.clock import SharedClock
from adapters.system.ids import Uuid7Generator
from application.shared.clock import StorageTime
from application.shared.errors import Unavailable
from application.shared.health import Notice, Notices

_log = logging.getLogger("postern.clock")

_READING: Final = "reading the time"
READ_EVERY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0
"""How long a reading may take. One that took longer would bound nothing."""
TOLD_SECONDS: Final = 30.5
"""By how much clocks may differ before the operator is told: 30 seconds, and what a reading may be off."""
TOLD_EVERY_SECONDS: Final = 60.0
STEP_SECONDS: Final = 5.0
"""By how much the database's clock may move before its past readings mean nothing."""

SKEW: Final = "clock-skew"
SET_BACK: Final = "clock-set-back"


class ClockSynchronizer:
    """Reads storage's time every second, and steers `clock` and `ids` by it: a look-up of ten microseconds or so.

    A clock of the host that differs by more than 30 seconds, and a database's clock that stepped back by more, are
    told in the log once a minute, in `notices`, and in a metric. `on_step` is called when the database's clock has
    stepped, before anything else goes by it.
    """

    def __init__(
        self,
        source: StorageTime,
        clock: SharedClock,
        ids: Uuid7Generator,
        notices: Notices,
        *,
        on_step: Callable[[], None],
    ) -> None:
        self._source = source
        self._clock = clock
        self._ids = ids
        self._notices = notices
        self._on_step = on_step
        self._task: asyncio.Task[None] | None = None
        self._is_silent = False
        self._told_at: dict[str, float] = {}

    async def start(self) -> None:
        """Read, if storage answers, and then again and again.

        The first reading waits for a connection to be made, so it tells little; the second tells to the millisecond.
        """
        await self.read()
        if not self._is_silent:
            await self.read()
        # Without it the clock goes on by itself, which is right for hours.
        self._task = asyncio.create_task(supervise(_READING, self._run), name=_READING)

    async def close(self) -> None:
        """Stop. Closing what was never started is fine."""
        if self._task is not None:
            await end([self._task])

    async def read(self) -> None:
        """Read storage's time once and go by it; without an answer, go on as before."""
        timer = self._clock.timer
        asked_at = timer()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reading = await self._source.read()
        except (Unavailable, TimeoutError):
            if not self._is_silent:
                _log.warning("the database does not tell the time; the clock goes on by itself")
            self._is_silent = True
            return
        if self._is_silent:
            _log.warning("the database tells the time again")
            self._is_silent = False
        moved = self._clock.adjust(reading, asked_at=asked_at, answered_at=timer())
        if abs(moved) > STEP_SECONDS:
            _log.warning("the database's clock has stepped by %+.1f s", moved)
            self._on_step()
        if reading.newest is not None:
            self._ids.raise_floor(reading.newest)
        self._report()

    @property
    def skew_seconds(self) -> float:
        """By how much the host's clock differs from the database's, either way."""
        return abs(self._clock.host_skew_seconds)

    def _report(self) -> None:
        skew, ahead = self._clock.host_skew_seconds, self._clock.ahead_seconds
        way = "ahead of" if skew > 0 else "behind"
        self._note(
            SKEW,
            f"The clock of this host is {abs(skew):.0f} s {way} the database's. Times go by the database's.",
            holds=abs(skew) > TOLD_SECONDS,
        )
        self._note(
            SET_BACK,
            f"The database's clock was set back. Times run {ahead:.0f} s ahead of it, at half speed until then.",
            holds=ahead > TOLD_SECONDS,
        )

    def _note(self, code: str, message: str, *, holds: bool) -> None:
        if not holds:
            self._notices.clear(code)
            return
        self._notices.set(Notice(code=code, message=message))
        timestamp = self._clock.timer()
        told_at = self._told_at.get(code)
        if told_at is None or timestamp - told_at >= TOLD_EVERY_SECONDS:
            self._told_at[code] = timestamp
            _log.warning("%s: %s", code, message)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(READ_EVERY_SECONDS)
            await self.read()
