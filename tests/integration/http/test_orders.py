"""Orders over HTTP."""

from typing import Any

import httpx
import pytest

from domain.shared.actor import Role
from entrypoints.container import Container
from tests.integration.http.conftest import PASSWORD, Account, SignUp, faults, problem

ORDERS = "/api/v1/orders"
ADDRESS: dict[str, Any] = {"street": " 1 Main Street ", "city": "Springfield", "state": "IL", "zip": "62701"}
ITEM: dict[str, Any] = {"product_id": "sku-1", "quantity": 2}


@pytest.fixture
async def admin(client: httpx.AsyncClient, sign_up: SignUp, container: Container) -> Account:
    account = await sign_up("the-admin")
    access = container.access_tokens().verify(account.access_token)
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(access.user_id)
        user.role = Role.ADMIN
        await uow.users.save(user)
        await uow.commit()
    pair = (await client.post("/api/v1/auth/login", json={"email": account.email, "password": PASSWORD})).json()
    return Account(account.id, account.email, account.username, pair["access_token"], pair["refresh_token"])


async def place(client: httpx.AsyncClient, account: Account, **changes: Any) -> httpx.Response:
    body = {"items": [ITEM], "shipping_address": ADDRESS, **changes}
    return await client.post(ORDERS, json=body, headers=account.auth)


