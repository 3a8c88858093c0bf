"""Time, as a port."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present moment: aware, UTC, to the microsecond."""
        ...
