"""Votes, ranked lists and threads over HTTP; every answer is held against the OpenAPI document."""

from datetime import timedelta

import httpx
import pytest

from tests.fakes import SettableClock
from tests.integration.http.conftest import Account, faults, problem, publish

POSTS, MINE = "/api/v1/posts", "/api/v1/users/me/posts"


async def vote(client: httpx.AsyncClient, account: Account, post_id: str, dir: int) -> httpx.Response:
    return await client.put(f"{POSTS}/{post_id}/vote", json={"dir": dir}, headers=account.auth)


async def answer(client: httpx.AsyncClient, account: Account, post_id: str, text: str = "Indeed.") -> str:
    body = {"text": text, "reply_to": post_id}
    response = await client.post(POSTS, json=body, headers=account.auth)
    assert response.status_code == 201, response.text
    assert response.json()["reply_to"] == post_id
    return str(response.json()["id"])


async def test_a_vote_is_answered_with_what_all_votes_come_to(
    client: httpx.AsyncClient, alice: Account, bob: Account
) -> None:
    post_id = (await publish(client, alice)).json()["id"]

    assert (await vote(client, alice, post_id, 1)).json() == {
        "post_id": post_id, "dir": 1, "score": 1, "upvotes": 1, "downvotes": 0,
    }  # fmt: skip
    for _ in range(2):
        turned = (await vote(client, bob, post_id, -1)).json()
        assert (turned["dir"], turned["score"], turned["upvotes"], turned["downvotes"]) == (-1, 0, 1, 1)
    assert (await vote(client, alice, post_id, 0)).json()["score"] == -1

    shown = (await client.get(f"{POSTS}/{post_id}", headers=bob.auth)).json()
    assert (shown["my_vote"], shown["score"], shown["version"]) == (-1, -1, 1)
    assert "my_vote" not in (await client.get(f"{POSTS}/{post_id}")).json()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"dir": 2}, {"/dir": "range"}),
        ({"dir": -2}, {"/dir": "range"}),
        ({"dir": "1"}, {"/dir": "type"}),
        ({"dir": True}, {"/dir": "type"}),
        ({"dir": 0.5}, {"/dir": "type"}),
        ({"dir": None}, {"/dir": "type"}),
        ({}, {"/dir": "required"}),
        ({"dir": 1, "weight": 9}, {"/weight": "unknown"}),
    ],
)
async def test_a_faulty_vote_is_refused(
    client: httpx.AsyncClient, alice: Account, body: dict[str, object], expected: dict[str, str]
) -> None:
    post_id = (await publish(client, alice)).json()["id"]
    response = await client.put(f"{POSTS}/{post_id}/vote", json=body, headers=alice.auth)
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == expected


async def test_who_may_vote_on_what(client: httpx.AsyncClient, alice: Account) -> None:
    post_id = (await publish(client, alice)).json()["id"]
    nowhere = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
    assert problem(await client.put(f"{POSTS}/{post_id}/vote", json={"dir": 1})) == (401, "unauthenticated")
    assert problem(await vote(client, alice, nowhere, 1)) == (404, "post-not-found")
    assert problem(await vote(client, alice, "1", 1)) == (400, "invalid-input")


async def test_a_vote_heeds_if_match(client: httpx.AsyncClient, alice: Account) -> None:
    created = await publish(client, alice)
    post_id, tag = created.json()["id"], created.headers["etag"]
    headers = {**alice.auth, "if-match": tag}
    assert (await client.put(f"{POSTS}/{post_id}/vote", json={"dir": 1}, headers=headers)).status_code == 200
    # Votes change the representation, not the version that is voted on.
    assert (await client.put(f"{POSTS}/{post_id}/vote", json={"dir": 0}, headers=headers)).status_code == 200
    await client.patch(f"{POSTS}/{post_id}", json={"text": "Something else."}, headers=alice.auth)
    stale = await client.put(f"{POSTS}/{post_id}/vote", json={"dir": 1}, headers=headers)
    assert problem(stale) == (412, "post-changed")


async def test_a_vote_on_an_own_post_shows_in_the_own_list_at_once(client: httpx.AsyncClient, alice: Account) -> None:
    post_id = (await publish(client, alice)).json()["id"]
    for dir in (1, -1, 0, 1):
        await client.get(MINE, headers=alice.auth)
        await vote(client, alice, post_id, dir)
        [mine] = (await client.get(MINE, headers=alice.auth)).json()["items"]
        assert (mine["my_vote"], mine["score"]) == (dir, dir)


