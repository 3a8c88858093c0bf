"""Forgetting events that nobody will ask for."""

from datetime import timedelta

from application.events.retention import EventRetention
from application.shared.clock import Clock


class PurgeEvents:
    """With a broker, what was not brought to it is kept, however old; without one, age alone decides."""

    def __init__(
        self, *, retention: EventRetention, clock: Clock, keep: timedelta, delivered_only: bool, limit: int = 1000
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._keep = keep
        self._delivered_only = delivered_only
        self._limit = limit

    async def step(self) -> int:
        """Forget some; return how many, 0 when there are none left to forget. Raises as storage does."""
        return await self._retention.purge(
            before=self._clock.now() - self._keep, delivered_only=self._delivered_only, limit=self._limit
        )
