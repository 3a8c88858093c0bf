"""Noticing that no relay works: events wait for webhooks or the broker, and nothing else would tell."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Final

from application.shared.clock import Clock
from application.shared.health import Notice, Notices

_log = logging.getLogger("postern.relay")

LOOK_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 60.0
"""Far longer than a relay leaves anything that it can deliver."""
TELL_SECONDS: Final = 60.0

WaitingSince = Callable[[datetime], Awaitable[datetime | None]]
"""Tells, at a moment, since when something waits that a relay would have taken; None: nothing does."""


class RelayMonitor:
    """Looks how long events have waited, for a server that does not relay itself."""

    def __init__(self, waiting: dict[str, WaitingSince], notices: Notices, clock: Clock) -> None:
        """`waiting` has who waits by name: `webhooks`, `broker`."""
        self._waiting = waiting
        self._notices = notices
        self._clock = clock
        self._seconds = dict.fromkeys(waiting, 0.0)
        self._told_at = dict.fromkeys(waiting, -TELL_SECONDS)

    async def look(self) -> None:
        """Look once. Raises as storage does."""
        for name, since in self._waiting.items():
            now = self._clock.now()
            oldest = await since(now)
            self._seconds[name] = seconds = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
            self._report(name, seconds)

    def _report(self, name: str, seconds: float) -> None:
        code = f"{name}-wait"
        if seconds < PATIENCE_SECONDS:
            self._notices.clear(code)
            return
        message = (
            f"Events have waited for {seconds:.0f} s to be brought to the {name}. "
            "Run `postern relay`, or set RELAY_EMBEDDED=true; if one runs, its log has the reason."
        )
        self._notices.set(Notice(code=code, message=message))
        now = time.monotonic()
        if now - self._told_at[name] >= TELL_SECONDS:
            self._told_at[name] = now
            _log.warning(message)

    def samples(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
        """Yield how long the oldest event has waited."""
        for name, seconds in self._seconds.items():
            yield "postern_relay_wait_seconds", (("consumer", name),), seconds
