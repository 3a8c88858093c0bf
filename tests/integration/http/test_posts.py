"""Posts and lists of them."""

import asyncio
import re
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from domain.shared.actor import Role
from entrypoints.container import Container
from tests.integration.http.conftest import PASSWORD, Account, SignUp, faults, problem, publish

POSTS, MINE = "/api/v1/posts", "/api/v1/users/me/posts"


async def a_moderator(client: httpx.AsyncClient, sign_up: SignUp, container: Container) -> Account:
    """Sign somebody up, make a moderator of them in storage, and log them in again for a token that says so."""
    account = await sign_up("the-moderator")
    access = container.access_tokens().verify(account.access_token)
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(access.user_id)
        user.role = Role.MODERATOR
        await uow.users.save(user)
        await uow.commit()
    pair = (await client.post("/api/v1/auth/login", json={"email": account.email, "password": PASSWORD})).json()
    return Account(account.id, account.email, account.username, pair["access_token"], pair["refresh_token"])


async def test_a_published_post_is_where_location_says(client: httpx.AsyncClient, alice: Account) -> None:
    created = await publish(client, alice, "  Hello, world.\n")
    body = created.json()
    assert created.headers["location"] == f"{POSTS}/{body['id']}"
    assert body["text"] == "Hello, world."
    assert body["author"] == {"id": alice.id, "username": alice.username, "name": None}
    assert (body["score"], body["upvotes"], body["downvotes"], body["my_vote"], body["version"]) == (0, 0, 0, 0, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["created_at"])
    read = await client.get(created.headers["location"], headers=alice.auth)
    assert (read.content, read.headers["etag"]) == (created.content, created.headers["etag"])


async def test_my_vote_is_for_the_signed_in_alone(client: httpx.AsyncClient, alice: Account) -> None:
    location = (await publish(client, alice)).headers["location"]
    anonymous = await client.get(location)
    assert "my_vote" not in anonymous.json()
    assert "my_vote" not in (await client.get(POSTS)).json()["items"][0]
    assert (await client.get(location, headers=alice.auth)).json()["my_vote"] == 0
    assert anonymous.headers["vary"].startswith("Authorization")
    assert anonymous.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/text": "required"}),
        ({"text": ""}, {"/text": "length"}),
        ({"text": " \n\u2003"}, {"/text": "blank"}),
        ({"text": "a\u0000b"}, {"/text": "format"}),
        ({"text": None}, {"/text": "type"}),
        ({"text": 1}, {"/text": "type"}),
        ({"text": ["a"]}, {"/text": "type"}),
        ({"text": "a", "author": "b", "a/b~c": 1}, {"/author": "unknown", "/a~1b~0c": "unknown"}),
    ],
)
async def test_a_faulty_post_is_refused(
    client: httpx.AsyncClient, alice: Account, body: dict[str, object], expected: dict[str, str]
) -> None:
    response = await client.post(POSTS, json=body, headers=alice.auth)
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == expected


async def test_nobody_is_asked_for_a_body_before_they_sign_in(client: httpx.AsyncClient) -> None:
    assert problem(await client.post(POSTS, content=b"{")) == (401, "unauthenticated")


async def test_an_author_edits_and_deletes_a_post(client: httpx.AsyncClient, alice: Account) -> None:
    location = (await publish(client, alice)).headers["location"]
    edited = await client.patch(location, json={"text": "Changed."}, headers=alice.auth)
    assert (edited.status_code, edited.json()["text"], edited.json()["version"]) == (200, "Changed.", 2)
    assert (await client.get(location, headers=alice.auth)).headers["etag"] == edited.headers["etag"]
    assert (await client.delete(location, headers=alice.auth)).status_code == 204
    assert problem(await client.get(location)) == (404, "post-not-found")
    assert problem(await client.delete(location, headers=alice.auth)) == (404, "post-not-found")
    assert problem(await client.patch(location, json={"text": "x"}, headers=alice.auth)) == (404, "post-not-found")


