"""ETags, 304 and 412 (RFC 9110, section 13)."""

import asyncio

import httpx
import pytest

from tests.integration.http.conftest import PASSWORD, Account, problem, publish

POSTS, MINE, ME = "/api/v1/posts", "/api/v1/users/me/posts", "/api/v1/users/me"
CACHEABLE = [
    POSTS,
    MINE,
    ME,
    "{post}",
    "/api/v1/users/{id}/posts",
    "/",
    "/problems",
    "/problems/stale",
    "/openapi.json",
]


@pytest.mark.parametrize("path", CACHEABLE)
@pytest.mark.parametrize("held", ["{tag}", "*", "W/{tag}", '"a,b", {tag}', '"x" ,W/{tag},', ' {tag} , "y"'])
async def test_who_holds_it_already_gets_304_without_a_body(
    client: httpx.AsyncClient, alice: Account, path: str, held: str
) -> None:
    path = path.format(post=(await publish(client, alice)).headers["location"], id=alice.id)
    first = await client.get(path, headers=alice.auth)
    tag = first.headers["etag"]
    second = await client.get(path, headers={**alice.auth, "if-none-match": held.format(tag=tag)})
    assert (second.status_code, second.content, second.headers["etag"]) == (304, b"", tag)
    assert "content-type" not in second.headers
    assert "content-length" not in second.headers
    # What a 200 would have said of caching, a 304 says too (section 15.4.5).
    for name in ("cache-control", "vary"):
        assert second.headers.get(name) == first.headers.get(name)


@pytest.mark.parametrize(
    "held", ['"other"', 'W/"other"', "", "nonsense", "{bare}", "{tag} nonsense", '"unclosed, {tag}']
)
async def test_who_holds_something_else_gets_it_all(client: httpx.AsyncClient, alice: Account, held: str) -> None:
    location = (await publish(client, alice)).headers["location"]
    tag = (await client.get(location)).headers["etag"]
    value = held.format(tag=tag, bare=tag.strip('"'))
    assert (await client.get(location, headers={"if-none-match": value})).status_code == 200


async def test_tags_on_several_lines_count_as_one_list(client: httpx.AsyncClient, alice: Account) -> None:
    location = (await publish(client, alice)).headers["location"]
    tag = (await client.get(location)).headers["etag"]
    response = await client.get(location, headers=[("if-none-match", '"x"'), ("if-none-match", tag)])
    assert response.status_code == 304


