"""The queue between requests and the mail server."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from adapters.mail.transport import DeliveryDelayed, DeliveryFailed, Mail, MailTransport
from adapters.shared.tasks import end
from application.shared.errors import Overloaded

_log = logging.getLogger("postern.mail")

CAPACITY: Final = 1_000
"""Mails that may wait, some 10 MiB at the most."""
CONNECTIONS: Final = 2
"""Mails delivered at once; mail servers mind many connections of one client."""
WAITS: Final = (2.0, 15.0, 60.0, 300.0)
"""Seconds before each further attempt. All of it is over well before a token for a new password is (30 minutes)."""
DRAIN_SECONDS: Final = 4.0


class MailQueue:
    """Takes mails at once and delivers them in the background, with a bounded number of attempts each.

    No request waits for a mail server. What waits at the end of the process is tried a last time; a process that is
    killed takes its queue with it, and people ask for another mail.
    """

    def __init__(
        self,
        transport: MailTransport,
        *,
        capacity: int = CAPACITY,
        waits: Sequence[float] = WAITS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._transport = transport
        self._capacity = capacity
        self._waits = waits
        self._drain_seconds = drain_seconds
        self._connections = asyncio.Semaphore(CONNECTIONS)
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def enqueue(self, mail: Mail) -> None:
        """Take a mail and return at once. Raises `Overloaded` when too many wait already."""
        if self._closing.is_set() or len(self._tasks) >= self._capacity:
            raise Overloaded
        task = asyncio.get_running_loop().create_task(self._deliver(mail), name="mail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Take nothing more and try what waits a last time, within the limit; what is left is given up and logged."""
        self._closing.set()
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=self._drain_seconds)
        if left:
            _log.error("gave up %d mails at shutdown", len(left))
        await end(left)

    async def _deliver(self, mail: Mail) -> None:
        for wait in (*self._waits, None):
            is_last = wait is None or self._closing.is_set()
            try:
                async with self._connections:
                    await self._transport.deliver(mail)
            except DeliveryDelayed as delay:
                if is_last:
                    _log.error("gave up a mail (%s): %s", mail.subject, delay)
                    return
                _log.warning("a mail (%s) has to wait: %s", mail.subject, delay)
            except DeliveryFailed as failure:
                _log.error("a mail (%s) was refused: %s", mail.subject, failure)
                return
            except Exception:  # noqa: BLE001 - whatever it is, it ends here, with its stack in the log
                # Nobody waits for it, so this is where its failure is told.
                _log.exception("a mail (%s) could not be delivered", mail.subject)
                return
            else:
                return
            await self._pause(wait or 0.0)

    async def _pause(self, seconds: float) -> None:
        """Wait, or until the process is about to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
