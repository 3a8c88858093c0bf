"""Whether a machine is fast enough for SQLite's statements to run on the event loop."""

import time
from typing import Final

_SLOW_SECONDS: Final = 0.005
_SLOW_SCORE: Final = 16
"""Four in a row, or more than one of five: a machine that is merely busy interrupts us, too, but not that often."""
_OPEN_SECONDS: Final = 1.0


class SlowDiskBreaker:
    """Notes for how long statements held the loop up; when that is too long too often, it is called for a while."""

    def __init__(self) -> None:
        self._slow = 0
        self.until = 0.0
        """Until then nothing is to run on the loop, by the monotonic clock."""

    def note(self, seconds: float) -> None:
        """Note for how long the loop was held up."""
        if seconds <= _SLOW_SECONDS:
            self._slow = max(0, self._slow - 1)
            return
        self._slow += 4
        if self._slow >= _SLOW_SCORE:
            self._slow = 0
            self.until = time.monotonic() + _OPEN_SECONDS
