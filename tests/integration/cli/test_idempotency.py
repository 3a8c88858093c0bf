"""One idempotency key, a hundred clients, and workers that are killed in the middle of it: one order."""

import asyncio
import http.client
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.schema.migrate import upgrade
from tests.backends import PROCESSES, SQL_BACKENDS, Databases
from tests.integration.cli.conftest import Server, Shell, StartServer

pytestmark = pytest.mark.faults

CLIENTS = 100
PATIENCE_SECONDS = 90
"""For a client to get its answer; workers take seconds to come back on a busy machine."""
PAUSE_SECONDS = (0.2, 0.6)
"""Between the attempts of a client: a hundred that hardly pause keep a small machine from anything else."""
BODY = {
    "items": [{"product_id": "sku-1", "quantity": 2}],
    "shipping_address": {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"},
}
LOCK = {
    "mariadb": "LOCK TABLES orders WRITE",
    "mysql": "LOCK TABLES orders WRITE",
    # Not the table: a key and its order are one statement, which takes the locks of its tables before it begins.
    "postgresql": "SELECT id FROM users FOR UPDATE",
}
STUCK = {
    **{
        backend: f"SELECT COUNT(*) FROM {processes} WHERE db = DATABASE() AND info LIKE 'INSERT INTO%'"
        for backend, processes in PROCESSES.items()
    },
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND query LIKE '%INSERT INTO%' AND wait_event_type = 'Lock'",
}


@dataclass
class Site:
    """A server of two workers on a database of its own, and a customer."""

    backend: str
    server: Server
    engine: AsyncEngine
    headers: dict[str, str] = field(default_factory=dict)

    async def number(self, statement: str) -> int:
        async with self.engine.connect() as connection:
            return int((await connection.execute(text(statement))).scalar_one())

    async def stuck(self) -> int:
        """Return how many connections are held up in writing."""
        return await self.number(STUCK[self.backend])

    @asynccontextmanager
    async def orders_locked(self) -> AsyncIterator[None]:
        """Hold up whoever writes an order, in the middle of the transaction that has claimed the key."""
        async with self.engine.connect() as connection:
            await connection.execute(text(LOCK[self.backend]))
            yield
            if self.backend != "postgresql":
                await connection.execute(text("UNLOCK TABLES"))

    def kill_workers(self, workers: Sequence[int]) -> None:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


@pytest.fixture(params=[backend for backend in SQL_BACKENDS if backend != "sqlite"])
def site(request: pytest.FixtureRequest, shell: Shell, start: StartServer, databases: Databases) -> Iterator[Site]:
    backend = str(request.param)
    databases.url(backend)  # Skips, or fails in CI, without a server.
    url = databases.create(backend, "_idempotency")
    upgrade(url)
    server = start(DATABASE_URL=url, WORKERS="2", RATE_LIMIT_ENABLED="false", PASSWORD_HASH_MEMORY_KIB="8192")
    found = Site(backend, server, create_async_engine(url, poolclass=NullPool))
    status, pair = server.request(
        "POST", "/api/v1/auth/signup", {"email": "ada@example.com", "password": "a quiet harbour at dawn"}
    )
    assert status == 201, pair
    found.headers = {"Authorization": f"Bearer {pair['access_token']}", "Content-Type": "application/json"}
    yield found
    server.stop()
    databases.drop(backend, url)


@dataclass
class Outcome:
    answer: bytes = b""
    headers: dict[str, Any] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)


def insist(site: Site, key: str) -> Outcome:
    """Place the order as a client does that is sure of its key: again and again until it has its answer."""
    outcome = Outcome()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=30)
        try:
            connection.request("POST", "/api/v1/orders", json.dumps(BODY), {**site.headers, "Idempotency-Key": key})
            with connection.getresponse() as response:
                body = response.read()
                outcome.headers = dict(response.getheaders())
        except (OSError, http.client.HTTPException):
            outcome.seen["broken"] += 1
            time.sleep(random.uniform(*PAUSE_SECONDS))
            continue
        finally:
            connection.close()
        outcome.seen[str(response.status)] += 1
        if response.status not in {409, 503}:
            outcome.answer = body
            return outcome
        # A worker that has just come may not know yet, on a busy machine, which tokens were revoked: then it asks to
        # be asked again.
        assert json.loads(body)["type"] in {"/problems/idempotency-in-flight", "/problems/storage-unavailable"}, body
        time.sleep(random.uniform(*PAUSE_SECONDS))
    raise TimeoutError(f"no answer: {outcome.seen}")


async def all_insist(site: Site, key: str, pool: ThreadPoolExecutor) -> list[Outcome]:
    loop = asyncio.get_running_loop()
    return list(await asyncio.gather(*(loop.run_in_executor(pool, insist, site, key) for _ in range(CLIENTS))))


def check(outcomes: list[Outcome]) -> Counter[str]:
    """Demand one and the same answer for all, and at most one who got it as the first."""
    seen: Counter[str] = sum((outcome.seen for outcome in outcomes), Counter())
    assert set(seen) <= {"201", "409", "503", "broken"}, seen
    assert len({outcome.answer for outcome in outcomes}) == 1
    for name in ("location", "etag"):
        assert len({outcome.headers[name] for outcome in outcomes}) == 1
    # None, when the worker died after the commit and before the answer.
    assert [outcome.headers.get("idempotent-replayed") for outcome in outcomes].count(None) <= 1
    return seen


@pytest.mark.timeout(300)
async def test_workers_killed_while_they_hold_the_key_leave_one_order(site: Site) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        async with site.orders_locked():
            asking = asyncio.create_task(all_insist(site, "held", pool))
            # One worker has claimed the key and would write the order; what the other does with it waits for that.
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await site.stuck() < 2:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.05)
            looks = []
            for _ in range(7):
                looks.append(await site.stuck())
                await asyncio.sleep(0.05)
            # What waits for too long gives up and comes again, and a look takes its time: one may find more or less.
            assert median(looks) == 2, f"each worker waits with one connection: {looks}"
            site.kill_workers(site.server.workers())
        outcomes = await asking
    seen = check(outcomes)
    assert seen["broken"] > 0
    assert await site.number("SELECT COUNT(*) FROM orders") == 1
    assert await site.number("SELECT COUNT(*) FROM idempotency_keys") == 1


@pytest.mark.timeout(300)
async def test_workers_killed_at_any_moment_leave_one_order_a_key(site: Site) -> None:
    rounds = 3
    seen: Counter[str] = Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(rounds):
            workers = site.server.workers()
            asking = asyncio.create_task(all_insist(site, f"round-{number}", pool))
            for worker in workers:
                await asyncio.sleep(random.uniform(0, 0.2))
                site.kill_workers([worker])
            seen += check(await asking)
            await asyncio.to_thread(site.server.await_workers, 2, without=workers)
    assert seen["201"] == rounds * CLIENTS
    assert await site.number("SELECT COUNT(*) FROM orders") == rounds
    assert await site.number("SELECT COUNT(*) FROM idempotency_keys") == rounds
