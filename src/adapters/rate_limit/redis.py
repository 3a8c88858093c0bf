"""Counting in Redis, for all workers and instances together; and what is done while Redis is away."""

import logging
from collections.abc import Sequence
from typing import Final

from limits.storage import RedisStorage

from adapters.shared.redis import Command, RedisConnection
from application.shared.errors import Unavailable
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimiter

_log = logging.getLogger(__name__)

KEY_PREFIX: Final = "postern:limit:"

_COUNT: Final = RedisStorage.SCRIPT_INCR_EXPIRE
"""The library's own step of a fixed window: add, and let the window begin if it was not there."""


class RedisRateLimiter(RateLimiter):
    """The fixed windows of `limits`, all of one request in one exchange.

    The library's own client would make two round trips for each limit, one after the other. Here the same script
    travels with `PTTL`, for all limits, and together with what other requests ask at that moment. It is sent as text
    (some 200 bytes) and not by its digest, so that there is nothing to load again after a restart of Redis.

    While Redis does not answer, `fallback` counts: each process by itself, which is more generous than together, and
    keeps the service open. Nobody waits for a Redis that is known to be away.
    """

    def __init__(self, connection: RedisConnection, fallback: RateLimiter, *, prefix: str = KEY_PREFIX) -> None:
        self._connection = connection
        self._fallback = fallback
        self._prefix = prefix

    async def take_one(self, limit: Limit, subject: str) -> tuple[int, float]:
        ((_, remaining, resets_in),) = await self.take((Charge(limit, subject),))
        return remaining, resets_in

    async def take(self, charges: Sequence[Charge]) -> list[LimitState]:
        commands: list[Command] = []
        for limit, subject, cost in charges:
            key = f"{self._prefix}{limit.name}:{subject}"
            commands += (("EVAL", _COUNT, 1, key, limit.seconds, cost), ("PTTL", key))
        if not commands:
            return []
        try:
            _, replies = await self._connection.ask(*commands)
        except Unavailable:
            return await self._fallback.take(charges)
        states = []
        for charge, count, milliseconds in zip(charges, replies[::2], replies[1::2], strict=True):
            if not isinstance(count, int) or not isinstance(milliseconds, int):
                _log.error("Redis answers a count with %r and %r", count, milliseconds)
                return await self._fallback.take(charges)
            # -2: it ended between the two commands.
            resets_in = max(0, milliseconds) / 1000
            states.append(LimitState(charge.limit, charge.limit.amount - count, resets_in))
        return states
