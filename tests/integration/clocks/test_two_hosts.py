"""Two instances over one database, on hosts whose clocks differ: every promise holds that one process would keep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from application.shared.clock import Clock
from entrypoints.container import Container
from entrypoints.container.lifecycle import running
from entrypoints.http.app import create_app
from tests.backends import SQL_BACKENDS, Databases
from tests.integration.clocks.hosts import API, Host, settings, signed_up


class SkewedClock(Clock):
    """The clock of a host that is so far ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@pytest.fixture(params=SQL_BACKENDS)
async def url(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[str]:
    found = databases.url(request.param)
    await databases.empty(request.param)  # The test before may have left something: feeds show it.
    yield found
    await databases.empty(request.param)


@pytest.fixture(params=[-120, 30])
async def hosts(request: pytest.FixtureRequest, url: str) -> AsyncIterator[tuple[Host, Host, int]]:
    """Two hosts, the first of them so many seconds ahead of the other, which has the database's own time.

    What is asked in one direction is asked in the other, too, so each difference stands for its opposite.
    """
    async with AsyncExitStack() as stack:
        made = []
        for ahead in (request.param, 0):
            container = Container(settings=settings(url))
            container.host_clock.override(SkewedClock(timedelta(seconds=ahead)))
            app = create_app(container)
            await stack.enter_async_context(running(container))
            transport = httpx.ASGITransport(app)
            client = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://testserver")
            )
            made.append(Host(container, client))
        yield made[0], made[1], request.param


async def test_a_token_of_one_host_holds_at_the_other_from_the_first_moment(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    for here, there in ((one, other), (other, one)):
        pair = await signed_up(here)

        await there.ask("GET", "/users/me", token=pair["access_token"])
        again = await there.ask("POST", "/auth/refresh", {"refresh_token": pair["refresh_token"]})
        await here.ask("GET", "/users/me", token=again["access_token"])


async def is_refused(host: Host, token: str) -> None:
    """Return once the token is refused; a second is what is promised, and far more is waited."""
    async with asyncio.timeout(20):
        while True:
            answer = await host.client.get(f"{API}/users/me", headers={"authorization": f"Bearer {token}"})
            if answer.status_code == 401:
                return
            await asyncio.sleep(0.02)


async def test_a_token_that_was_logged_out_at_one_host_is_refused_at_the_other(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    for here, there in ((one, other), (other, one)):
        pair = await signed_up(here)
        await there.ask("GET", "/users/me", token=pair["access_token"])
        await here.ask("POST", "/auth/logout", token=pair["access_token"], status=204)

        await is_refused(there, pair["access_token"])


async def test_the_grace_of_a_refresh_token_is_one_and_the_same(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    for here, there in ((one, other), (other, one)):
        tokens = [(await signed_up(here))["refresh_token"]]
        for host in (here, there, here):
            pair = await host.ask("POST", "/auth/refresh", {"refresh_token": tokens[-1]})
            tokens.append(pair["refresh_token"])

        for host in (here, there):
            for token in tokens[:-1]:
                assert await host.ask("POST", "/auth/refresh", {"refresh_token": token}) == pair


async def test_lists_are_newest_first_whichever_host_a_post_was_made_at(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    # Each reading can only narrow down what the clocks may be off by; a process reads once a second.
    for host in (one, other) * 20:
        await host.container.clock_synchronizer().read()
    token = (await signed_up(one))["access_token"]
    made = []
    for number in range(6):
        host = (one, other)[number % 2]
        made.append(await host.ask("POST", "/posts", {"text": f"Post {number}"}, token=token, status=201))

    for host in (one, other):
        for path in ("/posts", "/users/me/posts"):
            page = await host.ask("GET", path, token=token)
            assert [post["id"] for post in page["items"]] == [post["id"] for post in reversed(made)]
    times = [post["created_at"] for post in made]
    assert times == sorted(times)


async def test_nothing_is_updated_before_it_was_created(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    for here, there in ((one, other), (other, one)):
        token = (await signed_up(here))["access_token"]
        post = await here.ask("POST", "/posts", {"text": "first"}, token=token, status=201)
        edited = await there.ask("PATCH", f"/posts/{post['id']}", {"text": "second"}, token=token)
        me = await there.ask("PATCH", "/users/me", {"name": "Alice"}, token=token)

        assert edited["updated_at"] >= post["created_at"]
        assert me["updated_at"] >= me["created_at"]


async def test_an_idempotency_key_is_good_at_both(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    token = (await signed_up(one))["access_token"]
    key = {"idempotency-key": uuid4().hex}

    first = await one.ask("POST", "/posts", {"text": "once"}, token=token, status=201, **key)
    again = await other.ask("POST", "/posts", {"text": "once"}, token=token, status=201, **key)

    assert again == first


async def test_a_scroll_that_began_at_one_host_goes_on_at_the_other(hosts: tuple[Host, Host, int]) -> None:
    one, other, _ = hosts
    token = (await signed_up(one))["access_token"]
    made = {
        (await host.ask("POST", "/posts", {"text": "hot"}, token=token, status=201))["id"] for host in (one, other) * 2
    }
    for here, there in ((one, other), (other, one)):
        for sort in ("new", "top", "hot"):
            page = await here.ask("GET", f"/posts?sort={sort}&limit=2")
            rest = await there.ask("GET", f"/posts?sort={sort}&limit=2&cursor={page['next_cursor']}")
            assert {post["id"] for post in page["items"] + rest["items"]} == made


async def test_only_a_host_that_is_far_off_is_told_of_in_readiness(hosts: tuple[Host, Host, int]) -> None:
    one, other, ahead = hosts
    codes = []
    for host in (one, other):
        ready = await host.client.get("/health/ready")
        assert ready.status_code == 200
        codes.append([notice["code"] for notice in ready.json()["notices"]])
    assert ("clock-skew" in codes[0]) is (abs(ahead) > 30)
    assert "clock-skew" not in codes[1]
