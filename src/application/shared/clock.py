"""Time, as a port."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present moment: aware, UTC, to the microsecond."""
        ...

    def timestamp(self) -> float:
        """Return the same in seconds since 1970; for who compares it a hundred thousand times a second."""
        return self.now().timestamp()


@dataclass(frozen=True, slots=True)
class TimeReading:
    """What storage says of the time, at some moment between asking and being answered."""

    now: datetime
    resolution_seconds: float
    """How coarse `now` is: the true time is that much later at the most."""
    newest: UUID | None
    """The newest id that storage holds; None in an empty one."""


class StorageTime(Protocol):
    """The one clock that all processes over one storage share."""

    async def read(self) -> TimeReading:
        """Raises `StorageUnavailable`, `TransientFailure`."""
        ...
