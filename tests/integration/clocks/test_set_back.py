"""The database's clock is set back an hour under running processes, and under one that starts afterwards."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from application.shared.clock import StorageTime, TimeReading
from entrypoints.container import Container
from entrypoints.container.lifecycle import running
from entrypoints.http.app import create_app
from tests.backends import SQL_BACKENDS, Databases
from tests.integration.clocks.hosts import Host, settings, signed_up


class MovedTime(StorageTime):
    """The database's time, plus what all its processes share."""

    def __init__(self, source: StorageTime, moved: list[timedelta]) -> None:
        self._source = source
        self._moved = moved

    async def read(self) -> TimeReading:
        reading = await self._source.read()
        return replace(reading, now=reading.now + self._moved[0])


@pytest.fixture(params=SQL_BACKENDS)
async def url(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[str]:
    found = databases.url(request.param)
    await databases.empty(request.param)  # The test before may have left something: feeds show it.
    yield found
    await databases.empty(request.param)


async def test_what_is_made_next_is_newest_and_nothing_is_updated_before_it_was_created(url: str) -> None:
    moved = [timedelta(hours=1)]
    made: list[Any] = []
    async with AsyncExitStack() as stack:

        async def started() -> Host:
            container = Container(settings=settings(url))
            storage = container.storage()
            container.storage.override(replace(storage, time=MovedTime(storage.time, moved)))
            app = create_app(container)
            await stack.enter_async_context(running(container))
            transport = httpx.ASGITransport(app)
            client = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://testserver")
            )
            return Host(container, client)

        async def publish(host: Host) -> None:
            made.append(await host.ask("POST", "/posts", {"text": f"{len(made)}"}, token=token, status=201))

        one, other = await started(), await started()
        token = (await signed_up(one))["access_token"]
        await publish(one)

        moved[0] = timedelta(0)
        await publish(other)
        late = await started()
        # Each hears once a second of what others have made; here it does so in time.
        for host in (late, one, other, late, other, one, one, late):
            await host.container.clock_synchronizer().read()
            await publish(host)

        for host in (one, other, late):
            for path in ("/posts", "/users/me/posts"):
                page = await host.ask("GET", path, token=token)
                assert [post["id"] for post in page["items"]] == [post["id"] for post in reversed(made)]
        times = [post["created_at"] for post in made]
        assert times == sorted(times)
        codes = [notice["code"] for notice in (await late.client.get("/health/ready")).json()["notices"]]
        assert "clock-set-back" in codes
        for host in (one, other, late):
            edited = await host.ask("PATCH", f"/posts/{made[0]['id']}", {"text": "again"}, token=token)
            assert edited["updated_at"] >= edited["created_at"]


async def test_a_day_and_more_is_not_followed_and_what_is_made_next_is_newest_all_the_same(url: str) -> None:
    moved = [timedelta(days=3)]
    made: list[Any] = []
    token = ""
    for at in (timedelta(days=3), timedelta(0)):
        moved[0] = at
        container = Container(settings=settings(url))
        storage = container.storage()
        container.storage.override(replace(storage, time=MovedTime(storage.time, moved)))
        app = create_app(container)
        async with (
            running(container),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client,
        ):
            host = Host(container, client)
            token = (await signed_up(host))["access_token"]
            made += [await host.ask("POST", "/posts", {"text": "new"}, token=token, status=201) for _ in range(3)]
            page = await host.ask("GET", "/posts")
            assert [post["id"] for post in page["items"]] == [post["id"] for post in reversed(made)]
    first, last = made[0], made[-1]
    assert last["created_at"] < first["created_at"]
