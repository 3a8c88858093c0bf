"""`Idempotency-Key` over HTTP, on every POST that creates."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from application.shared.idempotency import IdempotencyKey
from domain.shared.actor import Role
from entrypoints.container import Container
from entrypoints.http.app import create_app, create_litestar
from entrypoints.http.edge.operation import Operation
from entrypoints.http.openapi import operations
from tests.fakes import SettableClock
from tests.integration.http.conftest import PASSWORD, Account, SignUp, a_container, faults, open_client, problem
from tests.integration.http.contract import Contract

KEY: Final = "8e03978e-40d5-43dd-bc93-6894a57f9324"
ORDERS, POSTS, API_KEYS, USERS = "/api/v1/orders", "/api/v1/posts", "/api/v1/auth/api-keys", "/api/v1/users"
ORDER: Final[dict[str, Any]] = {
    "items": [{"product_id": "sku-1", "quantity": 1}],
    "shipping_address": {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"},
}
HEEDLESS: Final = {"signUp": "its caller has no account yet that a key could belong to"}
"""Routes that create and take a key without heeding it."""
CREATING: Final = [
    (path, operation)
    for method, path, operation in operations(create_litestar(a_container(SettableClock())))
    if method == "POST" and operation.status == 201 and operation.id not in HEEDLESS
]
on_every_creation = pytest.mark.parametrize(
    ("path", "operation"), CREATING, ids=[operation.id for _, operation in CREATING]
)


@pytest.fixture
async def admin(client: httpx.AsyncClient, sign_up: SignUp, container: Container) -> Account:
    """Somebody who may create everything there is."""
    account = await sign_up("the-admin")
    access = container.access_tokens().verify(account.access_token)
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(access.user_id)
        user.role = Role.ADMIN
        await uow.users.save(user)
        await uow.commit()
    pair = (await client.post("/api/v1/auth/login", json={"email": account.email, "password": PASSWORD})).json()
    return Account(account.id, account.email, account.username, pair["access_token"], pair["refresh_token"])


def keyed(account: Account, key: str = KEY) -> dict[str, str]:
    return {**account.auth, "idempotency-key": key}


async def orders_of(client: httpx.AsyncClient, account: Account) -> list[str]:
    return [order["id"] for order in (await client.get(ORDERS, headers=account.auth)).json()["items"]]


def test_every_post_that_creates_takes_a_key(contract: Contract) -> None:
    taking = set()
    for path, item in contract.whole["paths"].items():
        operation = item.get("post", {"responses": {}})
        parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
        if "201" in operation["responses"]:
            assert "Idempotency-Key" in parameters, f"POST {path} creates: see application/shared/idempotency.py"
            taking.add(operation["operationId"])
            if operation["operationId"] in HEEDLESS:
                continue
            assert "Idempotent-Replayed" in operation["responses"]["201"]["headers"], path
            for status, slug in (("409", "idempotency-in-flight"), ("422", "idempotency-key-reused")):
                assert slug in operation["responses"][status]["content"]["application/problem+json"]["examples"], path
        else:
            assert "Idempotency-Key" not in parameters, path
    assert {operation.id for _, operation in CREATING} | set(HEEDLESS) == taking
    assert len(CREATING) >= 4


@on_every_creation
async def test_the_second_time_the_first_answer_comes_back(
    client: httpx.AsyncClient, admin: Account, path: str, operation: Operation
) -> None:
    first = await client.post(path, json=operation.body_example, headers=keyed(admin))
    again = await client.post(path, json=operation.body_example, headers=keyed(admin))

    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    for name in ("location", "etag", "cache-control", "content-type", "vary"):
        assert again.headers.get(name) == first.headers.get(name), name


@on_every_creation
async def test_another_body_under_the_same_key_is_refused(
    client: httpx.AsyncClient, admin: Account, path: str, operation: Operation
) -> None:
    first = await client.post(path, json=operation.body_example, headers=keyed(admin))
    assert first.status_code == 201, first.text
    blank = {**keyed(admin), "content-type": "application/json"}

    other = await client.post(path, content=b" " + first.request.content, headers=blank)

    assert problem(other) == (422, "idempotency-key-reused")


@on_every_creation
async def test_without_a_key_each_request_stands_for_itself(
    client: httpx.AsyncClient, admin: Account, path: str, operation: Operation
) -> None:
    answers = [await client.post(path, json=operation.body_example, headers=admin.auth) for _ in range(2)]

    assert not any("idempotent-replayed" in answer.headers for answer in answers)
    # An account cannot be made twice; everything else can.
    assert answers[1].status_code == (409 if operation.id == "createUser" else 201)
    assert answers[0].content != answers[1].content


@on_every_creation
async def test_a_key_that_is_none_is_refused_and_creates_nothing(
    client: httpx.AsyncClient, admin: Account, path: str, operation: Operation
) -> None:
    headers = list(admin.auth.items())
    for fields, code in (
        ([("idempotency-key", "")], "format"),
        ([("idempotency-key", "a b")], "format"),
        ([("idempotency-key", "k" * 256)], "format"),
        ([("idempotency-key", "k\u00e9y")], "format"),
        ([("idempotency-key", "k\x7f")], "format"),
        ([("idempotency-key", KEY), ("idempotency-key", KEY)], "repeated"),
    ):
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers + fields]
        refused = await client.post(path, json=operation.body_example, headers=raw)
        assert (problem(refused), faults(refused)) == ((400, "invalid-input"), {"?Idempotency-Key": code}), fields
    longest = await client.post(path, json=operation.body_example, headers=keyed(admin, "~" * 255))
    assert longest.status_code == 201


async def test_a_key_of_one_route_is_used_for_all(client: httpx.AsyncClient, alice: Account) -> None:
    placed = await client.post(ORDERS, json=ORDER, headers=keyed(alice))
    raw = {**keyed(alice), "content-type": "application/json"}
    elsewhere = await client.post(POSTS, content=placed.request.content, headers=raw)
    assert problem(elsewhere) == (400, "invalid-input")  # an order is no post
    elsewhere = await client.post(POSTS, json={"text": "Hello."}, headers=keyed(alice))
    assert problem(elsewhere) == (422, "idempotency-key-reused")


async def test_anothers_equal_key_is_another_key(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    mine = await client.post(ORDERS, json=ORDER, headers=keyed(alice))
    theirs = await client.post(ORDERS, json=ORDER, headers=keyed(bob))
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert "idempotent-replayed" not in theirs.headers
    assert mine.json()["id"] != theirs.json()["id"]


async def test_of_a_hundred_at_once_one_creates(client: httpx.AsyncClient, alice: Account) -> None:
    requests = [client.post(ORDERS, json=ORDER, headers=keyed(alice)) for _ in range(100)]
    answers = await asyncio.gather(*requests)

    created = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len({answer.content for answer in created}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in created].count(None) == 1
    assert {problem(answer) for answer in refused} <= {(409, "idempotency-in-flight")}
    assert await orders_of(client, alice) == [created[0].json()["id"]]


async def test_while_the_first_is_under_way_the_second_is_told_when_to_come_again(
    container: Container, client: httpx.AsyncClient, alice: Account
) -> None:
    storage = container.storage()
    access = container.access_tokens().verify(alice.access_token)
    async with storage.identity_units() as uow:  # which is all that memory's one writer needs to stand still
        await uow.users.get(access.user_id)
        first = asyncio.create_task(client.post(ORDERS, json=ORDER, headers=keyed(alice)))
        await asyncio.sleep(0.05)
        second = await client.post(ORDERS, json=ORDER, headers=keyed(alice))
    assert problem(second) == (409, "idempotency-in-flight")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 201
    assert (await client.post(ORDERS, json=ORDER, headers=keyed(alice))).content == (await first).content


async def test_what_failed_leaves_the_key_free(client: httpx.AsyncClient, alice: Account) -> None:
    faulty = await client.post(ORDERS, json={**ORDER, "items": []}, headers=keyed(alice))
    assert faulty.status_code == 400
    missing = {"text": "Yes.", "reply_to": alice.id}
    assert problem(await client.post(POSTS, json=missing, headers=keyed(alice))) == (409, "reply-target-gone")

    right = await client.post(ORDERS, json=ORDER, headers=keyed(alice))

    assert (right.status_code, right.headers.get("idempotent-replayed")) == (201, None)


async def test_after_24_hours_the_key_is_free(
    client: httpx.AsyncClient, container: Container, clock: SettableClock, alice: Account
) -> None:
    async def place() -> httpx.Response:
        pair = await client.post("/api/v1/auth/login", json={"email": alice.email, "password": PASSWORD})
        auth = {"authorization": f"Bearer {pair.json()['access_token']}"}
        return await client.post(ORDERS, json=ORDER, headers={**auth, "idempotency-key": KEY})

    first = await place()
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert (await place()).content == first.content
    clock.advance(timedelta(microseconds=1))
    anew = await place()
    assert "idempotent-replayed" not in anew.headers
    assert anew.json()["id"] != first.json()["id"]


async def test_the_first_answer_comes_back_when_the_post_was_edited_and_when_it_was_deleted(
    client: httpx.AsyncClient, alice: Account
) -> None:
    body = {"text": "Hello."}
    first = await client.post(POSTS, json=body, headers=keyed(alice))
    location = first.headers["location"]
    assert (await client.patch(location, json={"text": "Bye."}, headers=alice.auth)).status_code == 200
    edited = await client.post(POSTS, json=body, headers=keyed(alice))
    assert (edited.content, edited.headers["etag"]) == (first.content, first.headers["etag"])
    assert (await client.delete(location, headers=alice.auth)).status_code == 204
    deleted = await client.post(POSTS, json=body, headers=keyed(alice))
    assert (deleted.status_code, deleted.content) == (201, first.content)
    assert (await client.get(location)).status_code == 404


async def test_an_answer_to_a_post_that_is_gone_since_comes_back_too(
    client: httpx.AsyncClient, alice: Account, bob: Account
) -> None:
    asked = await client.post(POSTS, json={"text": "Is anybody there?"}, headers=bob.auth)
    reply = {"text": "Yes.", "reply_to": asked.json()["id"]}
    first = await client.post(POSTS, json=reply, headers=keyed(alice))
    assert (await client.delete(first.headers["location"], headers=alice.auth)).status_code == 204
    assert (await client.delete(asked.headers["location"], headers=bob.auth)).status_code == 204

    assert (await client.post(POSTS, json=reply, headers=keyed(alice))).content == first.content


async def test_a_key_is_shown_again_to_its_owner_and_its_api_key_works(
    client: httpx.AsyncClient, container: Container, alice: Account
) -> None:
    body = {"password": PASSWORD, "name": "backup script", "scopes": ["posts:read"]}
    first = await client.post(API_KEYS, json=body, headers=keyed(alice))
    again = await client.post(API_KEYS, json=body, headers=keyed(alice))
    assert again.json()["key"] == first.json()["key"]
    assert again.headers["cache-control"] == "no-store"
    shown = {"authorization": f"Bearer {again.json()['key']}"}
    assert (await client.get("/api/v1/users/me/posts", headers=shown)).status_code == 200
    assert len((await client.get(API_KEYS, headers=alice.auth)).json()["items"]) == 1
    access = container.access_tokens().verify(alice.access_token)
    kept = await container.storage().stored_responses.find(access.user_id, IdempotencyKey(KEY))
    assert kept is not None
    assert first.json()["key"].encode() not in kept.sealed


async def test_whoever_may_no_longer_create_gets_no_answer_of_before(
    client: httpx.AsyncClient, container: Container, admin: Account
) -> None:
    body = {"email": "new@example.com", "password": PASSWORD, "username": "newcomer"}
    assert (await client.post(USERS, json=body, headers=keyed(admin))).status_code == 201
    access = container.access_tokens().verify(admin.access_token)
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(access.user_id)
        user.role = Role.USER
        await uow.users.save(user)
        await uow.commit()
    pair = (await client.post("/api/v1/auth/login", json={"email": admin.email, "password": PASSWORD})).json()
    auth = {"authorization": f"Bearer {pair['access_token']}", "idempotency-key": KEY}

    assert problem(await client.post(USERS, json=body, headers=auth)) == (403, "forbidden")


async def test_signing_up_takes_a_key_and_stores_no_token_under_it(
    client: httpx.AsyncClient, container: Container
) -> None:
    body = {"email": "new@example.com", "password": PASSWORD}
    headers = {"idempotency-key": KEY}
    assert (await client.post("/api/v1/auth/signup", json=body, headers=headers)).status_code == 201
    again = await client.post("/api/v1/auth/signup", json=body, headers=headers)
    assert problem(again) == (409, "email-taken")
    faulty = await client.post("/api/v1/auth/signup", json=body, headers={"idempotency-key": "a b"})
    assert faults(faulty) == {"?Idempotency-Key": "format"}
    assert await container.storage().stored_responses.purge(until=container.clock().now(), limit=10) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_reading_takes_no_notice_of_a_key(client: httpx.AsyncClient, alice: Account, method: str) -> None:
    for headers in (keyed(alice), keyed(alice, "not a key")):
        read = await client.request(method, ORDERS, headers=headers)
        assert (read.status_code, read.headers.get("idempotent-replayed")) == (200, None)
    assert (await client.post(ORDERS, json=ORDER, headers=keyed(alice))).status_code == 201


async def test_an_account_that_goes_takes_its_keys_along(
    client: httpx.AsyncClient, container: Container, alice: Account
) -> None:
    await client.post(ORDERS, json=ORDER, headers=keyed(alice))
    gone = await client.request("DELETE", "/api/v1/users/me", json={"password": PASSWORD}, headers=alice.auth)
    assert gone.status_code == 204
    assert await container.storage().stored_responses.purge(until=container.clock().now(), limit=10) == 0


async def test_an_answer_under_a_secret_that_is_gone_is_not_made_up_and_nothing_is_created_again(
    client: httpx.AsyncClient, container: Container, clock: SettableClock, alice: Account, contract: Contract
) -> None:
    first = await client.post(ORDERS, json=ORDER, headers=keyed(alice))
    other = a_container(clock, SECRET_KEY="another key for tests, and for tests alone, 48 long")
    other.storage.override(container.storage())
    async with open_client(create_app(other), contract) as client2:
        pair = await client2.post("/api/v1/auth/login", json={"email": alice.email, "password": PASSWORD})
        headers = {"authorization": f"Bearer {pair.json()['access_token']}", "idempotency-key": KEY}
        assert problem(await client2.post(ORDERS, json=ORDER, headers=headers)) == (409, "idempotent-answer-lost")
    assert await orders_of(client, alice) == [first.json()["id"]]


async def test_browsers_may_read_whether_it_was_a_replay(client: httpx.AsyncClient, alice: Account) -> None:
    headers = {**keyed(alice), "origin": "https://app.example.com"}
    answer = await client.post(ORDERS, json=ORDER, headers=headers)
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
