"""Every route of the application by everybody who may call it, against the table in `permissions`."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from domain.identity.values import Password
from domain.shared.actor import Role
from entrypoints.container import Container
from entrypoints.http.app import create_litestar
from entrypoints.http.edge.operation import Operation
from entrypoints.http.openapi import operations
from tests.builders import a_delivery, a_user, a_webhook
from tests.fakes import SettableClock
from tests.integration.http.conftest import BASE, PASSWORD, Account, a_container, build_app
from tests.integration.http.permissions import ROWS, Row

pytestmark = pytest.mark.untraced

ROUTES = [
    (method, path, operation) for method, path, operation in operations(create_litestar(a_container(SettableClock())))
]
CALLERS = Row._fields
A_KEY = {"password": PASSWORD, "name": "a key", "scopes": ["posts:read"]}
AN_ORDER = {
    "items": [{"product_id": "sku-1", "quantity": 1}],
    "shipping_address": {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"},
}


@dataclass
class World:
    """One application with six callers, and what the owner has."""

    client: httpx.AsyncClient
    accounts: dict[str, Account] = field(default_factory=dict)
    owned: dict[str, str] = field(default_factory=dict)
    """What stands in the path: ids of the owner's things."""

    def headers(self, caller: str) -> dict[str, str]:
        return {} if caller == "anonymous" else self.accounts[caller].auth

    def body(self, caller: str, operation: Operation) -> Any:
        """Return a well-formed body: the document's own example, unless it has to name what is there."""
        special: dict[str, Callable[[], Any]] = {
            "signUp": lambda: {"email": "new@example.com", "password": PASSWORD},
            "logIn": lambda: {"email": self.accounts["owner"].email, "password": PASSWORD},
            "refreshSession": lambda: {"refresh_token": self.accounts["owner"].refresh_token},
            "changeMyPassword": lambda: {"current_password": PASSWORD, "new_password": "two walruses in it"},
            "deleteMyAccount": lambda: {"password": PASSWORD},
        }
        made = special.get(operation.id)
        return made() if made is not None else operation.body_example


async def a_world(container: Container) -> World:
    client = httpx.AsyncClient(transport=httpx.ASGITransport(build_app(container)), base_url=BASE)
    world = World(client)
    for name, role in (
        ("other", Role.USER),
        ("owner", Role.USER),
        ("moderator", Role.MODERATOR),
        ("admin", Role.ADMIN),
        ("suspended", Role.USER),
    ):
        world.accounts[name] = await an_account(container, client, name, role)
    owner = world.accounts["owner"]
    published = await client.post("/api/v1/posts", json={"text": "Hello."}, headers=owner.auth)
    await client.post("/api/v1/auth/login", json={"email": owner.email, "password": PASSWORD})
    sessions = (await client.get("/api/v1/auth/sessions", headers=owner.auth)).json()["items"]
    key = await client.post(
        "/api/v1/auth/api-keys",
        json=A_KEY,
        headers=owner.auth,
    )
    assert key.status_code == 201, key.text
    placed = await client.post("/api/v1/orders", json=AN_ORDER, headers=owner.auth)
    assert placed.status_code == 201, placed.text
    webhook = a_webhook()
    delivery = a_delivery(webhook)
    async with container.storage().webhooks_units() as uow:
        await uow.webhooks.add(webhook)
        await uow.deliveries.add_all([delivery])
        await uow.commit()
    world.owned = {
        "webhook_id": str(webhook.id),
        "delivery_id": str(delivery.id),
        "order_id": placed.json()["id"],
        "key_id": key.json()["id"],
        "post_id": published.json()["id"],
        "user_id": owner.id,
        "session_id": next(session["id"] for session in sessions if not session["current"]),
        "slug": "stale",
        "type": "post.published",
        "version": "1",
    }
    suspended = await client.put(
        f"/api/v1/users/{world.accounts['suspended'].id}/suspension", json={}, headers=world.accounts["admin"].auth
    )
    assert suspended.status_code == 204
    return world


