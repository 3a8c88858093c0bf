"""Time, as a port."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present moment: aware, UTC, to the microsecond."""
        ...

    def timestamp(self) -> float:
        """Return the same in seconds since 1970; for who compares it a hundred thousand times a second."""
        return self.now().timestamp()
