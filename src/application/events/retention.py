"""How long events are kept."""

from datetime import datetime
from typing import Protocol


class EventRetention(Protocol):
    async def purge(self, *, before: datetime, delivered_only: bool, limit: int = 1000) -> int:
        """Forget the oldest events as long as they happened before `before`, `limit` at the most; return how many.

        With `delivered_only`, what the relay has not dealt with is kept, whatever its age. The newest event is always
        kept. Raises as the event log does.
        """
        ...