async def an_account(container: Container, client: httpx.AsyncClient, name: str, role: Role) -> Account:
    email = f"{name}@example.com"
    hashed = await container.hasher().hash(Password.new(PASSWORD))
    user = a_user(name, email=email, role=role, password_hash=hashed)
    async with container.storage().identity_units() as uow:
        await uow.users.add(user)
        await uow.commit()
    response = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    assert response.status_code == 200, response.text
    pair = response.json()
    return Account(str(user.id), email, name, pair["access_token"], pair["refresh_token"])


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    declared = {operation.id for _, _, operation in ROUTES}
    assert declared - set(ROWS) == set(), "add a row to tests/integration/http/permissions.py"
    assert set(ROWS) - declared == set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def untouched() -> AsyncIterator[World]:
    """A world for those who are refused, or only read: making one takes longer than a hundred requests."""
    world = await a_world(a_container(SettableClock()))
    async with aclosing(world.client):
        yield world


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "path", "operation"), ROUTES, ids=[operation.id for _, _, operation in ROUTES])
async def test_who_may_call_what(untouched: World, method: str, path: str, operation: Operation, caller: str) -> None:
    assert operation.id in ROWS, "add a row to tests/integration/http/permissions.py"
    expected = getattr(ROWS[operation.id], caller)
    changes = method != "GET" and expected < 400
    world = await a_world(a_container(SettableClock())) if changes else untouched
    body = world.body(caller, operation) if operation.body is not None else None
    # What has no end is asked for its headers: who may have them may have the stream.
    method = "HEAD" if operation.media_type == "text/event-stream" else method
    response = await world.client.request(method, path.format(**world.owned), json=body, headers=world.headers(caller))
    if changes:
        await world.client.aclose()

    assert response.status_code == expected, response.text


BODIES: dict[str, dict[str, Any]] = {
    "nothing in it": {"json": {}},
    "no JSON": {"content": b"[", "headers": {"content-type": "application/json"}},
    "no JSON by its type": {"content": b"{}", "headers": {"content-type": "text/plain"}},
    "none": {},
}
WITH_BODY = [route for route in ROUTES if route[2].body is not None]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "path", "operation"), WITH_BODY, ids=[route[2].id for route in WITH_BODY])
async def test_who_may_not_do_a_thing_hears_that_whatever_they_sent(
    untouched: World, method: str, path: str, operation: Operation, caller: str
) -> None:
    expected = getattr(ROWS[operation.id], caller)
    # Whose a thing is, is told once it is looked for, which takes a well-formed request.
    by_role = expected == 403 and operation.permission is not None
    if expected != 401 and not by_role:
        return
    where = f"{path.format(**untouched.owned)}?unknown=parameter"
    for body, sent in BODIES.items():
        headers = {**untouched.headers(caller), **sent.get("headers", {})}
        response = await untouched.client.request(method, where, **{**sent, "headers": headers})
        assert (body, response.status_code) == (body, expected)


def test_every_route_that_is_refused_by_role_declares_the_permission() -> None:
    refused = {id for id, row in ROWS.items() if row.admin < 400 and row.other == row.owner == 403}

    assert refused == {operation.id for _, _, operation in ROUTES if operation.permission is not None}


@pytest.mark.asyncio(loop_scope="module")
async def test_an_api_key_without_the_scope_hears_that_whatever_was_sent(untouched: World) -> None:
    owner = untouched.accounts["owner"]
    made = await untouched.client.post(
        "/api/v1/auth/api-keys",
        json=A_KEY,
        headers=owner.auth,
    )
    key = {"authorization": f"Bearer {made.json()['key']}"}
    for method, path, operation in WITH_BODY:
        if ROWS[operation.id].anonymous == 401:
            response = await untouched.client.request(method, path.format(**untouched.owned), json={}, headers=key)
            assert (operation.id, response.status_code) == (operation.id, 403)