async def test_the_feed_is_sorted_as_asked(
    client: httpx.AsyncClient, alice: Account, bob: Account, clock: SettableClock
) -> None:
    ids = [(await publish(client, alice, f"post {number}")).json()["id"] for number in range(3)]
    await vote(client, alice, ids[0], 1)
    await vote(client, bob, ids[0], 1)
    await vote(client, bob, ids[2], -1)
    await vote(client, alice, ids[2], -1)
    clock.advance(timedelta(seconds=1))  # Ranks are as of a moment, and two votes never share one.

    async def feed(query: str) -> list[str]:
        read: list[str] = []
        url = f"{POSTS}?limit=1{query}"
        while url:
            page = await client.get(url)
            assert page.status_code == 200, page.text
            read += [post["id"] for post in page.json()["items"]]
            url = page.links.get("next", {}).get("url", "")
        return read

    for query, expected in {
        "": [2, 1, 0],
        "&sort=new": [2, 1, 0],
        "&sort=top": [0, 1, 2],
        "&sort=hot": [0, 1, 2],
        f"&sort=top&author={alice.id}": [0, 1, 2],
        f"&sort=top&author={bob.id}": [],
        "&sort=hot&since=2020-01-01T00:00:00Z&until=2030-01-01T00:00:00%2B02:00": [0, 1, 2],
        "&since=2030-01-01T00:00:00Z": [],
        "&sort=top&until=2020-01-01T00:00:00.5Z": [],
    }.items():
        assert await feed(query) == [ids[number] for number in expected], query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=best", {"?sort": "choice"}),
        ("sort=", {"?sort": "choice"}),
        ("sort=TOP", {"?sort": "choice"}),
        ("since=yesterday", {"?since": "format"}),
        ("since=2026-01-01", {"?since": "format"}),
        ("until=2026-01-01T00:00:00", {"?until": "format"}),
        ("until=2026-02-30T00:00:00Z", {"?until": "format"}),
        ("since=0001-01-01T00:00:00%2B23:59", {"?since": "format"}),
        ("since=1969-12-31T23:59:59Z&sort=x", {"?since": "range", "?sort": "choice"}),
    ],
)
async def test_a_faulty_order_or_period_is_told(
    client: httpx.AsyncClient, query: str, expected: dict[str, str]
) -> None:
    response = await client.get(f"{POSTS}?{query}")
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == expected


async def test_a_cursor_serves_one_order_alone(client: httpx.AsyncClient, alice: Account) -> None:
    for number in range(3):
        await publish(client, alice, str(number))
    cursors = {
        sort: (await client.get(f"{POSTS}?limit=1&sort={sort}")).json()["next_cursor"] for sort in ("new", "top", "hot")
    }
    for sort in cursors:
        for other, cursor in cursors.items():
            status = (await client.get(f"{POSTS}?limit=1&sort={sort}&cursor={cursor}")).status_code
            assert status == (200 if sort == other else 400), (sort, other)


async def test_a_thread_over_http(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    root = (await publish(client, alice, "Shall we?")).json()["id"]
    first = await answer(client, bob, root, "Yes.")
    second = await answer(client, alice, root, "Good.")
    deep = await answer(client, alice, first, "When?")

    page = await client.get(f"{POSTS}/{root}/replies", params={"limit": 1})
    assert [post["id"] for post in page.json()["items"]] == [first]
    rest = await client.get(page.links["next"]["url"])
    assert [(post["id"], post["replies"]) for post in rest.json()["items"]] == [(second, 0)]
    assert [post["id"] for post in (await client.get(POSTS)).json()["items"]] == [root]
    assert (await client.get(f"{POSTS}/{root}")).json()["replies"] == 2

    assert (await client.delete(f"{POSTS}/{first}", headers=bob.auth)).status_code == 204
    tombstone = (await client.get(f"{POSTS}/{root}/replies")).json()["items"][0]
    assert (tombstone["id"], tombstone["deleted"]) == (first, True)
    assert (tombstone["author"], tombstone["text"], tombstone["replies"]) == (None, None, 1)
    assert (await client.get(f"{POSTS}/{first}")).json()["deleted"] is True
    assert problem(await vote(client, alice, first, 1)) == (404, "post-not-found")
    refused = await client.post(POSTS, json={"text": "Late.", "reply_to": first}, headers=bob.auth)
    assert problem(refused) == (409, "reply-target-gone")
    assert faults(refused) == {"/reply_to": "gone"}

    assert (await client.delete(f"{POSTS}/{deep}", headers=alice.auth)).status_code == 204
    assert problem(await client.get(f"{POSTS}/{first}")) == (404, "post-not-found")
    assert (await client.get(f"{POSTS}/{root}")).json()["replies"] == 1


async def test_the_answers_to_nothing_are_not_found(client: httpx.AsyncClient, alice: Account) -> None:
    nowhere = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
    assert problem(await client.get(f"{POSTS}/{nowhere}/replies")) == (404, "post-not-found")
    lonely = (await publish(client, alice)).json()["id"]
    assert (await client.get(f"{POSTS}/{lonely}/replies")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("reply_to", ["x", 1, "z" * 36, "", "019aa1b2c3d47e5f8a6b7c8d9e0f1a2b"])
async def test_a_faulty_reply_to_is_refused(client: httpx.AsyncClient, alice: Account, reply_to: object) -> None:
    response = await client.post(POSTS, json={"text": "x", "reply_to": reply_to}, headers=alice.auth)
    assert problem(response) == (400, "invalid-input")
    assert set(faults(response)) == {"/reply_to"}
