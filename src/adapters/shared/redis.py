"""Connections to Redis: commands of concurrent callers share a round trip, and a dead server costs nobody any time."""

from adapters.shared.redis_replies import Command, Replies, Reply
from application.shared.health import Probe

__all__ = ["Command", "RedisConnection", "RedisProbe", "Replies", "Reply"]


class RedisConnection:
    """Two connections to one server, opened when first used: for small commands, and for whole pages.

    `url` is `redis://`, `rediss://` (TLS) or `unix://`, as redis-py reads it; raises `ValueError` otherwise.
    """

    def __init__(self, url: str, *, name: str = "commands") -> None:
        """`name` is what the log calls the first of the two."""
        # redis-py is 5 MB and a tenth of a second; who has no Redis shall not pay for it.
        from adapters.shared.redis_shared_connection import SharedConnection, connector  # noqa: PLC0415

        connect = connector(url)
        self._small = SharedConnection(name, connect)
        self._bulk = SharedConnection("pages", connect)

    @property
    def is_usable(self) -> bool:
        """Whether commands are sent at all: nothing has failed since the last success."""
        return self._small.is_usable

    async def ask(self, *commands: Command) -> Replies:
        """Send commands in one go. Raises `Unavailable`, at once after a failure, when any of them fails."""
        return await self._small.ask(commands)

    async def ask_bulk(self, *commands: Command) -> Replies:
        """The same, for values that take long to send and must not hold up the others."""
        return await self._bulk.ask(commands)

    async def close(self) -> None:
        await self._small.close()
        await self._bulk.close()


class RedisProbe(Probe):
    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def check(self) -> None:
        await self._connection.ask(("PING",))
