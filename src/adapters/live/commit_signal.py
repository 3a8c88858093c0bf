"""Waking whoever waits for events when this very process has committed some."""

import asyncio
from collections.abc import Sequence

from application.shared.unit_of_work import CommitListener
from domain.shared.events import DomainEvent


class CommitSignal(CommitListener):
    """Rings after each commit of this process. Those of other processes are found by looking now and then."""

    def __init__(self) -> None:
        self._committed = asyncio.Event()

    async def committed(self, events: Sequence[DomainEvent]) -> None:
        if events:
            self._committed.set()

    def clear(self) -> None:
        self._committed.clear()

    async def wait(self, seconds: float) -> None:
        """Return when it rings, or after `seconds` at the latest. It goes on ringing until it is silenced."""
        try:
            async with asyncio.timeout(seconds):
                await self._committed.wait()
        except TimeoutError:
            return
