"""Forgetting old deliveries."""

from datetime import timedelta

from application.shared.clock import Clock
from application.webhooks.ports import DeliveryRetention

KEPT_FOR = timedelta(days=30)
_BATCH = 500


class PurgeDeliveries:
    """Erases deliveries after 30 days, and those of endpoints that were deleted, in bounded steps."""

    def __init__(self, *, retention: DeliveryRetention, clock: Clock) -> None:
        self._retention = retention
        self._clock = clock

    async def step(self) -> int:
        """Erase some; return how many."""
        return await self._retention.purge(before=self._clock.now() - KEPT_FOR, limit=_BATCH)
