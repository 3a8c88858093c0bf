"""Forgetting events that nobody will ask for."""

from dataclasses import dataclass
from datetime import timedelta

from application.events.retention import EventRetention
from application.shared.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeEvents:
    """With a broker, what was not brought to it is kept, however old; without one, age alone decides."""

    retention: EventRetention
    clock: Clock
    keep: timedelta
    delivered_only: bool
    limit: int = 1000

    async def step(self) -> int:
        """Forget some; return how many, 0 when there are none left to forget. Raises as storage does."""
        return await self.retention.purge(
            before=self.clock.now() - self.keep, delivered_only=self.delivered_only, limit=self.limit
        )
