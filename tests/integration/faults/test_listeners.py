"""What accepts a connection and closes it, as a proxy without a backend does: unavailable, also on uvloop."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.health import SqlProbe
from application.shared.errors import StorageUnavailable
from entrypoints.storage import sql_storage
from tests.backends import in_thread
from tests.builders import a_user
from tests.contracts.scenarios import given

URLS = {
    "mariadb": "mysql+asyncmy://root@127.0.0.1:{}/postern",
    "postgresql": "postgresql+asyncpg://postgres@127.0.0.1:{}/postern",
}


def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.close()


def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.transport.abort()


async def speak_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)
    writer.close()


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("how", [close, reset, speak_nonsense])
@pytest.mark.parametrize("backend", sorted(URLS))
@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_a_listener_that_is_no_database(engine: str, backend: str, how: Any, loop: Callable[[], Any]) -> None:
    async def work() -> None:
        server = await asyncio.start_server(how, "127.0.0.1", 0, family=socket.AF_INET)
        port = server.sockets[0].getsockname()[1]
        url = URLS[backend].format(port)
        database = Database(DatabaseSettings(url=url, engine=engine, connect_timeout_seconds=0.5))
        storage = sql_storage(database)
        try:
            for _ in range(3):
                with pytest.raises(StorageUnavailable):
                    await storage.accounts.account(a_user().id)
                with pytest.raises(StorageUnavailable):
                    await given(storage, a_user())
            with pytest.raises(StorageUnavailable):
                await SqlProbe(database).check()
        finally:
            await storage.close()
            server.close()
            await asyncio.sleep(0.05)  # What was closed says good-bye.

    in_thread(lambda: _run(loop, work))


def _run(loop: Callable[[], Any], work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())
