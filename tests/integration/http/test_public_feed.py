"""The public feed, from its cache."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from entrypoints.container import Container
from entrypoints.http.app import create_app
from tests.fakes import SettableClock
from tests.integration.http.conftest import Account, SignUp, a_container, open_client, publish
from tests.integration.http.contract import Contract

POSTS = "/api/v1/posts"


@pytest.fixture
def container(clock: SettableClock) -> Container:
    return a_container(clock, FEED_CACHE_SECONDS="60")


@pytest.fixture
async def client(container: Container, contract: Contract) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(create_app(container), contract) as opened:
        yield opened


@pytest.mark.parametrize("query", ["", "?sort=new", "?sort=top", "?sort=hot&limit=5"])
async def test_strangers_are_shown_the_same_page_for_a_while_and_writers_their_writes(
    client: httpx.AsyncClient, alice: Account, query: str
) -> None:
    await publish(client, alice, "first")
    before = await client.get(f"{POSTS}{query}")

    await publish(client, alice, "second")

    cached = await client.get(f"{POSTS}{query}")
    assert (cached.content, cached.headers["etag"]) == (before.content, before.headers["etag"])
    own = await client.get(f"{POSTS}{query}", headers=alice.auth)
    assert {post["text"] for post in own.json()["items"]} == {"first", "second"}
    assert all("my_vote" in post for post in own.json()["items"])
    assert "my_vote" not in cached.text


async def test_a_cached_page_is_answered_with_304(client: httpx.AsyncClient, alice: Account) -> None:
    await publish(client, alice)
    first = await client.get(POSTS)

    again = await client.get(POSTS, headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["vary"].startswith("Authorization")


async def test_what_is_narrowed_is_not_cached(client: httpx.AsyncClient, alice: Account) -> None:
    for parameters in ({"author": alice.id}, {"since": "2020-01-01T00:00:00Z"}, {"q": "word"}):
        before = len((await client.get(POSTS, params=parameters)).json()["items"])
        await publish(client, alice, "word")
        assert len((await client.get(POSTS, params=parameters)).json()["items"]) == before + 1


async def test_pages_of_a_cached_feed_follow_one_another(client: httpx.AsyncClient, alice: Account) -> None:
    for number in range(4):
        await publish(client, alice, f"post {number}")
    url, read = f"{POSTS}?limit=2", []
    for _ in range(2):
        response = await client.get(url)
        read += [post["text"] for post in response.json()["items"]]
        url = response.links.get("next", {}).get("url", "")
    assert read == ["post 3", "post 2", "post 1", "post 0"]


async def test_a_faulty_cursor_is_refused_each_time(client: httpx.AsyncClient, sign_up: SignUp) -> None:
    await publish(client, await sign_up("alice"))
    answers = await asyncio.gather(*(client.get(f"{POSTS}?cursor=nonsense") for _ in range(3)))
    assert [answer.status_code for answer in answers] == [400, 400, 400]
