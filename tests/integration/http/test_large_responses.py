"""Large answers: in pieces that wait for their reader, and no more of them than one address, and all, may leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar

from entrypoints.http.edge.exchange import Exchange, Response, StreamedResponse
from entrypoints.http.edge.large_responses import PIECE_BYTES, STREAM_BYTES, WHOLE_BYTES, LargeResponses
from entrypoints.http.edge.middleware import Edge
from entrypoints.http.edge.request_bodies import TransferLimits
from entrypoints.http.edge.routing import RouteTable, page
from tests.integration.http.asgi_client import scope_of

SIZE = 1_000_000


class Reader:
    """Takes one message each time it is told to."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.gone = asyncio.Event()
        """Set to go away."""
        self.is_asked = False
        self._turns = asyncio.Semaphore(0)
        self.task: asyncio.Task[None] | None = None

    async def send(self, message: Any) -> None:
        await self._turns.acquire()
        self.taken.append(message)

    async def take(self, messages: int = 10_000) -> None:
        for _ in range(messages):
            self._turns.release()
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def content(self) -> bytes:
        return b"".join(message["body"] for message in self.taken[1:])

    @property
    def problem(self) -> tuple[int, str]:
        problem = json.loads(self.content)
        return int(self.taken[0]["status"]), str(problem["type"]).removeprefix("/problems/")

    def header(self, name: bytes) -> bytes | None:
        return dict(self.taken[0]["headers"]).get(name)


class Service:
    """An edge that answers GET `/direct` and whatever goes through the router with the same large content."""

    def __init__(self, size: int = SIZE, **limits: int) -> None:
        self.content = bytes(range(256)) * (size // 256)
        self.made = 0
        """Pieces of the answers that are made as they are sent."""

        def read(_: Exchange) -> Response:
            return Response(200, self.content)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"["
            for at in range(0, size, size // 4):
                self.made += 1
                yield self.content[at : at + size // 4]

        async def stream(exchange: Exchange) -> Response:
            return await StreamedResponse.begin(exchange, 200, pieces(), ())

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await Response(200, self.content)(scope, receive, send)

        self.edge = Edge(
            app,
            allowed_hosts=["testserver"],
            cors_origins=(),
            routes=RouteTable(Litestar([page("/direct", read), page("/streamed", stream)], openapi_config=None).routes),
            answers=LargeResponses(TransferLimits(**limits)),
        )

    async def ask(self, path: str, *, method: str = "GET", address: str = "192.0.2.1") -> Reader:
        reader = Reader()
        scope = scope_of(method, path, [(b"host", b"testserver")]) | {"client": (address, 1)}

        async def receive() -> Any:
            if not reader.is_asked:
                reader.is_asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await reader.gone.wait()
            return {"type": "http.disconnect"}

        reader.task = asyncio.ensure_future(self.edge(scope, receive, reader.send))
        await reader.take(0)
        return reader


PATHS = pytest.mark.parametrize("path", ["/direct", "/routed"])


@PATHS
async def test_a_large_answer_is_sent_in_pieces_and_whole(path: str) -> None:
    service = Service()
    reader = await service.ask(path)
    await reader.take()
    assert reader.content == service.content
    assert reader.header(b"content-length") == str(len(service.content)).encode()
    assert max(len(message["body"]) for message in reader.taken[1:]) == PIECE_BYTES
    assert [message["more_body"] for message in reader.taken[1:]] == [True] * (len(reader.taken) - 2) + [False]


@PATHS
async def test_a_piece_waits_until_the_one_before_is_taken(path: str) -> None:
    service = Service()
    reader = await service.ask(path)
    await reader.take(3)
    assert len(reader.content) == 2 * PIECE_BYTES
    await reader.take()
    assert reader.content == service.content


@PATHS
async def test_an_answer_that_is_not_large_is_one_piece(path: str) -> None:
    reader = await Service(WHOLE_BYTES).ask(path)
    await reader.take()
    assert len(reader.taken) == 2


@PATHS
async def test_what_one_address_does_not_take_is_bounded_in_number(path: str) -> None:
    service = Service(per_address=2)
    first, second = await service.ask(path), await service.ask(path)
    third = await service.ask(path)
    await third.take()
    assert third.problem == (429, "too-many-transfers")
    assert third.header(b"retry-after") == b"5"
    assert third.header(b"connection") == b"close"
    elsewhere = await service.ask(path, address="198.51.100.7")
    await elsewhere.take()
    assert elsewhere.content == service.content
    for reader in (first, second):
        await reader.take()
    again = await service.ask(path)
    await again.take()
    assert again.content == service.content


@PATHS
async def test_what_one_network_does_not_take_is_bounded_in_bytes(path: str) -> None:
    service = Service(bytes_per_address=3 * SIZE // 2)
    first = await service.ask(path, address="2001:db8::1")
    second = await service.ask(path, address="2001:db8::2")
    await second.take()
    assert second.problem == (429, "too-many-transfers")
    # What was taken of it counts no more.
    await first.take(50)
    third = await service.ask(path, address="2001:db8::3")
    await third.take()
    assert third.content == service.content


@PATHS
@pytest.mark.parametrize("limits", [{"in_all": 2}, {"bytes_in_all": 3 * SIZE - 1_000}])
async def test_what_all_do_not_take_is_bounded(path: str, limits: dict[str, int]) -> None:
    service = Service(**limits)
    readers = [await service.ask(path, address=f"192.0.2.{number}") for number in range(3)]
    await readers[2].take()
    assert readers[2].problem == (503, "overloaded")
    assert readers[2].header(b"retry-after") is not None


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"per_address": 2}, (429, "too-many-transfers")),
        ({"bytes_per_address": 3 * STREAM_BYTES - 1}, (429, "too-many-transfers")),
        ({"in_all": 2}, (503, "overloaded")),
        ({"bytes_in_all": 3 * STREAM_BYTES - 1}, (503, "overloaded")),
    ],
)
async def test_what_is_made_as_it_is_sent_is_bounded_from_its_beginning(
    limits: dict[str, int], expected: tuple[int, str]
) -> None:
    service = Service(**limits)
    first, second = await service.ask("/streamed"), await service.ask("/streamed")
    made = service.made
    third = await service.ask("/streamed")
    await third.take()
    assert third.problem == expected
    assert service.made == made
    assert third.task is not None
    assert third.task.done()
    await first.take()
    assert first.content == b"[" + service.content
    assert first.task is not None
    assert second.task is not None
    second.task.cancel()
    await asyncio.gather(first.task, second.task, return_exceptions=True)
    for _ in range(3):  # None of them is counted any more.
        again = await service.ask("/streamed")
        await again.take()
        assert again.content == b"[" + service.content