async def test_a_stranger_may_not_touch_a_post(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    location = (await publish(client, alice)).headers["location"]
    assert problem(await client.patch(location, json={"text": "x"}, headers=bob.auth)) == (403, "not-your-post")
    assert problem(await client.delete(location, headers=bob.auth)) == (403, "not-your-post")
    assert (await client.get(location)).json()["text"] == "Hello, world."


async def test_a_moderator_may_delete_and_not_edit(
    client: httpx.AsyncClient, alice: Account, sign_up: SignUp, container: Container
) -> None:
    moderator = await a_moderator(client, sign_up, container)
    location = (await publish(client, alice)).headers["location"]
    assert problem(await client.patch(location, json={"text": "x"}, headers=moderator.auth)) == (403, "not-your-post")
    assert (await client.delete(location, headers=moderator.auth)).status_code == 204


@pytest.mark.parametrize("post_id", ["1", "not-a-uuid", "{%7B", "019aa1b2c3d47e5f8a6b7c8d9e0f1a2b", "%00", "%ff"])
async def test_an_id_that_cannot_be_one_is_invalid(client: httpx.AsyncClient, alice: Account, post_id: str) -> None:
    for method, path in (("GET", f"{POSTS}/{post_id}"), ("DELETE", f"{POSTS}/{post_id}")):
        response = await client.request(method, path, headers=alice.auth)
        assert problem(response) == (400, "invalid-input")
        assert faults(response) == {"?post_id": "format"}


async def test_the_feed_shows_everybody_newest_first(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    for number in range(3):
        await publish(client, alice, f"alice {number}")
        await publish(client, bob, f"bob {number}")
    feed = await client.get(POSTS)
    expected = ["bob 2", "alice 2", "bob 1", "alice 1", "bob 0", "alice 0"]
    assert [post["text"] for post in feed.json()["items"]] == expected
    one = await client.get(POSTS, params={"author": alice.id})
    assert [post["text"] for post in one.json()["items"]] == ["alice 2", "alice 1", "alice 0"]
    other = await client.get(f"/api/v1/users/{alice.id}/posts")
    assert other.json() == one.json()
    assert (await client.get(POSTS, params={"author": str(uuid4())})).json() == {"items": [], "next_cursor": None}
    assert problem(await client.get(f"/api/v1/users/{uuid4()}/posts")) == (404, "author-not-found")


@pytest.mark.parametrize("path", [POSTS, MINE, "/api/v1/users/{id}/posts", f"{POSTS}?author={{id}}"])
async def test_links_lead_through_every_post_once_while_more_are_written(
    client: httpx.AsyncClient, alice: Account, path: str
) -> None:
    for number in range(7):
        await publish(client, alice, str(number))
    separator = "&" if "?" in path else "?"
    url: str | None = f"{path}{separator}limit=3".format(id=alice.id)
    seen: list[str] = []
    while url is not None:
        page = await client.get(url, headers=alice.auth)
        assert page.status_code == 200, page.text
        seen += [post["text"] for post in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        assert ("next" in page.links) is (cursor is not None)
        url = page.links["next"]["url"] if cursor else None
        if url is not None:
            assert url.startswith("/api/v1/")
            assert parse_qs(urlsplit(url).query)["cursor"] == [cursor]
        await publish(client, alice, "late")
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize("path", [POSTS, MINE, "/api/v1/users/{id}/posts"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", {"?limit": "range"}),
        ("limit=101", {"?limit": "range"}),
        ("limit=-1", {"?limit": "type"}),
        ("limit=", {"?limit": "type"}),
        ("limit=1.0", {"?limit": "type"}),
        ("limit=%D9%A3", {"?limit": "type"}),
        ("limit=1&limit=2", {"?limit": "repeated"}),
        ("cursor=", {"?cursor": "cursor"}),
        ("cursor=nonsense", {"?cursor": "cursor"}),
        ("limit=x&page=2&colour=red", {"?limit": "type", "?page": "unknown", "?colour": "unknown"}),
        (f"{'a' * 8_000}=1", {f"?{'a' * 200}": "unknown"}),
        ("limit=%ff", {"?": "encoding"}),
    ],
)
async def test_a_faulty_query_is_told_in_full(
    client: httpx.AsyncClient, alice: Account, path: str, query: str, expected: dict[str, str]
) -> None:
    response = await client.get(f"{path.format(id=alice.id)}?{query}", headers=alice.auth)
    assert response.status_code == 400
    assert faults(response) == expected


async def test_a_faulty_author_is_told_beside_a_faulty_limit(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{POSTS}?author=me&limit=0")
    assert faults(response) == {"?author": "format", "?limit": "range"}


async def test_a_cursor_serves_its_own_list_alone_and_unaltered(
    client: httpx.AsyncClient, alice: Account, bob: Account
) -> None:
    for account in (alice, bob):
        for number in range(2):
            await publish(client, account, str(number))
    cursor = (await client.get(MINE, params={"limit": 1}, headers=alice.auth)).json()["next_cursor"]
    assert (await client.get(MINE, params={"cursor": cursor}, headers=alice.auth)).status_code == 200
    elsewhere = [
        client.get(MINE, params={"cursor": cursor}, headers=bob.auth),
        client.get(POSTS, params={"cursor": cursor}),
        client.get(f"/api/v1/users/{alice.id}/posts", params={"cursor": cursor}),
    ]
    tampered = [
        client.get(
            MINE,
            params={"cursor": cursor[:place] + chr(ord(cursor[place]) ^ 1) + cursor[place + 1 :]},
            headers=alice.auth,
        )
        for place in range(0, len(cursor), 5)
    ]
    for response in await asyncio.gather(*elsewhere, *tampered):
        assert problem(response) == (400, "invalid-cursor")


async def test_a_page_closes_before_its_texts_exceed_four_mebibytes(client: httpx.AsyncClient, alice: Account) -> None:
    for letter in "abcdef":
        await publish(client, alice, letter * 1_000_000)
    page = (await client.get(MINE, headers=alice.auth)).json()
    assert [post["text"][0] for post in page["items"]] == ["f", "e", "d", "c"]
    rest = (await client.get(MINE, params={"cursor": page["next_cursor"]}, headers=alice.auth)).json()
    assert [post["text"][0] for post in rest["items"]] == ["b", "a"]
    assert rest["next_cursor"] is None


async def test_own_posts_are_never_older_than_the_last_write(client: httpx.AsyncClient, alice: Account) -> None:
    """Publish, edit and delete, and look after each: the cached list always has it."""

    async def texts() -> list[str]:
        return [post["text"] for post in (await client.get(MINE, headers=alice.auth)).json()["items"]]

    assert await texts() == []
    for number in range(20):
        location = (await publish(client, alice, f"first {number}")).headers["location"]
        assert (await texts())[0] == f"first {number}"
        await client.patch(location, json={"text": f"then {number}"}, headers=alice.auth)
        assert (await texts())[0] == f"then {number}"
        if number % 2:
            await client.delete(location, headers=alice.auth)
            assert f"then {number}" not in await texts()
    await client.patch("/api/v1/users/me", json={"username": "alice_new"}, headers=alice.auth)
    mine = (await client.get(MINE, headers=alice.auth)).json()
    assert {post["author"]["username"] for post in mine["items"]} == {"alice_new"}


async def test_no_caller_sees_the_list_of_another(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    await publish(client, alice, "of alice")
    for _ in range(2):
        assert [p["text"] for p in (await client.get(MINE, headers=alice.auth)).json()["items"]] == ["of alice"]
        answer = await client.get(MINE, headers=bob.auth)
        assert answer.json()["items"] == []
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "Authorization" in answer.headers["vary"]


async def test_a_text_of_one_mebibyte_comes_back_as_it_was(client: httpx.AsyncClient, alice: Account) -> None:
    text = "ü" * ((1_048_576 - len('{"text":""}')) // 2)
    body = ('{"text":"' + text + '"}').encode()
    headers = {**alice.auth, "content-type": "application/json"}
    created = await client.post(POSTS, content=body, headers=headers)
    assert created.status_code == 201
    assert (await client.get(created.headers["location"])).json()["text"] == text
