"""Events to Redis Streams."""

import asyncio
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from application.events.ports import EventPublisher, Message
from application.shared.errors import Unavailable
from application.shared.health import Probe

TIMEOUT_SECONDS: Final = 10.0
LENGTH: Final = 1_000_000
"""About how many entries a stream keeps: some hundred megabytes. Redis cuts whole nodes, so it is a little more."""
FIELD: Final = "event"


class RedisStreamsPublisher(EventPublisher, Probe):
    """Appends each event to one stream (XADD), a batch in one round trip.

    An entry has the envelope in `event`, and the event's id and type beside it, so that a consumer may skip without
    parsing. Redis refuses nothing for itself: an error is the server's (out of memory, read-only, loading), holds for
    all, and means that it is not available. How much a crash of Redis loses is its own setting (`appendfsync`).
    """

    def __init__(
        self, url: str, *, stream: str, length: int = LENGTH, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._stream = stream
        self._length = length
        self._timeout = timeout_seconds
        # No retries of its own: one after a time-out would append twice.
        self._redis: Redis = Redis.from_url(url, retry=None, socket_connect_timeout=timeout_seconds)

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        pipeline = self._redis.pipeline(transaction=False)
        for message in messages:
            entry: dict[str | bytes, str | bytes] = {
                "id": str(message.id),
                "type": message.type,
                FIELD: message.body,
            }
            pipeline.xadd(self._stream, entry, maxlen=self._length, approximate=True)  # type: ignore[arg-type] # its dict is invariant
        try:
            async with asyncio.timeout(self._timeout):
                await pipeline.execute(raise_on_error=True)
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error
        return [None] * len(messages)

    async def check(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        await self._redis.aclose()


def _unavailable(error: BaseException) -> Unavailable:
    return Unavailable(f"Redis does not take events ({type(error).__name__})")
