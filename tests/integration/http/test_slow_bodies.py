"""Bodies that come slowly, in too great number, or that nobody wants: what the application makes of them, by a clock of
its own. What a real server makes of it is in `test_refused_bodies` and `tools/torture_slow.py`."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Response
from entrypoints.http.edge.middleware import Edge
from entrypoints.http.edge.request_bodies import (
    BODY_LIMIT,
    DISCARD_BYTES,
    DISCARD_SECONDS,
    GRACE_SECONDS,
    RequestBodies,
    TransferLimits,
)
from tests.fakes import SettableClock
from tests.integration.http.asgi_client import scope_of
from tests.integration.http.conftest import a_container

HOST = (b"host", b"testserver")
CHUNKED = (b"transfer-encoding", b"chunked")


def length(number: int) -> tuple[bytes, bytes]:
    return b"content-length", str(number).encode()


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Client:
    """One request whose body comes as the test wants it."""

    pieces: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    sent: list[Any] = field(default_factory=list)
    taken: int = 0
    """Pieces that the application has read."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    asks: asyncio.Event = field(default_factory=asyncio.Event)
    """The application waits for a piece."""
    task: "asyncio.Task[None] | None" = None

    def send_piece(self, data: bytes, *, last: bool = False) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": data, "more_body": not last})

    async def receive(self) -> dict[str, Any]:
        self.asks.set()
        try:
            piece = await self.pieces.get()
        finally:
            self.asks.clear()
        self.taken += 1
        return piece

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.answered.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def slug(self) -> str:
        problem = json.loads(b"".join(message["body"] for message in self.sent[1:]))
        return str(problem["type"]).removeprefix("/problems/")

    def header(self, name: bytes) -> bytes | None:
        return dict(self.sent[0]["headers"]).get(name)

    async def is_answered(self) -> int:
        async with asyncio.timeout(20):
            await self.answered.wait()
        return self.status

    async def is_over(self) -> None:
        """Return once the application has let go of the request."""
        assert self.task is not None
        async with asyncio.timeout(20):
            await self.task


