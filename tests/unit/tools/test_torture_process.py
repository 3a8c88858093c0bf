"""The clients that torture a server stop when they are told to, whatever they are at."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tools.torture_process import Load


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server that acknowledges whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"Content-Length: (\d+)", head)
                await reader.readexactly(int(length))
                writer.write(b'HTTP/1.1 201 Created\r\nContent-Length: 20\r\n\r\n{"access_token":"t"}')
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.timeout(20)  # While a client never waits, no time-out of the loop is due.
async def test_a_client_that_is_told_to_stop_between_two_posts_lets_the_others_go_on(port: int) -> None:
    load = Load(port, survives_breaks=True, clients=1)
    async with load:
        posting = load._posting()
        await anext(posting)  # It has its answer,
        load._stopped = True  # and is told to stop before it goes on.
        await anext(posting)

    assert len(load.tally.acknowledged) >= 2