async def test_the_tag_of_a_list_changes_with_its_bytes(client: httpx.AsyncClient, alice: Account) -> None:
    before = (await client.get(MINE, headers=alice.auth)).headers["etag"]
    await publish(client, alice)
    after = await client.get(MINE, headers={**alice.auth, "if-none-match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before


@pytest.mark.parametrize("guard", ["{tag}", "*", '"9-aaaaaaaaaaaaaaaaaaaaaaaa", {tag}', '{tag},"x"', " * "])
async def test_a_write_with_the_current_tag_passes(client: httpx.AsyncClient, alice: Account, guard: str) -> None:
    created = await publish(client, alice)
    location = created.headers["location"]
    headers = {**alice.auth, "if-match": guard.format(tag=created.headers["etag"])}
    edited = await client.patch(location, json={"text": "Changed."}, headers=headers)
    assert edited.status_code == 200
    headers = {**alice.auth, "if-match": guard.format(tag=edited.headers["etag"])}
    assert (await client.delete(location, headers=headers)).status_code == 204


@pytest.mark.parametrize(
    "guard",
    [
        'W/"2-aaaaaaaaaaaaaaaaaaaaaaaa"',
        'W/"other"',
        "{bare}",
        "",
        "nonsense",
        '"2-aaaaaaaaaaaaaaaaaaaaaaaa"',
        '"2-aaaaaaaaaaaaaaaaaaaaaaaa", "3-aaaaaaaaaaaaaaaaaaaaaaaa"',
        '"1"',
        '"1-short"',
        '"01-aaaaaaaaaaaaaaaaaaaaaaaa"',
        '"99999999999999999999-aaaaaaaaaaaaaaaaaaaaaaaa"',
        "*, *",
    ],
)
async def test_a_write_with_any_other_tag_is_stale(client: httpx.AsyncClient, alice: Account, guard: str) -> None:
    created = await publish(client, alice)
    location, tag = created.headers["location"], created.headers["etag"]
    headers = {**alice.auth, "if-match": guard.format(tag=tag, bare=tag.strip('"'))}
    assert problem(await client.patch(location, json={"text": "x"}, headers=headers)) == (412, "post-changed")
    assert problem(await client.delete(location, headers=headers)) == (412, "post-changed")
    assert (await client.get(location)).json()["text"] == "Hello, world."


@pytest.mark.parametrize("guard", ["W/{tag}", '"9-aaaaaaaaaaaaaaaaaaaaaaaa", W/{tag}', 'W/"x", W/{tag}'])
async def test_a_write_with_the_current_tag_made_weak_is_told_so(
    client: httpx.AsyncClient, alice: Account, guard: str
) -> None:
    created = await publish(client, alice)
    location = created.headers["location"]
    headers = {**alice.auth, "if-match": guard.format(tag=created.headers["etag"])}
    for refused in (
        await client.patch(location, json={"text": "x"}, headers=headers),
        await client.delete(location, headers=headers),
        await client.put(f"{location}/vote", json={"dir": 1}, headers=headers),
    ):
        assert problem(refused) == (412, "weak-tag")
        assert "changed" not in refused.text
    await client.patch(location, json={"text": "Changed."}, headers=alice.auth)
    # Now it has changed, which is what matters of the two.
    stale = await client.patch(location, json={"text": "x"}, headers=headers)
    assert problem(stale) == (412, "post-changed")
    missing = "/api/v1/posts/019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
    assert (await client.patch(missing, json={"text": "x"}, headers=headers)).status_code == 404


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
async def test_a_tag_that_names_a_content_coding_is_of_the_same_version(
    client: httpx.AsyncClient, alice: Account, coding: str
) -> None:
    created = await publish(client, alice)
    tag = f'{created.headers["etag"][:-1]}-{coding}"'
    headers = {**alice.auth, "if-match": tag}
    assert (await client.patch(created.headers["location"], json={"text": "x"}, headers=headers)).status_code == 200
    again = await client.patch(created.headers["location"], json={"text": "y"}, headers=headers)
    assert problem(again) == (412, "post-changed")


async def test_an_author_may_guard_with_the_tag_that_anybody_sees(client: httpx.AsyncClient, alice: Account) -> None:
    """The anonymous view has other bytes (no `my_vote`), and so another tag, of the same version."""
    created = await publish(client, alice)
    seen = (await client.get(created.headers["location"])).headers["etag"]
    assert seen != created.headers["etag"]
    response = await client.patch(
        created.headers["location"], json={"text": "x"}, headers={**alice.auth, "if-match": seen}
    )
    assert response.status_code == 200


async def test_a_stranger_learns_nothing_from_if_match(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    location = (await publish(client, alice)).headers["location"]
    response = await client.patch(location, json={"text": "x"}, headers={**bob.auth, "if-match": '"nonsense"'})
    assert problem(response) == (403, "not-your-post")


async def test_the_account_is_guarded_alike(client: httpx.AsyncClient, alice: Account) -> None:
    tag = (await client.get(ME, headers=alice.auth)).headers["etag"]
    first = await client.patch(ME, json={"name": "A"}, headers={**alice.auth, "if-match": tag})
    assert first.status_code == 200
    second = await client.patch(ME, json={"name": "B"}, headers={**alice.auth, "if-match": tag})
    assert problem(second) == (412, "account-changed")
    several = f'"77-aaaaaaaaaaaaaaaaaaaaaaaa", {first.headers["etag"]}'
    third = await client.patch(ME, json={"name": "B"}, headers={**alice.auth, "if-match": several})
    assert third.status_code == 200


async def test_a_password_is_guarded_by_the_account_it_belongs_to(client: httpx.AsyncClient, alice: Account) -> None:
    tag = (await client.get(ME, headers=alice.auth)).headers["etag"]
    body = {"current_password": PASSWORD, "new_password": "two walruses in the library"}
    await client.patch(ME, json={"name": "A"}, headers=alice.auth)
    response = await client.put(f"{ME}/password", json=body, headers={**alice.auth, "if-match": tag})
    assert problem(response) == (412, "account-changed")
    response = await client.put(f"{ME}/password", json=body, headers={**alice.auth, "if-match": "*"})
    assert response.status_code == 204


async def test_of_two_hundred_edits_under_one_tag_one_passes(client: httpx.AsyncClient, alice: Account) -> None:
    created = await publish(client, alice)
    headers = {**alice.auth, "if-match": created.headers["etag"]}
    answers = await asyncio.gather(
        *(client.patch(created.headers["location"], json={"text": str(n)}, headers=headers) for n in range(200))
    )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(412)) == (1, 199)
    assert (await client.get(created.headers["location"])).json()["version"] == 2