async def test_nothing_more_is_made_for_who_has_gone() -> None:
    service = Service()
    reader = await service.ask("/streamed")
    await reader.take(2)
    made = service.made
    reader.gone.set()
    await reader.take()
    assert reader.task is not None
    assert reader.task.done()
    assert service.made <= made + 1


async def test_a_head_makes_nothing_of_what_is_made_as_it_is_sent() -> None:
    service = Service(per_address=1)
    await service.ask("/streamed")
    reader = await service.ask("/streamed", method="HEAD")
    await reader.take()
    assert (reader.taken[0]["status"], reader.content) == (200, b"")
    assert service.made == 0


@PATHS
async def test_one_answer_is_sent_however_large_it_is(path: str) -> None:
    service = Service(bytes_per_address=1, bytes_in_all=1)
    reader = await service.ask(path)
    await reader.take()
    assert reader.content == service.content


async def test_what_was_written_is_told_in_any_case() -> None:
    service = Service(per_address=1)
    await service.ask("/routed")
    writer = await service.ask("/routed", method="POST")
    await writer.take()
    assert writer.content == service.content


@PATHS
async def test_a_head_has_no_content_to_bound(path: str) -> None:
    service = Service(per_address=1)
    await service.ask(path)
    reader = await service.ask(path, method="HEAD")
    await reader.take()
    assert (reader.taken[0]["status"], reader.content) == (200, b"")
    assert reader.header(b"content-length") == str(len(service.content)).encode()


@PATHS
async def test_who_goes_in_the_middle_leaves_nothing_counted(path: str) -> None:
    service = Service(per_address=1)
    gone = await service.ask(path)
    assert gone.task is not None
    gone.task.cancel()
    await asyncio.gather(gone.task, return_exceptions=True)
    reader = await service.ask(path)
    await reader.take()
    assert reader.content == service.content
