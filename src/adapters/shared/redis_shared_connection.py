"""One connection to Redis that concurrent callers share: the only module here that imports redis-py."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, cast

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError, ResponseError

from adapters.shared.redis_replies import Command, Replies, Reply
from adapters.shared.supervision import Failures, supervise
from adapters.shared.tasks import end
from application.shared.errors import Unavailable

_log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 0.25
"""For connecting, and for each exchange. A Redis that needs longer is slower than the database it relieves."""
FIRST_RETRY_SECONDS: Final = 0.1
LONGEST_RETRY_SECONDS: Final = 1.0


def connector(url: str) -> Callable[[], AbstractConnection]:
    """Return what makes a connection to the server of `url`. Raises `ValueError` for what redis-py cannot read."""
    options = dict(parse_url(url))
    connect = cast("Callable[..., AbstractConnection]", options.pop("connection_class", Connection))
    # The time limits are ours, over whole exchanges; RESP 2 begins without a HELLO.
    options |= {"socket_timeout": None, "socket_connect_timeout": None, "protocol": 2, "driver_info": None}
    return lambda: connect(**options)


class _Exchange(NamedTuple):
    commands: Sequence[Command]
    answer: asyncio.Future[Replies]


class SharedConnection:
    """One connection, on which commands of concurrent callers travel together.

    What is asked for while an exchange is under way goes out with the next, in one write: under load, hundreds of
    callers share the cost of a round trip, which redis-py's pool and client would charge to each. Any failure closes
    the connection, so that no reply is ever taken for that of another command.

    After a failure all callers are turned away at once (a circuit breaker), while a task tries the server again, with
    growing pauses: a dead Redis costs those who were waiting one time-out, and everybody after them nothing.
    """

    def __init__(self, name: str, connect: Callable[[], AbstractConnection]) -> None:
        self._name = name
        self._connect = connect
        self._connection: AbstractConnection | None = None
        self._server = b""
        self._waiting: list[_Exchange] = []
        self._runner: asyncio.Task[None] | None = None
        self._reviver: asyncio.Task[None] | None = None
        self._closed = False
        self._unforeseen = Failures(f"asking Redis ({name})")

    @property
    def is_usable(self) -> bool:
        return self._reviver is None and not self._closed

    async def ask(self, commands: Sequence[Command]) -> Replies:
        if not self.is_usable:
            raise Unavailable("Redis does not answer")
        return await self._ask(commands)

    async def close(self) -> None:
        self._closed = True
        await end(task for task in (self._reviver, self._runner) if task is not None)
        await self._disconnect()

    def _ask(self, commands: Sequence[Command]) -> asyncio.Future[Replies]:
        answer: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Exchange(commands, answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._exchange(batch)
        finally:
            self._runner = None
            self._give_up(self._waiting)

    async def _exchange(self, batch: list[_Exchange]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                connection = self._connection or await self._open()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                commands = [command for exchange in batch for command in exchange.commands]
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                for exchange in batch:
                    replies = [await _read(connection) for _ in exchange.commands]
                    if not exchange.answer.done():
                        exchange.answer.set_result(Replies(self._server, replies))
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told that Redis does not answer
            # What is left of the connection may hold a reply to somebody else's command. uvloop raises RuntimeError
            # when a proxy accepts and closes.
            if not isinstance(error, RedisError | OSError | TimeoutError):
                self._unforeseen.note(error)
            self._open_breaker(error)
            self._give_up(self._waiting)
            await self._disconnect()
        finally:
            # Also when cancelled half-way: nobody waits for ever.
            self._give_up(batch)

    async def _open(self) -> AbstractConnection:
        connection = self._connection = self._connect()
        await cast("Callable[[], Awaitable[None]]", connection.connect)()  # redis-py has not annotated it.
        await connection.send_packed_command(connection.pack_commands([("INFO", "server")]), check_health=False)
        lines = cast("bytes", await _read(connection)).split()
        self._server = next((line for line in lines if line.startswith(b"run_id:")), b"")
        if not self._server:
            raise ResponseError("INFO does not tell the run_id")
        return connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await connection.disconnect(nowait=True)

    @staticmethod
    def _give_up(exchanges: list[_Exchange]) -> None:
        for exchange in exchanges:
            if not exchange.answer.done():
                exchange.answer.set_exception(Unavailable("Redis does not answer"))
                exchange.answer.exception()  # Marked as seen: its caller may have gone.
        exchanges.clear()

    def _open_breaker(self, error: Exception) -> None:
        if self.is_usable:
            _log.warning("Redis (%s) failed, going on without it: %s: %s", self._name, type(error).__name__, error)
            # If it ended, Redis would be left alone for ever.
            self._reviver = asyncio.create_task(supervise(f"trying Redis ({self._name})", self._revive))

    async def _revive(self) -> None:
        pause = FIRST_RETRY_SECONDS
        answers = False
        while not answers:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
            with contextlib.suppress(Unavailable):
                await self._ask([("PING",)])
                answers = True
        _log.warning("Redis (%s) answers again", self._name)
        self._reviver = None


async def _read(connection: AbstractConnection) -> Reply:
    # An error reply to one command is a failure of all: none of ours has one as its normal answer, and what comes
    # (LOADING, READONLY, OOM, NOPERM) says that this server can't be used now.
    return cast("Reply", await connection.read_response(disable_decoding=True))
