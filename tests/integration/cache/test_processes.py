"""The promise of the cache over real processes, a real database and a Redis that fails."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adapters.sql.database import Database, DatabaseSettings
from domain.identity.user import User
from entrypoints.storage import sql_storage
from tests.backends import Databases
from tests.contracts.scenarios import given
from tests.integration.cache.servers import RedisServer, until

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[3]


class Worker:
    """A process of its own; `tell` it what to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tell(self, order: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return await self.answer()

    async def answer(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), 20)).decode().strip()

    async def stop(self) -> int:
        """End the process by closing its input; return its exit status, which is -9 if it did not end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


StartWorker = Callable[[], Awaitable[Worker]]


@pytest.fixture(params=["mariadb", "postgresql"])
async def start_worker(
    request: pytest.FixtureRequest, databases: Databases, server: RedisServer, alice: User
) -> AsyncIterator[StartWorker]:
    url = databases.url(request.param)
    await databases.empty(request.param)
    database = Database(DatabaseSettings(url=url))
    storage = sql_storage(database)
    await given(storage, alice)
    await storage.close()
    workers: list[Worker] = []

    async def start() -> Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.integration.cache.worker", url, server.url, str(alice.id)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        workers.append(Worker(process))
        assert await workers[-1].answer() == "ready"
        return workers[-1]

    yield start
    assert [await worker.stop() for worker in workers] == [0] * len(workers)


async def test_acknowledged_writes_are_in_the_next_read_of_every_process_whatever_happens_to_redis(
    start_worker: StartWorker, server: RedisServer
) -> None:
    one, other = await start_worker(), await start_worker()

    async def write_and_read(stage: str, times: int = 6) -> None:
        for n in range(times):
            writer = (one, other)[n % 2]
            assert await writer.tell(f"publish {stage} {n}") == "ok"
            for reader in (one, other, one, other):
                assert await reader.tell("read") == f"{stage} {n}"

    async def is_cached() -> bool:
        before = await other.tell("hits"), await one.tell("hits")
        await asyncio.gather(one.tell("read"), other.tell("read"))
        after = await other.tell("hits"), await one.tell("hits")
        return all(int(b) > int(a) for a, b in zip(before, after, strict=True))

    await write_and_read("healthy")
    await until(is_cached)
    server.freeze()
    await write_and_read("frozen")
    server.thaw()
    await write_and_read("thawed")
    await until(is_cached)
    server.save()
    await write_and_read("after the snapshot")
    server.kill()
    await write_and_read("killed")
    await asyncio.to_thread(server.start)
    await write_and_read("restored from the snapshot")
    await until(is_cached)
    server.command("FLUSHALL")
    await write_and_read("flushed")
    await until(is_cached)
    assert await one.tell("read") == "flushed 5"


async def test_a_process_that_starts_during_an_outage_shows_the_present(
    start_worker: StartWorker, server: RedisServer
) -> None:
    one = await start_worker()
    await one.tell("publish before")
    await one.tell("read")
    server.kill()
    assert await one.tell("publish during") == "ok"

    other = await start_worker()
    assert await other.tell("read") == "during"

    await asyncio.to_thread(server.start)
    assert await other.tell("publish after") == "ok"
    assert await one.tell("read") == "after"
