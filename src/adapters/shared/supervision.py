"""Loops that must not end: begun again when they fail, with growing pauses, counted, and told once a minute."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

_log = logging.getLogger("postern.supervision")

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
TELL_SECONDS: Final = 60.0

counted: Final[Counter[str]] = Counter()
"""How often each loop of this process has failed by an error that nobody had foreseen, for its metrics."""


class Failures:
    """Notes the unforeseen errors of one loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told_at = -TELL_SECONDS
        self._untold = 0

    def note(self, error: BaseException) -> None:
        """Count it, and log it with its stack, unless that was done less than a minute ago."""
        counted[self._name] += 1
        now = time.monotonic()
        if now - self._told_at < TELL_SECONDS:
            self._untold += 1
            return
        since = f" ({self._untold} more times since this was last said)" if self._untold else ""
        _log.error("%s failed and will be tried again%s", self._name, since, exc_info=error)
        self._told_at, self._untold = now, 0


async def supervise(
    name: str,
    loop: Callable[[], Awaitable[None]],
    *,
    first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
) -> None:
    """Run `loop` until it returns, and begin it again when it fails. Pauses grow twofold while it keeps failing."""
    failures = Failures(name)
    pause = first_pause_seconds
    while True:
        began = time.monotonic()
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - it ends here, counted and with its stack in the log
            failures.note(error)
        else:
            return
        if time.monotonic() - began > longest_pause_seconds:
            pause = first_pause_seconds
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest_pause_seconds)
