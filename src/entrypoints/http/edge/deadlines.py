"""One deadline for each request, which everything shares that it waits for.

A timer for each would cost every request. Instead what waits is looked at four times a second: who was there at the
look before and has had its time is cancelled, and answers 503. Who does not come to an end even so, since what it
cleans up after itself waits too, is answered for.

It is not for bodies that are still coming, nor for answers that have begun: those have bounds of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from entrypoints.http.edge.exchange import Exchange, Scope, Send

LOOK_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 0.4
"""How long one that was cancelled may take to answer by itself."""


class Deadlines:
    """The requests of one worker that wait for something."""

    def __init__(
        self,
        seconds: float,
        problem_response_for: Callable[[Exchange, Scope, Send], Awaitable[None]],
        is_receiving: Callable[[Exchange], bool],
    ) -> None:
        """`problem_response_for` sends the answer of one that does not answer by itself; `is_receiving` tells whether
        its body is still coming.
        """
        self._is_receiving = is_receiving
        self._seconds = seconds
        self._answer_for = problem_response_for
        self.waiting: dict[Exchange, tuple[asyncio.Task[object] | None, Scope, Send]] = {}
        """Which task works on each, and where its answer goes. Who begins to wait puts it here, and takes it out."""
        self._next: asyncio.TimerHandle | None = None
        self._answering: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Look, from now on, on the loop that runs."""
        self._next = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._check)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _check(self) -> None:
        self.start()
        now = perf_counter()
        for exchange, (task, scope, send) in list(self.waiting.items()):
            if exchange.status or exchange.is_stream or task is None:
                continue
            if self._is_receiving(exchange):
                # Its time begins when it is whole.
                exchange.due = 0.0
                continue
            if not exchange.due:
                # It came since the look before.
                exchange.due = now + self._seconds - LOOK_SECONDS / 2
            elif exchange.is_overdue:
                if now >= exchange.due + GRACE_SECONDS:
                    self._give_up(exchange, scope, send)
            elif now >= exchange.due:
                exchange.is_overdue = True
                task.cancel()

    def _give_up(self, exchange: Exchange, scope: Scope, send: Send) -> None:
        exchange.is_given_up = True
        del self.waiting[exchange]
        answering = asyncio.ensure_future(self._answer_for(exchange, scope, send))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
