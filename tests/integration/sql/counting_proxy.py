"""A line between a program and its database server, that can be counted on, and cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy import make_url

from adapters.sql.database import Database
from tests.integration.sql.conftest import OpenDatabase


class CountingProxy:
    """What lies between us and the server; while `open` is not set, nothing passes, either way."""

    exchanges = 0
    """How often something was asked: what is sent without waiting for an answer counts once, however long it is."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.open = asyncio.Event()
        self.open.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back]
        asked = asyncio.Event()
        for source, sink, asks in ((reader, back, True), (there, writer, False)):
            self._tasks.append(asyncio.create_task(self._pass_on(source, sink, asked, asks=asks)))

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: asyncio.Event, *, asks: bool
    ) -> None:
        with suppress(OSError):
            while octets := await source.read(65536):
                await self.open.wait()
                if not asks:
                    asked.clear()
                elif not asked.is_set():
                    asked.set()
                    self.exchanges += 1
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
async def through_proxy(
    open_with: OpenDatabase, database_url: str, **settings: Any
) -> AsyncIterator[tuple[Database, CountingProxy]]:
    """Open the database of this backend with the line in between."""
    url = make_url(database_url)
    assert url.host is not None
    assert url.port is not None
    line = CountingProxy(url.host, url.port)
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        database = open_with(url=through, **settings)
        try:
            yield database, line
        finally:
            await database.dispose()
            await line.cut()
