"""Searching posts over HTTP."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.integration.http.conftest import Account, faults, problem, publish

POSTS = "/api/v1/posts"


async def search(client: httpx.AsyncClient, **parameters: str) -> list[dict[str, object]]:
    response = await client.get(POSTS, params=parameters)
    assert response.status_code == 200, response.text
    items: list[dict[str, object]] = response.json()["items"]
    return items


async def test_a_search_shows_the_posts_and_why(client: httpx.AsyncClient, alice: Account) -> None:
    await publish(client, alice, "Die <b>Straße</b> am Hafen")
    await publish(client, alice, "Something else")

    [found] = await search(client, q="STRASSE hafen")

    assert found["text"] == "Die <b>Straße</b> am Hafen"
    assert found["excerpt"] == "Die &lt;b&gt;<mark>Straße</mark>&lt;/b&gt; am <mark>Hafen</mark>"
    assert "my_vote" not in found


async def test_only_a_search_shows_excerpts(client: httpx.AsyncClient, alice: Account) -> None:
    location = (await publish(client, alice)).headers["location"]

    assert "excerpt" not in (await client.get(POSTS)).json()["items"][0]
    assert "excerpt" not in (await client.get(location)).json()


async def test_the_signed_in_see_their_votes_in_what_they_find(client: httpx.AsyncClient, alice: Account) -> None:
    location = (await publish(client, alice, "found")).headers["location"]
    await client.put(f"{location}/vote", json={"dir": 1}, headers=alice.auth)

    response = await client.get(POSTS, params={"q": "found"}, headers=alice.auth)

    assert [post["my_vote"] for post in response.json()["items"]] == [1]


async def test_a_search_follows_what_is_edited_and_deleted(client: httpx.AsyncClient, alice: Account) -> None:
    location = (await publish(client, alice, "before")).headers["location"]
    await client.patch(location, json={"text": "after"}, headers=alice.auth)
    assert await search(client, q="before") == []
    assert len(await search(client, q="after")) == 1

    await client.delete(location, headers=alice.auth)
    assert await search(client, q="after") == []


async def test_what_became_a_tombstone_is_not_found(client: httpx.AsyncClient, alice: Account) -> None:
    post = (await publish(client, alice, "question words")).json()
    answer = {"text": "answer words", "reply_to": post["id"]}
    assert (await client.post(POSTS, json=answer, headers=alice.auth)).status_code == 201
    assert len(await search(client, q="words")) == 2

    await client.delete(f"{POSTS}/{post['id']}", headers=alice.auth)

    assert [found["text"] for found in await search(client, q="words")] == ["answer words"]


async def test_pages_follow_one_another_and_the_link_keeps_the_query(client: httpx.AsyncClient, alice: Account) -> None:
    for number in range(5):
        await publish(client, alice, f"needle {number}")
    expected = [post["id"] for post in await search(client, q="needle")]
    assert len(expected) == 5

    read = []
    response = await client.get(f"{POSTS}?q=needle&limit=2")
    while "next" in response.links:
        read += [post["id"] for post in response.json()["items"]]
        url = response.links["next"]["url"]
        assert parse_qs(urlsplit(url).query)["q"] == ["needle"]
        response = await client.get(url)
    read += [post["id"] for post in response.json()["items"]]

    assert read == expected
    assert response.json()["next_cursor"] is None


async def test_a_cursor_fits_its_own_query_alone(client: httpx.AsyncClient, alice: Account) -> None:
    for number in range(2):
        await publish(client, alice, f"needle {number}")
    cursor = (await client.get(POSTS, params={"q": "needle", "limit": "1"})).json()["next_cursor"]
    assert (await client.get(POSTS, params={"q": "NEEDLE", "cursor": cursor})).status_code == 200

    for parameters in (
        {"q": "other", "cursor": cursor},
        {"q": "needle", "author": alice.id, "cursor": cursor},
        {"cursor": cursor},
        {"q": "needle", "cursor": f"x{cursor}"},
        {"q": "needle", "cursor": (await client.get(POSTS, params={"limit": "1"})).json()["next_cursor"]},
    ):
        assert problem(await client.get(POSTS, params=parameters)) == (400, "invalid-cursor")


async def test_author_and_time_narrow_a_search(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    post = (await publish(client, alice, "word")).json()
    await publish(client, bob, "word")

    assert [found["id"] for found in await search(client, q="word", author=alice.id)] == [post["id"]]
    assert len(await search(client, q="word", since=post["created_at"])) == 2
    assert await search(client, q="word", until=post["created_at"]) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=", {"?q": "words"}),
        ("q=%2B-*", {"?q": "words"}),
        ("q=" + "x" * 201, {"?q": "length"}),
        ("q=" + "+".join("abcdefghijklmnopq"), {"?q": "words"}),
        ("q=a&q=b", {"?q": "repeated"}),
        ("q=a&sort=hot", {"?sort": "conflict"}),
        ("q=&limit=0&author=x", {"?q": "words", "?limit": "range", "?author": "format"}),
    ],
)
async def test_a_faulty_search_is_refused_with_every_fault(
    client: httpx.AsyncClient, query: str, expected: dict[str, str]
) -> None:
    response = await client.get(f"{POSTS}?{query}")
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == expected


async def test_a_search_is_answered_with_304_while_nothing_changes(client: httpx.AsyncClient, alice: Account) -> None:
    await publish(client, alice, "needle")
    first = await client.get(POSTS, params={"q": "needle"})

    again = await client.get(POSTS, params={"q": "needle"}, headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
