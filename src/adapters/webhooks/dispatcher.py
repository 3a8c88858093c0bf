"""Sending what is due, many at once, without letting anybody wait for somebody else's slow receiver."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

from application.webhooks.deliver import Claimed, Deliver
from domain.shared.errors import PosternError
from domain.shared.ids import WebhookId
from domain.webhooks.values import WEBHOOKS_MAX

_log = logging.getLogger("postern.webhooks")

AT_ONCE_TO_ONE: Final = 4
SHARED: Final = 28
"""Connections beyond the first of each endpoint."""
AT_ONCE: Final = WEBHOOKS_MAX + SHARED
"""Connections of a process at the most."""
_DRAIN_SECONDS: Final = 5.0


class Dispatcher:
    """Starts deliveries and does not wait for them.

    Each endpoint has one connection that is always its own, and up to three more out of a pool that all share. There
    are at most as many endpoints as connections set aside, so none ever waits for another, however many of them are
    slow. What is claimed is started at once: nothing is claimed that would only wait here while its lease runs out.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_work: Counter[WebhookId] = Counter()

    async def step(self) -> int:
        """Start what is due and there is room for; return how many. Raises as storage does."""
        started = 0
        for webhook_id in await self._deliver.due():
            room = self._room_for(webhook_id)
            if room:
                started += self._start(await self._deliver.claim(webhook_id, limit=room))
        return started

    async def drain(self) -> None:
        """Wait for what was started."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Wait a little for what was started; what is cut off is tried again when its lease has run out."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self.drain()
        except TimeoutError:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _room_for(self, webhook_id: WebhookId) -> int:
        own = self._at_work[webhook_id]
        shared = sum(count - 1 for count in self._at_work.values() if count > 1)
        if own == 0:
            return 1 + min(AT_ONCE_TO_ONE - 1, SHARED - shared)
        return min(AT_ONCE_TO_ONE - own, SHARED - shared)

    def _start(self, claimed: Sequence[Claimed]) -> int:
        for one in claimed:
            self._at_work[one.endpoint.id] += 1
            task = asyncio.create_task(self._attempt(one), name=f"webhook {one.delivery.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed)

    async def _attempt(self, claimed: Claimed) -> None:
        webhook_id = claimed.endpoint.id
        try:
            await self._deliver.attempt(claimed)
        except PosternError as error:
            # Its lease runs out, and it is tried again: at least once.
            _log.warning("delivery %s was tried, and its outcome not stored: %s", claimed.delivery.id, error.slug)
        except Exception:  # noqa: BLE001 - it ends here, with its stack in the log
            # Nobody waits for it, so this is where its failure is told.
            _log.exception("delivery %s failed and will be tried again", claimed.delivery.id)
        finally:
            self._at_work[webhook_id] -= 1
            if not self._at_work[webhook_id]:
                del self._at_work[webhook_id]
