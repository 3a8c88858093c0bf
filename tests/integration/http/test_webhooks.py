"""Webhooks over HTTP, up to the request that arrives."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from application.webhooks.ports import WebhookRequest, WebhookSender
from domain.shared.actor import Role
from domain.webhooks.delivery import Outcome
from entrypoints.container import Container
from tests.builders import an_id
from tests.fakes import ListedResolver, SettableClock
from tests.integration.http.conftest import PASSWORD, Account, SignUp, faults, problem, publish

WEBHOOKS = "/api/v1/webhooks"
URL = "https://hooks.example.com/in"


class Inbox(WebhookSender):
    """Takes what is sent, and answers as it is told."""

    def __init__(self) -> None:
        self.received: list[WebhookRequest] = []
        self.status = 204

    async def send(self, request: WebhookRequest) -> Outcome:
        self.received.append(request)
        return Outcome.answered(self.status)


@pytest.fixture
def inbox(container: Container) -> Inbox:
    inbox = Inbox()
    container.webhook_sender.override(inbox)
    return inbox


@pytest.fixture
def resolver(container: Container) -> ListedResolver:
    resolver = container.webhook_resolver()
    assert isinstance(resolver, ListedResolver)
    return resolver


@pytest.fixture
async def admin(inbox: Inbox, client: httpx.AsyncClient, sign_up: SignUp, container: Container) -> Account:
    account = await sign_up("the-admin")
    access = container.access_tokens().verify(account.access_token)
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(access.user_id)
        user.role = Role.ADMIN
        await uow.users.save(user)
        await uow.commit()
    pair = (await client.post("/api/v1/auth/login", json={"email": account.email, "password": PASSWORD})).json()
    return Account(account.id, account.email, account.username, pair["access_token"], pair["refresh_token"])


async def register(client: httpx.AsyncClient, admin: Account, **changes: Any) -> httpx.Response:
    body = {"url": URL, "event_types": ["post.*"], **changes}
    return await client.post(WEBHOOKS, json=body, headers=admin.auth)


async def send_all(container: Container) -> None:
    """Do what the relay does, until there is nothing to do."""
    while await container.fan_out().step():
        pass
    while await container.dispatcher().step():
        await container.dispatcher().drain()


async def test_a_registered_webhook_is_where_location_says_and_shows_its_secret_once(
    client: httpx.AsyncClient, admin: Account
) -> None:
    created = await register(client, admin, description=" Search index ")
    body = created.json()
    assert (created.status_code, created.headers["location"]) == (201, f"{WEBHOOKS}/{body['id']}")
    assert created.headers["cache-control"] == "no-store"
    assert body.pop("secret").startswith("whsec_")
    assert (body["url"], body["event_types"], body["description"]) == (URL, ["post.*"], "Search index")
    read = await client.get(created.headers["location"], headers=admin.auth)
    assert read.json() == body
    again = {**admin.auth, "if-none-match": read.headers["etag"]}
    assert (await client.get(created.headers["location"], headers=again)).status_code == 304
    assert (await client.get(WEBHOOKS, headers=admin.auth)).json() == {"items": [body], "next_cursor": None}


async def test_an_event_arrives_signed_at_those_who_want_it(
    client: httpx.AsyncClient, admin: Account, alice: Account, inbox: Inbox, container: Container
) -> None:
    await publish(client, alice, "Before the webhook.")
    secret = (await register(client, admin)).json()["secret"]
    await register(client, admin, event_types=["order.*"])
    post = (await publish(client, alice)).json()
    await send_all(container)

    (request,) = inbox.received
    event = verified(secret, request)
    assert (event["type"], event["subject"], event["id"]) == ("post.published", post["id"], request.id)
    assert "Hello" not in request.body.decode()


def verified(secret: str, request: WebhookRequest) -> dict[str, Any]:
    """Verify a request with the reference implementation, at the time that it was sent at."""
    expected = Webhook(secret).sign(request.id, datetime.fromtimestamp(request.timestamp, UTC), request.body.decode())
    assert expected in request.signature.split(" ")
    return dict(httpx.Response(200, content=request.body).json())


async def test_after_a_rotation_deliveries_carry_both_signatures_for_a_day(
    client: httpx.AsyncClient, admin: Account, inbox: Inbox, container: Container, clock: SettableClock
) -> None:
    created = (await register(client, admin)).json()
    one = f"{WEBHOOKS}/{created['id']}"
    rotated = (await client.post(f"{one}/secret", headers=admin.auth)).json()
    assert rotated["secret"] != created["secret"]
    for _ in range(2):
        queued = await client.post(f"{one}/test", headers=admin.auth)
        assert (queued.status_code, queued.json()["event_type"]) == (202, "webhook.test")
        await send_all(container)
        clock.advance(timedelta(minutes=29))
    clock.advance(timedelta(hours=23))
    fresh = (await client.post("/api/v1/auth/login", json={"email": admin.email, "password": PASSWORD})).json()
    await client.post(f"{one}/test", headers={"authorization": f"Bearer {fresh['access_token']}"})
    clock.advance(timedelta(minutes=2))
    await send_all(container)

    first, _, late = inbox.received
    assert verified(created["secret"], first) == verified(rotated["secret"], first)
    assert len(first.signature.split(" ")) == 2
    verified(rotated["secret"], late)
    assert len(late.signature.split(" ")) == 1


async def test_failed_deliveries_are_listed_read_and_replayed(
    client: httpx.AsyncClient, admin: Account, alice: Account, inbox: Inbox, container: Container
) -> None:
    webhook = (await register(client, admin)).json()
    one = f"{WEBHOOKS}/{webhook['id']}/deliveries"
    inbox.status = 410
    for _ in range(3):
        await publish(client, alice)
    await container.fan_out().step()
    await container.dispatcher().step()
    await container.dispatcher().drain()

    disabled = (await client.get(f"{WEBHOOKS}/{webhook['id']}", headers=admin.auth)).json()
    assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "gone")
    failed = (await client.get(f"{one}?status=failed", headers=admin.auth)).json()["items"]
    assert [(d["attempts"], d["last_status_code"], d["last_error"]) for d in failed] == [(1, 410, "status")] * 3
    detail = (await client.get(f"{one}/{failed[0]['id']}", headers=admin.auth)).json()
    assert (detail["payload"]["id"], detail["payload"]["type"]) == (failed[0]["event_id"], "post.published")
    refused = await client.post(f"{one}/{failed[0]['id']}/replay", headers=admin.auth)
    assert problem(refused) == (409, "webhook-disabled")

    inbox.status = 200
    await client.patch(f"{WEBHOOKS}/{webhook['id']}", json={"enabled": True}, headers=admin.auth)
    replayed = await client.post(f"{one}/{failed[0]['id']}/replay", headers=admin.auth)
    assert (replayed.status_code, replayed.json()["status"], replayed.json()["attempts"]) == (202, "pending", 0)
    await send_all(container)
    rest = await client.post(f"{one}/replay", json={"since": "2026-01-01T00:00:00Z"}, headers=admin.auth)
    assert rest.json() == {"replayed": 2}
    await send_all(container)

    assert sorted(request.id for request in inbox.received[:3]) == sorted(r.id for r in inbox.received[3:])
    page = (await client.get(f"{one}?status=delivered&limit=2", headers=admin.auth)).json()
    assert (len(page["items"]), page["next_cursor"] is None) == (2, False)
    last = await client.get(f"{one}?status=delivered&limit=2&cursor={page['next_cursor']}", headers=admin.auth)
    assert len(last.json()["items"]) == 1
    foreign = await client.get(f"{one}?cursor={page['next_cursor']}", headers=admin.auth)
    assert problem(foreign) == (400, "invalid-cursor")


async def test_a_disabled_webhook_is_not_told_of_what_happens_meanwhile(
    client: httpx.AsyncClient, admin: Account, alice: Account, inbox: Inbox, container: Container
) -> None:
    one = (await register(client, admin, enabled=False)).headers["location"]
    await publish(client, alice)
    refused = await client.post(f"{one}/test", headers=admin.auth)
    assert problem(refused) == (409, "webhook-disabled")
    enabled = await client.patch(one, json={"enabled": True, "description": None}, headers=admin.auth)
    assert (enabled.json()["enabled"], enabled.json()["version"]) == (True, 2)
    later = (await publish(client, alice)).json()
    await send_all(container)
    assert [later["id"] in request.body.decode() for request in inbox.received] == [True]


async def test_a_stale_if_match_changes_and_deletes_nothing(client: httpx.AsyncClient, admin: Account) -> None:
    one = (await register(client, admin)).headers["location"]
    tag = (await client.get(one, headers=admin.auth)).headers["etag"]
    edited = await client.patch(one, json={"event_types": ["*"]}, headers={**admin.auth, "if-match": tag})
    assert (edited.status_code, edited.json()["event_types"]) == (200, ["*"])
    stale = {**admin.auth, "if-match": tag}
    assert problem(await client.patch(one, json={"url": URL}, headers=stale)) == (412, "webhook-changed")
    assert problem(await client.delete(one, headers=stale)) == (412, "webhook-changed")
    assert (await client.delete(one, headers={**admin.auth, "if-match": edited.headers["etag"]})).status_code == 204
    assert problem(await client.get(one, headers=admin.auth)) == (404, "webhook-not-found")
    assert problem(await client.get(f"{one}/deliveries", headers=admin.auth)) == (404, "webhook-not-found")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"url": "https://user:secret@example.com/"}, {"/url": "format"}),
        ({"url": "https://example.com/#part"}, {"/url": "format"}),
        ({"url": "ftp://example.com/"}, {"/url": "format"}),
        ({"url": "https://example.com:22/"}, {"/url": "port"}),
        ({"url": "https://exa mple.com/"}, {"/url": "format"}),
        ({"event_types": []}, {"/event_types": "length"}),
        ({"event_types": ["post.publised", "post.*"]}, {"/event_types/0": "unknown"}),
        ({"event_types": ["posts.*"]}, {"/event_types/0": "unknown"}),
        ({"event_types": ["*.*"]}, {"/event_types/0": "pattern"}),
        ({"description": "\u0000"}, {"/description": "format"}),
        ({"secret": "mine"}, {"/secret": "unknown"}),
    ],
)
async def test_a_faulty_webhook_is_refused(
    client: httpx.AsyncClient, admin: Account, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    refused = await register(client, admin, **changes)
    assert (problem(refused), faults(refused)) == ((400, "invalid-input"), expected)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://10.1.2.3:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://inside.example.com/",
        "https://both.example.com/",
        "https://nowhere.example.com/",
        "http://hooks.example.com/in",
    ],
)
async def test_a_target_that_is_not_public_is_refused_at_registration_and_when_it_is_changed(
    client: httpx.AsyncClient, admin: Account, resolver: ListedResolver, url: str
) -> None:
    resolver.names = {
        "inside_example_com": [["192.168.7.7"]],
        "both_example_com": [["93.184.215.14", "10.0.0.1"]],
        "nowhere_example_com": [[]],
    }
    assert problem(await register(client, admin, url=url)) == (400, "webhook-target-refused")
    one = (await register(client, admin)).headers["location"]
    changed = await client.patch(one, json={"url": url}, headers=admin.auth)
    assert (problem(changed), list(faults(changed))) == ((400, "webhook-target-refused"), ["/url"])


async def test_a_key_registers_once_and_gives_the_same_secret_again(client: httpx.AsyncClient, admin: Account) -> None:
    headers = {**admin.auth, "idempotency-key": "once"}
    body = {"url": URL, "event_types": ["*"]}
    first = await client.post(WEBHOOKS, json=body, headers=headers)
    second = await client.post(WEBHOOKS, json=body, headers=headers)
    assert (first.status_code, second.headers["idempotent-replayed"]) == (201, "true")
    assert first.content == second.content
    assert len((await client.get(WEBHOOKS, headers=admin.auth)).json()["items"]) == 1


async def test_there_are_a_hundred_webhooks_at_the_most(client: httpx.AsyncClient, admin: Account) -> None:
    for _ in range(100):
        assert (await register(client, admin)).status_code == 201
    assert problem(await register(client, admin)) == (409, "too-many-webhooks")


async def test_what_administrators_do_with_webhooks_is_in_the_audit_trail_without_secrets(
    client: httpx.AsyncClient, admin: Account
) -> None:
    created = await register(client, admin)
    one = created.headers["location"]
    rotated = await client.post(f"{one}/secret", headers=admin.auth)
    await client.delete(one, headers=admin.auth)
    trail = await client.get("/api/v1/audit?limit=3", headers=admin.auth)
    entries = [(entry["event"], entry["actor"], entry["subject"]) for entry in trail.json()["items"]]
    assert entries == [
        ("webhook.deleted", admin.id, None),
        ("webhook.secret_rotated", admin.id, None),
        ("webhook.registered", admin.id, None),
    ]
    assert all(entry["details"]["webhook_id"] == created.json()["id"] for entry in trail.json()["items"])
    assert created.json()["secret"] not in trail.text
    assert rotated.json()["secret"] not in trail.text


async def test_a_webhook_that_is_not_there_is_not_found(client: httpx.AsyncClient, admin: Account) -> None:
    missing = f"{WEBHOOKS}/{an_id()}"
    for answer in (
        await client.get(missing, headers=admin.auth),
        await client.post(f"{missing}/test", headers=admin.auth),
        await client.post(f"{missing}/secret", headers=admin.auth),
        await client.delete(missing, headers=admin.auth),
    ):
        assert problem(answer) == (404, "webhook-not-found")
    one = (await register(client, admin)).headers["location"]
    answer = await client.get(f"{one}/deliveries/{an_id()}", headers=admin.auth)
    assert problem(answer) == (404, "delivery-not-found")