async def test_a_placed_order_is_where_location_says(client: httpx.AsyncClient, alice: Account) -> None:
    created = await place(client, alice)
    body = created.json()
    assert (created.status_code, created.headers["location"]) == (201, f"{ORDERS}/{body['id']}")
    assert (body["user_id"], body["items"], body["status"], body["version"]) == (alice.id, [ITEM], "pending", 1)
    assert body["shipping_address"] == {**ADDRESS, "street": "1 Main Street", "country": None}
    read = await client.get(created.headers["location"], headers=alice.auth)
    assert (read.content, read.headers["etag"]) == (created.content, created.headers["etag"])
    again = {**alice.auth, "if-none-match": read.headers["etag"]}
    assert (await client.get(created.headers["location"], headers=again)).status_code == 304


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"items": []}, {"/items": "length"}),
        ({"items": [{"product_id": f"p{n}", "quantity": 1} for n in range(101)]}, {"/items": "length"}),
        ({"items": [ITEM, ITEM]}, {"/items/1/product_id": "duplicate"}),
        (
            {"items": [{"product_id": "a b", "quantity": 0}]},
            {"/items/0/product_id": "pattern", "/items/0/quantity": "range"},
        ),
        ({"items": [{"product_id": "a", "quantity": 1001}]}, {"/items/0/quantity": "range"}),
        ({"items": [{"product_id": "a", "quantity": "1"}]}, {"/items/0/quantity": "type"}),
        ({"shipping_address": {**ADDRESS, "zip": "  "}}, {"/shipping_address/zip": "length"}),
        ({"shipping_address": {**ADDRESS, "city": "a\u0000"}}, {"/shipping_address/city": "format"}),
        (
            {"shipping_address": {"street": "a", "planet": "b"}},
            {
                "/shipping_address/city": "required",
                "/shipping_address/state": "required",
                "/shipping_address/zip": "required",
                "/shipping_address/planet": "unknown",
            },
        ),
        ({"status": "shipped"}, {"/status": "unknown"}),
        ({"shipping_address": {**ADDRESS, "country": " "}}, {"/shipping_address/country": "length"}),
    ],
)
async def test_a_faulty_order_is_refused_with_every_fault(
    client: httpx.AsyncClient, alice: Account, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    refused = await place(client, alice, **changes)
    assert (problem(refused), faults(refused)) == ((400, "invalid-input"), expected)


async def test_an_order_exists_for_its_customer_and_administrators_alone(
    client: httpx.AsyncClient, alice: Account, bob: Account, admin: Account
) -> None:
    location = (await place(client, alice)).headers["location"]
    assert problem(await client.get(location, headers=bob.auth)) == (404, "order-not-found")
    assert problem(await client.post(f"{location}/cancel", headers=bob.auth)) == (404, "order-not-found")
    assert (await client.get(location, headers=admin.auth)).status_code == 200
    assert problem(await client.post(f"{location}/cancel", headers=admin.auth)) == (403, "not-your-order")
    moved = await client.patch(location, json={"status": "confirmed"}, headers=alice.auth)
    assert problem(moved) == (403, "forbidden")


async def test_an_order_goes_its_way_and_no_other(client: httpx.AsyncClient, alice: Account, admin: Account) -> None:
    location = (await place(client, alice)).headers["location"]

    async def move(status: str) -> httpx.Response:
        return await client.patch(location, json={"status": status}, headers=admin.auth)

    assert problem(await move("shipped")) == (409, "order-step-skipped")
    for status in ("confirmed", "shipped"):
        assert (await move(status)).json()["status"] == status
    assert problem(await move("confirmed")) == (409, "order-step-back")
    assert problem(await client.post(f"{location}/cancel", headers=alice.auth)) == (409, "order-already-shipped")
    assert (await move("delivered")).json()["version"] == 4
    assert problem(await move("cancelled")) == (409, "order-closed")
    assert problem(await move("delivered")) == (409, "order-unmoved")
    unknown = await move("lost")
    assert (problem(unknown), faults(unknown)) == ((400, "invalid-input"), {"/status": "choice"})


async def test_a_stale_if_match_moves_and_cancels_nothing(
    client: httpx.AsyncClient, alice: Account, admin: Account
) -> None:
    placed = await place(client, alice)
    location, stale = placed.headers["location"], {"if-match": placed.headers["etag"]}
    moved = await client.patch(location, json={"status": "confirmed"}, headers={**admin.auth, **stale})
    assert moved.status_code == 200
    refused = await client.post(f"{location}/cancel", headers={**alice.auth, **stale})
    assert problem(refused) == (412, "order-changed")
    again = await client.patch(location, json={"status": "shipped"}, headers={**admin.auth, **stale})
    assert problem(again) == (412, "order-changed")
    current = {"if-match": moved.headers["etag"]}
    assert (await client.post(f"{location}/cancel", headers={**alice.auth, **current})).json()["status"] == "cancelled"


async def test_lists_are_ones_own_and_administrators_see_others(
    client: httpx.AsyncClient, alice: Account, bob: Account, admin: Account
) -> None:
    ids = [(await place(client, alice)).json()["id"] for _ in range(3)]
    foreign = (await place(client, bob)).json()["id"]

    async def listed(account: Account, **params: Any) -> list[str]:
        response = await client.get(ORDERS, params=params, headers=account.auth)
        assert response.status_code == 200, response.text
        return [order["id"] for order in response.json()["items"]]

    assert await listed(alice) == ids[::-1] == await listed(alice, user=alice.id) == await listed(admin, user=alice.id)
    assert await listed(admin) == []
    assert await listed(admin, all="true") == [foreign, *ids[::-1]]
    for params in ({"user": bob.id}, {"all": "true"}):
        refused = await client.get(ORDERS, params=params, headers=alice.auth)
        assert problem(refused) == (403, "forbidden")
    both = await client.get(ORDERS, params={"user": bob.id, "all": "true"}, headers=admin.auth)
    assert faults(both) == {"?all": "conflict"}
    first = await client.get(ORDERS, params={"limit": 2}, headers=alice.auth)
    rest = await client.get(first.links["next"]["url"], headers=alice.auth)
    assert [order["id"] for order in rest.json()["items"]] == ids[:1]
    elsewhere = {"cursor": first.json()["next_cursor"]}
    assert problem(await client.get(ORDERS, params=elsewhere, headers=bob.auth)) == (400, "invalid-cursor")


async def test_an_order_stays_without_the_person_and_is_in_their_export_before(
    client: httpx.AsyncClient, alice: Account, admin: Account
) -> None:
    placed = await place(client, alice)
    export = (await client.get("/api/v1/users/me/export", headers=alice.auth)).json()
    assert export["orders"] == [placed.json()]
    gone = await client.request("DELETE", "/api/v1/users/me", json={"password": PASSWORD}, headers=alice.auth)
    assert gone.status_code == 204
    location = placed.headers["location"]
    kept = (await client.get(location, headers=admin.auth)).json()
    assert (kept["user_id"], kept["shipping_address"], kept["items"], kept["version"]) == (None, None, [ITEM], 2)
    confirmed = await client.patch(location, json={"status": "confirmed"}, headers=admin.auth)
    assert problem(confirmed) == (409, "nowhere-to-ship")
    assert (await client.patch(location, json={"status": "cancelled"}, headers=admin.auth)).status_code == 200
