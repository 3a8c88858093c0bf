"""A server that has stopped answering without hanging up, as behind a firewall that forgot the connection."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import make_url

from adapters.sql.database import Database
from application.shared.errors import StorageUnavailable
from entrypoints.storage import sql_storage
from tests.builders import a_post, a_user
from tests.contracts.stories import given
from tests.integration.sql.conftest import OpenDatabase, connections_out, on_servers

STATEMENT_SECONDS = 0.2
# The driver waits two seconds longer than the server may work.
AT_THE_MOST_SECONDS = 10.0
TEXT_THAT_FILLS_BUFFERS = "many words " * 90_000


class Line:
    """What lies between us and the server; while `open` is not set, nothing passes, either way."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.open = asyncio.Event()
        self.open.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.append(asyncio.create_task(self._pass_on(source, sink)))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while octets := await source.read(65536):
                await self.open.wait()
                sink.write(octets)
                await sink.drain()
        sink.close()

    async def cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def through_a_line(open_with: OpenDatabase, database_url: str) -> AsyncIterator[tuple[Database, Line]]:
    url = make_url(database_url)
    assert url.host is not None
    assert url.port is not None
    line = Line(url.host, url.port)
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        database = open_with(url=through, statement_timeout_seconds=STATEMENT_SECONDS)
        try:
            yield database, line
        finally:
            await database.dispose()
            await line.cut()


@on_servers
async def test_a_read_that_is_never_answered_is_given_up_and_the_next_works(
    open_with: OpenDatabase, database_url: str
) -> None:
    async with through_a_line(open_with, database_url) as (database, line):
        storage = sql_storage(database)
        user = a_user()
        await given(storage, user)
        assert await storage.accounts.account(user.id) is not None

        line.open.clear()
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            await storage.accounts.account(user.id)
        assert STATEMENT_SECONDS < time.monotonic() - began < AT_THE_MOST_SECONDS
        line.open.set()

        assert await storage.accounts.account(user.id) is not None
        assert connections_out(database) == 0


@on_servers
@pytest.mark.parametrize("text", ["short", TEXT_THAT_FILLS_BUFFERS])
async def test_a_write_that_is_never_answered_is_given_up_and_the_next_works(
    open_with: OpenDatabase, database_url: str, text: str
) -> None:
    async with through_a_line(open_with, database_url) as (database, line):
        storage = sql_storage(database)
        user = a_user()
        await given(storage, user)

        line.open.clear()
        async with asyncio.timeout(AT_THE_MOST_SECONDS):
            with pytest.raises(StorageUnavailable):
                await given(storage, a_post(user, text=text))
        line.open.set()

        post = a_post(user)
        await given(storage, post)
        assert await storage.posts.get(post.id, viewer=None) is not None
        assert connections_out(database) == 0