class Service:
    """An edge around an application that reads each body but those at `/unread`, and says how long it was."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.bodies = RequestBodies(TransferLimits(**limits), now=self.clock)
        self.edge: Any = Edge(self._app, allowed_hosts=["testserver"], cors_origins=(), bodies=self.bodies)
        self.tasks: list[asyncio.Task[None]] = []

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        size = 0
        while scope["path"] != "/unread":
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await Response(200, str(size).encode())(scope, receive, send)

    def request(
        self, *headers: tuple[bytes, bytes], path: str = "/", address: str = "192.0.2.1", method: str = "POST"
    ) -> Client:
        client = Client()
        scope = scope_of(method, path, [HOST, *headers]) | {"client": (address, 1)}
        client.task = task = asyncio.ensure_future(self.edge(scope, client.receive, client.send))
        self.tasks.append(task)
        return client

    async def look(self, after: float = 0.0) -> None:
        """Let time pass, and have the bodies looked at."""
        self.clock.seconds += after
        self.bodies.check()
        await asyncio.sleep(0)


@asynccontextmanager
async def a_service(**limits: Any) -> AsyncIterator[Service]:
    service = Service(**limits)
    try:
        yield service
    finally:
        for task in service.tasks:
            task.cancel()
        await asyncio.gather(*service.tasks, return_exceptions=True)


async def waits(*clients: Client) -> None:
    """Return once the application waits for a piece of each."""
    for client in clients:
        async with asyncio.timeout(20):
            await client.asks.wait()


@pytest.mark.parametrize("head", [length(100), CHUNKED])
async def test_a_body_that_does_not_come_is_answered_408_when_its_grace_is_over(head: tuple[bytes, bytes]) -> None:
    async with a_service() as service:
        client = service.request(head)
        await waits(client)
        await service.look()
        await service.look(GRACE_SECONDS)
        assert not client.answered.is_set()
        await service.look(0.1)
        assert await client.is_answered() == 408
        assert client.slug == "body-too-slow"
        assert client.header(b"connection") == b"close"


@pytest.mark.parametrize("head", [length(100_000), CHUNKED])
async def test_a_body_that_drips_is_answered_408(head: tuple[bytes, bytes]) -> None:
    async with a_service() as service:
        client = service.request(head)
        for _ in range(int(GRACE_SECONDS) + 1):
            await waits(client)
            await service.look(1)
            client.send_piece(b" ")
            await waits(client)
        await service.look(1)
        assert (await client.is_answered(), client.slug) == (408, "body-too-slow")


async def test_a_body_above_the_minimum_rate_still_ends_in_time() -> None:
    async with a_service(body_seconds=30, body_rate=240) as service:
        client = service.request(CHUNKED)
        await waits(client)
        await service.look()
        for _ in range(29):
            client.send_piece(b" " * 1_000)
            await waits(client)
            await service.look(1)
        assert not client.answered.is_set()
        client.send_piece(b" " * 1_000)
        await waits(client)
        await service.look(1)
        assert (await client.is_answered(), client.slug) == (408, "body-too-slow")


async def test_an_honest_slow_body_is_taken() -> None:
    async with a_service(body_seconds=30, body_rate=240) as service:
        client = service.request(length(25_000))
        await waits(client)
        for _ in range(25):
            await service.look(1)
            client.send_piece(b" " * 1_000)
            await service.look()
        assert await client.is_answered() == 200


async def test_a_length_that_is_reached_is_the_end_of_a_body() -> None:
    """Granian tells of the end with a message of its own; the answer does not wait for it."""
    async with a_service() as service:
        client = service.request(length(4))
        client.send_piece(b"abcd")
        assert await client.is_answered() == 200
        await client.is_over()
        assert client.taken == 1
        assert client.header(b"connection") is None


@pytest.mark.parametrize("many", ["192.0.2.1", "2001:db8::{}"])
async def test_unfinished_bodies_of_one_address_are_bounded_and_the_slowest_go(many: str) -> None:
    async with a_service(per_address=3) as service:
        slow = [service.request(length(100), address=many.format(number)) for number in range(1, 5)]
        busy = service.request(length(10_000), address=many.format(9))
        elsewhere = service.request(length(100), address="198.51.100.7")
        busy.send_piece(b" " * 5_000)
        await waits(*slow, busy, elsewhere)
        await service.look()
        await service.look(0.25)
        refused = [client for client in slow if client.answered.is_set()]
        assert len(refused) == 2
        for client in refused:
            assert (client.status, client.slug) == (429, "too-many-transfers")
            assert client.header(b"retry-after") == b"5"
            assert client.header(b"connection") == b"close"
        busy.send_piece(b" " * 5_000)
        elsewhere.send_piece(b" " * 100)
        assert (await busy.is_answered(), await elsewhere.is_answered()) == (200, 200)


async def test_unfinished_bodies_are_bounded_in_all() -> None:
    async with a_service(per_address=3, in_all=4) as service:
        clients = [service.request(length(100), address=f"192.0.2.{number}") for number in range(6)]
        await waits(*clients)
        await service.look()
        await service.look(0.25)
        refused = [client for client in clients if client.answered.is_set()]
        assert [(client.status, client.slug) for client in refused] == [(503, "overloaded")] * 2


async def test_bodies_that_are_there_at_once_are_not_counted() -> None:
    async with a_service(per_address=1, in_all=1) as service:
        clients = [service.request(length(2)) for _ in range(10)]
        await waits(*clients)
        await service.look()
        for client in clients:
            client.send_piece(b"{}")
        assert [await client.is_answered() for client in clients] == [200] * 10


async def test_bytes_of_unfinished_bodies_are_bounded_by_address_and_given_back() -> None:
    async with a_service(bytes_per_address=1_000, bytes_in_all=10_000) as service:
        first = service.request(length(1_000))
        first.send_piece(b" " * 600)
        await waits(first)
        second = service.request(length(1_000))
        second.send_piece(b" " * 600)
        assert (await second.is_answered(), second.slug) == (429, "too-many-transfers")
        first.send_piece(b" " * 400)
        assert await first.is_answered() == 200
        third = service.request(length(1_000))
        third.send_piece(b" " * 600)
        await waits(third)
        third.send_piece(b" " * 400)
        assert await third.is_answered() == 200


async def test_bytes_of_unfinished_bodies_are_bounded_in_all() -> None:
    async with a_service(bytes_per_address=1_000, bytes_in_all=1_500) as service:
        first, second = (service.request(length(1_000), address=f"192.0.2.{number}") for number in (1, 2))
        first.send_piece(b" " * 900)
        await waits(first)
        second.send_piece(b" " * 900)
        assert (await second.is_answered(), second.slug) == (503, "overloaded")


@pytest.mark.parametrize("head", [length(10 * BODY_LIMIT), CHUNKED])
async def test_a_body_too_large_is_answered_before_the_rest_is_read_and_dropped(head: tuple[bytes, bytes]) -> None:
    async with a_service() as service:
        client = service.request(head)
        for _ in range(17):
            client.send_piece(b" " * 65_536)
        assert (await client.is_answered(), client.slug) == (413, "body-too-large")
        assert client.header(b"connection") == b"close"
        for _ in range(20):
            client.send_piece(b" " * 65_536)
        client.send_piece(b"", last=True)
        await client.is_over()
        assert client.pieces.empty()


async def test_no_more_is_dropped_than_a_bound() -> None:
    async with a_service() as service:
        client = service.request(CHUNKED, path="/unread")
        for _ in range(2 * DISCARD_BYTES // 1_048_576):
            client.send_piece(b" " * 1_048_576)
        assert await client.is_answered() == 200
        await client.is_over()
        assert client.taken == DISCARD_BYTES // 1_048_576


async def test_dropping_ends_in_time() -> None:
    async with a_service() as service:
        client = service.request(length(1_000_000), path="/unread")
        assert await client.is_answered() == 200
        await waits(client)
        await service.look()
        await service.look(DISCARD_SECONDS - 0.1)
        assert client.task is not None
        assert not client.task.done()
        await service.look(0.1)
        await client.is_over()


async def test_bodies_that_are_dropped_are_bounded_too() -> None:
    async with a_service(per_address=2, in_all=3) as service:
        clients = [service.request(length(1_000_000), path="/unread") for _ in range(3)]
        elsewhere = [
            service.request(length(1_000_000), path="/unread", address=f"198.51.100.{number}") for number in range(2)
        ]
        for client in (*clients, *elsewhere):
            assert await client.is_answered() == 200
        await asyncio.sleep(0)
        assert [client.task.done() for client in clients if client.task] == [False, False, True]
        assert [client.task.done() for client in elsewhere if client.task] == [False, True]


@pytest.mark.parametrize(
    ("head", "closes"), [(length(2), False), (length(65_536), False), (length(65_537), True), (CHUNKED, True)]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_connection_is_kept_for_a_small_body_that_nobody_reads(
    head: tuple[bytes, bytes], closes: bool, method: str
) -> None:
    async with a_service() as service:
        client = service.request(head, path="/unread", method=method)
        assert await client.is_answered() == 200
        assert client.header(b"connection") == (b"close" if closes else None)


@pytest.mark.parametrize(
    ("path", "pieces", "seconds", "expected", "credentials"),
    [
        ("/api/v1/auth/login", 17, 0.0, 413, None),
        ("/api/v1/auth/login", 0, GRACE_SECONDS + 1, 408, None),
        ("/api/v1/auth/login", 8, 31.0, 408, None),
        ("/nowhere", 0, 0.0, 404, None),
        ("/api/v1/posts", 3, 0.0, 401, None),
        ("/api/v1/posts", 3, 0.0, 401, b"Bearer no.such.token"),
        ("/api/v1/posts", 3, 0.0, 401, b"Bearer pk_" + b"0" * 43),
        ("/api/v1/posts", 3, 0.0, 401, b"Basic bm86Ym9keQ=="),
    ],
)
async def test_the_server_gets_its_end_of_a_body_back_without_the_garbage_collector(  # noqa: PLR0917 - a table
    clock: SettableClock, path: str, pieces: int, seconds: float, expected: int, credentials: bytes | None
) -> None:
    """Granian closes a connection whose body is not read to its end once nothing refers to that end any more."""
    service = Service()
    service.edge = create_app(a_container(clock))
    service.bodies = service.edge._bodies
    service.bodies._now = service.clock
    headers: tuple[tuple[bytes, bytes], ...] = (CHUNKED, (b"content-type", b"application/json"))
    if credentials is not None:
        headers += ((b"authorization", credentials),)
    gc.disable()
    try:
        client = service.request(*headers, path=path)
        for _ in range(pieces):
            client.send_piece(b" " * 65_536)
        if seconds:
            await waits(client)
            await service.look()
            await service.look(seconds)
        assert await client.is_answered() == expected
        await waits(client)
        await service.look()
        await service.look(DISCARD_SECONDS)
        await client.is_over()
        end = weakref.ref(client)
        service.tasks.clear()
        client.task = None
        del client
        await asyncio.sleep(0)
        assert end() is None
    finally:
        gc.enable()


async def test_cancelling_a_request_from_outside_stays_that() -> None:
    async with a_service() as service:
        client = service.request(length(100))
        await waits(client)
        assert client.task is not None
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert not client.sent


async def test_a_refused_body_leaves_the_task_as_it_was() -> None:
    """The answer is sent by the same task: a cancellation that is still pending would break it off."""
    pending: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            task = asyncio.current_task()
            pending.append(0 if task is None else task.cancelling())
        await Response(200)(scope, receive, send)

    async with a_service() as service:
        service.edge = Edge(app, allowed_hosts=["testserver"], cors_origins=(), bodies=service.bodies)
        client = service.request(length(100))
        await waits(client)
        await service.look()
        await service.look(GRACE_SECONDS + 1)
        assert await client.is_answered() == 408
        assert pending == [0]
