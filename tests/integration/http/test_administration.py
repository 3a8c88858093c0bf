"""Sessions, administration, the audit trail, export and deletion over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from adapters.security.revocations import POLL_SECONDS
from application.identity.export_data import Export
from application.identity.revocations import Revocation
from application.shared.errors import Overloaded, StorageUnavailable
from application.shared.export import ExportSource
from domain.shared.actor import Role
from domain.shared.errors import PosternError
from domain.shared.ids import UserId
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Exchange, StreamedResponse
from entrypoints.http.edge.large_responses import LargeResponses
from entrypoints.http.identity.my_account import pieces_of
from entrypoints.http.problems.catalogue import status_of
from entrypoints.http.problems.errors import TooManyTransfers
from tests.builders import an_id
from tests.fakes import SettableClock
from tests.integration.http.asgi_client import scope_of
from tests.integration.http.conftest import (
    PASSWORD,
    Account,
    SignUp,
    a_container,
    bearer,
    faults,
    open_client,
    problem,
    publish,
)

API = "/api/v1"


async def with_role(container: Container, client: httpx.AsyncClient, account: Account, role: Role) -> Account:
    """Give a role past the API, and sign in anew."""
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(UserId(_uuid(account.id)))
        user.role = role
        await uow.users.save(user)
        await uow.commit()
    pair = (await client.post(f"{API}/auth/login", json={"email": account.email, "password": PASSWORD})).json()
    return Account(account.id, account.email, account.username, pair["access_token"], pair["refresh_token"])


def _uuid(text: str) -> Any:
    return UUID(text)


@pytest.fixture
async def admin(container: Container, client: httpx.AsyncClient, sign_up: SignUp) -> Account:
    return await with_role(container, client, await sign_up("the-root"), Role.ADMIN)


@pytest.fixture
async def moderator(container: Container, client: httpx.AsyncClient, sign_up: SignUp) -> Account:
    return await with_role(container, client, await sign_up("the-moderator"), Role.MODERATOR)


async def log_in(client: httpx.AsyncClient, account: Account, user_agent: str = "curl/8.9") -> Account:
    response = await client.post(
        f"{API}/auth/login",
        json={"email": account.email, "password": PASSWORD},
        headers={"user-agent": user_agent},
    )
    pair = response.json()
    return Account(account.id, account.email, account.username, pair["access_token"], pair["refresh_token"])


async def events(client: httpx.AsyncClient, admin: Account, user: Account | None = None) -> list[dict[str, Any]]:
    query = {"limit": "100"} | ({} if user is None else {"user": user.id})
    response = await client.get(f"{API}/audit", params=query, headers=admin.auth)
    assert response.status_code == 200
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def replacement(account: dict[str, Any], **changes: Any) -> dict[str, Any]:
    fields = ("email", "email_verified", "username", "name", "phone", "role", "status")
    return {name: account[name] for name in fields} | changes


# Sessions


async def test_sessions_tell_where_they_were_opened_and_which_is_the_present_one(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    clock.advance(timedelta(minutes=1))
    phone = await log_in(client, alice, "A phone")

    listed = (await client.get(f"{API}/auth/sessions", headers=phone.auth)).json()

    assert listed["items"][0]["user_agent"] == "A phone"
    assert [item["current"] for item in listed["items"]] == [True, False]
    assert listed["next_cursor"] is None
    assert listed["items"][0]["address"] == "127.0.0.1"


async def test_sessions_are_paged(client: httpx.AsyncClient, alice: Account) -> None:
    for _ in range(2):
        await log_in(client, alice)
    first = await client.get(f"{API}/auth/sessions?limit=2", headers=alice.auth)
    rest = await client.get(first.links["next"]["url"], headers=alice.auth)

    ids = [item["id"] for response in (first, rest) for item in response.json()["items"]]
    assert len(set(ids)) == 3


async def test_a_revoked_session_is_dead_and_the_others_go_on(client: httpx.AsyncClient, alice: Account) -> None:
    phone = await log_in(client, alice)
    items = (await client.get(f"{API}/auth/sessions", headers=alice.auth)).json()["items"]
    (other,) = [item["id"] for item in items if not item["current"]]

    assert (await client.delete(f"{API}/auth/sessions/{other}", headers=alice.auth)).status_code == 204

    assert problem(await client.get(f"{API}/users/me", headers=phone.auth)) == (401, "invalid-token")
    refused = await client.post(f"{API}/auth/refresh", json={"refresh_token": phone.refresh_token})
    assert problem(refused) == (401, "invalid-token")
    assert (await client.get(f"{API}/users/me", headers=alice.auth)).status_code == 200
    again = await client.delete(f"{API}/auth/sessions/{other}", headers=alice.auth)
    assert problem(again) == (404, "session-not-found")


async def test_somebody_elses_session_is_not_there(client: httpx.AsyncClient, alice: Account, bob: Account) -> None:
    (session,) = (await client.get(f"{API}/auth/sessions", headers=alice.auth)).json()["items"]

    response = await client.delete(f"{API}/auth/sessions/{session['id']}", headers=bob.auth)

    assert problem(response) == (404, "session-not-found")
    assert (await client.get(f"{API}/users/me", headers=alice.auth)).status_code == 200


async def test_logging_out_kills_the_access_token_at_once(client: httpx.AsyncClient, alice: Account) -> None:
    assert (await client.post(f"{API}/auth/logout", headers=alice.auth)).status_code == 204
    assert problem(await client.get(f"{API}/users/me", headers=alice.auth)) == (401, "invalid-token")
    assert problem(await client.get(f"{API}/posts", headers=alice.auth)) == (401, "invalid-token")


async def test_logging_out_everywhere_kills_every_session(client: httpx.AsyncClient, alice: Account) -> None:
    phone = await log_in(client, alice)

    assert (await client.post(f"{API}/auth/logout/all", headers=alice.auth)).status_code == 204

    for account in (alice, phone):
        assert problem(await client.get(f"{API}/users/me", headers=account.auth)) == (401, "invalid-token")


async def test_a_changed_password_kills_the_other_sessions_access(client: httpx.AsyncClient, alice: Account) -> None:
    phone = await log_in(client, alice)
    body = {"current_password": PASSWORD, "new_password": "another walrus entirely"}

    assert (await client.put(f"{API}/users/me/password", json=body, headers=alice.auth)).status_code == 204

    assert problem(await client.get(f"{API}/users/me", headers=phone.auth)) == (401, "invalid-token")
    assert (await client.get(f"{API}/users/me", headers=alice.auth)).status_code == 200


async def test_a_reused_refresh_token_kills_the_access_token_too(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    parent = (await client.post(f"{API}/auth/refresh", json={"refresh_token": alice.refresh_token})).json()
    pair = (await client.post(f"{API}/auth/refresh", json={"refresh_token": parent["refresh_token"]})).json()
    clock.advance(timedelta(seconds=11))
    reused = await client.post(f"{API}/auth/refresh", json={"refresh_token": alice.refresh_token})
    assert problem(reused) == (401, "token-reused")

    response = await client.get(f"{API}/users/me", headers=bearer(pair["access_token"]))

    assert problem(response) == (401, "invalid-token")


# Administration


async def test_the_public_sees_public_profiles_and_administrators_all(
    client: httpx.AsyncClient, alice: Account, bob: Account, admin: Account
) -> None:
    public = (await client.get(f"{API}/users/{alice.id}", headers=bob.auth)).json()
    full = (await client.get(f"{API}/users/{alice.id}", headers=admin.auth)).json()

    assert set(public) == {"id", "username", "name", "created_at"}
    assert (full["email"], full["role"], full["status"]) == (alice.email, "user", "active")
    listed = (await client.get(f"{API}/users", headers=bob.auth)).json()["items"]
    assert all(set(item) == {"id", "username", "name", "created_at"} for item in listed)


async def test_q_searches_addresses_for_administrators_alone(
    client: httpx.AsyncClient, alice: Account, bob: Account, admin: Account
) -> None:
    async def found(q: str, by: Account) -> list[str]:
        response = await client.get(f"{API}/users", params={"q": q}, headers=by.auth)
        return [item["username"] for item in response.json()["items"]]

    assert await found("ALI", bob) == ["alice"]
    assert await found("alice@", bob) == []
    assert await found("alice@", admin) == ["alice"]
    refused = await client.get(f"{API}/users", params={"q": "x" * 101}, headers=admin.auth)
    assert (problem(refused), faults(refused)) == ((400, "invalid-input"), {"?q": "length"})


async def test_administrators_create_accounts_under_the_rules_of_sign_up(
    client: httpx.AsyncClient, admin: Account, alice: Account
) -> None:
    body = {"email": "new@example.com", "password": PASSWORD, "username": "newcomer", "role": "moderator"}
    created = await client.post(f"{API}/users", json=body, headers=admin.auth)

    assert (created.status_code, created.json()["role"]) == (201, "moderator")
    read = await client.get(created.headers["location"], headers=admin.auth)
    assert (read.json(), read.headers["etag"]) == (created.json(), created.headers["etag"])
    taken = await client.post(f"{API}/users", json=body | {"email": alice.email.upper()}, headers=admin.auth)
    assert problem(taken) == (409, "email-taken")
    own = {"email": "another@example.com", "username": "another-one", "password": "Another@example.com"}
    weak = await client.post(f"{API}/users", json=body | own, headers=admin.auth)
    assert (problem(weak), faults(weak)) == ((400, "invalid-input"), {"/password": "personal"})


async def test_another_role_takes_effect_with_the_next_refresh_at_once(
    client: httpx.AsyncClient, alice: Account, admin: Account
) -> None:
    account = await client.get(f"{API}/users/{alice.id}", headers=admin.auth)
    changed = await client.put(
        f"{API}/users/{alice.id}",
        json=replacement(account.json(), role="moderator"),
        headers={**admin.auth, "if-match": account.headers["etag"]},
    )
    assert (changed.status_code, changed.json()["role"]) == (200, "moderator")

    assert problem(await client.get(f"{API}/users/me", headers=alice.auth)) == (401, "invalid-token")
    pair = (await client.post(f"{API}/auth/refresh", json={"refresh_token": alice.refresh_token})).json()
    me = await client.get(f"{API}/users/me", headers=bearer(pair["access_token"]))
    assert (me.status_code, me.json()["role"]) == (200, "moderator")


async def test_a_stale_replacement_is_refused(client: httpx.AsyncClient, alice: Account, admin: Account) -> None:
    account = await client.get(f"{API}/users/{alice.id}", headers=admin.auth)
    headers = {**admin.auth, "if-match": account.headers["etag"]}
    body = replacement(account.json(), name="Alice Liddell")
    assert (await client.put(f"{API}/users/{alice.id}", json=body, headers=headers)).status_code == 200

    assert problem(await client.put(f"{API}/users/{alice.id}", json=body, headers=headers)) == (412, "account-changed")
    assert problem(await client.delete(f"{API}/users/{alice.id}", headers=headers)) == (412, "account-changed")


async def test_a_suspended_account_is_shut_out_until_it_is_reinstated(
    client: httpx.AsyncClient, alice: Account, moderator: Account
) -> None:
    path = f"{API}/users/{alice.id}/suspension"
    for _ in range(2):
        assert (await client.put(path, json={"reason": "Spam"}, headers=moderator.auth)).status_code == 204

    assert problem(await client.get(f"{API}/users/me", headers=alice.auth)) == (401, "invalid-token")
    refused = await client.post(f"{API}/auth/login", json={"email": alice.email, "password": PASSWORD})
    assert problem(refused) == (401, "invalid-credentials")
    assert (await client.delete(path, headers=moderator.auth)).status_code == 204
    assert problem(await client.get(f"{API}/users/me", headers=alice.auth)) == (401, "invalid-token")
    again = await log_in(client, alice)
    assert (await client.get(f"{API}/users/me", headers=again.auth)).status_code == 200


async def test_a_moderator_reaches_users_only(client: httpx.AsyncClient, moderator: Account, admin: Account) -> None:
    up = await client.put(f"{API}/users/{admin.id}/suspension", json={}, headers=moderator.auth)
    assert problem(up) == (403, "out-of-reach")
    own = await client.put(f"{API}/users/{moderator.id}/suspension", json={}, headers=moderator.auth)
    assert problem(own) == (409, "own-account")


async def test_the_last_administrator_and_oneself_are_safe_from_mistakes(
    client: httpx.AsyncClient, admin: Account
) -> None:
    account = (await client.get(f"{API}/users/{admin.id}", headers=admin.auth)).json()
    path = f"{API}/users/{admin.id}"

    assert problem(await client.delete(path, headers=admin.auth)) == (409, "own-account")
    demoted = await client.put(path, json=replacement(account, role="user"), headers=admin.auth)
    assert problem(demoted) == (409, "last-admin")
    suspended = await client.put(path, json=replacement(account, status="suspended"), headers=admin.auth)
    assert problem(suspended) == (409, "own-account")
    deleted = await client.request("DELETE", f"{API}/users/me", json={"password": PASSWORD}, headers=admin.auth)
    assert problem(deleted) == (409, "last-admin")
    assert (await client.get(f"{API}/users/me", headers=admin.auth)).status_code == 200


# The audit trail


async def test_the_trail_tells_who_did_what_to_whom_from_where(
    client: httpx.AsyncClient, alice: Account, admin: Account
) -> None:
    await client.put(
        f"{API}/users/{alice.id}/suspension",
        json={"reason": "Spam"},
        headers={**admin.auth, "user-agent": "Admin's browser", "x-request-id": "the-request"},
    )

    found = await events(client, admin, alice)

    assert [entry["event"] for entry in found][:2] == ["session.revoked", "user.suspended"]
    suspended = found[1]
    assert (suspended["actor"], suspended["subject"], suspended["details"]) == (admin.id, alice.id, {"reason": "Spam"})
    assert (suspended["address"], suspended["user_agent"], suspended["request_id"]) == (
        "127.0.0.1",
        "Admin's browser",
        "the-request",
    )


async def test_failed_log_ins_and_reused_tokens_are_in_the_trail(
    client: httpx.AsyncClient, alice: Account, admin: Account, clock: SettableClock
) -> None:
    await client.post(f"{API}/auth/login", json={"email": alice.email, "password": "not her password"})
    await client.post(f"{API}/auth/login", json={"email": "nobody@example.com", "password": "whatever it is"})
    parent = (await client.post(f"{API}/auth/refresh", json={"refresh_token": alice.refresh_token})).json()
    await client.post(f"{API}/auth/refresh", json={"refresh_token": parent["refresh_token"]})
    clock.advance(timedelta(seconds=11))
    await client.post(f"{API}/auth/refresh", json={"refresh_token": alice.refresh_token})

    found = await events(client, admin)

    failed = [(entry["actor"], entry["subject"]) for entry in found if entry["event"] == "login.failed"]
    assert sorted(failed, key=str) == sorted([(None, alice.id), (None, None)], key=str)
    assert {"session.revoked"} == {e["event"] for e in found if e["details"].get("reason") == "token-reused"}


async def test_guessing_at_the_current_password_leaves_a_trace(
    client: httpx.AsyncClient, alice: Account, admin: Account
) -> None:
    body = {"current_password": "not the one she has", "new_password": "quite another long one"}
    assert problem(await client.put(f"{API}/users/me/password", json=body, headers=alice.auth)) == (
        403,
        "wrong-password",
    )

    found = (await client.get(f"{API}/audit?limit=100", headers=admin.auth)).json()["items"]

    assert [entry["event"] for entry in found].count("password.wrong") == 1


async def test_nobody_else_reads_the_trail(client: httpx.AsyncClient, alice: Account, moderator: Account) -> None:
    for account in (alice, moderator):
        assert problem(await client.get(f"{API}/audit", headers=account.auth)) == (403, "forbidden")


# Leaving


async def test_an_export_holds_everything_as_one_document(client: httpx.AsyncClient, alice: Account) -> None:
    await publish(client, alice, 'First, with ünïcode and "quotes"')
    second = (await publish(client, alice, "Second")).json()["id"]
    vote = await client.put(f"{API}/posts/{second}/vote", json={"dir": 1}, headers=alice.auth)
    assert vote.status_code == 200
    await log_in(client, alice)
    key = {"password": PASSWORD, "name": "backup", "scopes": ["posts:read"]}
    assert (await client.post(f"{API}/auth/api-keys", json=key, headers=alice.auth)).status_code == 201

    response = await client.get(f"{API}/users/me/export", headers=alice.auth)

    document = json.loads(response.content)
    assert [(held["name"], "key" in held) for held in document["api_keys"]] == [("backup", False)]
    assert document["second_factor"] == {"enabled": False, "recovery_codes_left": 0}
    assert document["account"]["email"] == alice.email
    assert [post["text"] for post in document["posts"]] == ["Second", 'First, with ünïcode and "quotes"']
    (held,) = document["votes"]
    assert (held["post_id"], held["dir"]) == (second, 1)
    assert held["created_at"] == held["updated_at"] >= document["posts"][0]["created_at"]
    assert len(document["sessions"]) == 2
    assert "user.data_exported" in {entry["event"] for entry in document["audit"]}
    assert "attachment" in response.headers["content-disposition"]
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("refusal", [TooManyTransfers(), Overloaded()])
async def test_only_an_export_that_is_sent_leaves_a_trace(
    client: httpx.AsyncClient,
    alice: Account,
    admin: Account,
    monkeypatch: pytest.MonkeyPatch,
    refusal: PosternError,
) -> None:
    async def traces() -> int:
        found = (await client.get(f"{API}/audit?limit=100", headers=admin.auth)).json()["items"]
        return [entry["event"] for entry in found].count("user.data_exported")

    with monkeypatch.context() as full:
        full.setattr(LargeResponses, "refusal", lambda *_: refusal)
        refused = await client.get(f"{API}/users/me/export", headers=alice.auth)
    assert problem(refused) == (status_of(type(refusal)), refusal.slug)
    assert (await client.head(f"{API}/users/me/export", headers=alice.auth)).status_code == 200
    assert await traces() == 0

    assert (await client.get(f"{API}/users/me/export", headers=alice.auth)).status_code == 200
    assert await traces() == 1


async def test_an_export_of_nothing_much_is_valid_too(client: httpx.AsyncClient, bob: Account) -> None:
    document = (await client.get(f"{API}/users/me/export", headers=bob.auth)).json()
    assert (document["posts"], document["votes"]) == ([], [])


async def test_an_export_of_many_posts_is_read_page_by_page(client: httpx.AsyncClient, alice: Account) -> None:
    for number in range(101):
        await publish(client, alice, f"Post {number}")

    document = (await client.get(f"{API}/users/me/export", headers=alice.auth)).json()

    assert [post["text"] for post in document["posts"]] == [f"Post {number}" for number in reversed(range(101))]


async def test_deleting_an_account_takes_the_password_and_everything_along(
    client: httpx.AsyncClient, alice: Account, bob: Account, admin: Account
) -> None:
    post = (await publish(client, alice)).headers["location"]
    wrong = await client.request("DELETE", f"{API}/users/me", json={"password": "not hers"}, headers=alice.auth)
    assert problem(wrong) == (403, "wrong-password")

    gone = await client.request("DELETE", f"{API}/users/me", json={"password": PASSWORD}, headers=alice.auth)

    assert gone.status_code == 204
    assert problem(await client.get(f"{API}/users/me", headers=alice.auth)) == (401, "invalid-token")
    refused = await client.post(f"{API}/auth/refresh", json={"refresh_token": alice.refresh_token})
    assert problem(refused) == (401, "invalid-token")
    assert problem(await client.get(post, headers=bob.auth)) == (404, "post-not-found")
    assert problem(await client.get(f"{API}/users/{alice.id}", headers=bob.auth)) == (404, "user-not-found")
    assert {"user.deleted", "password.wrong"} <= {entry["event"] for entry in await events(client, admin, alice)}


async def test_administrators_delete_accounts(client: httpx.AsyncClient, alice: Account, admin: Account) -> None:
    assert (await client.delete(f"{API}/users/{alice.id}", headers=admin.auth)).status_code == 204

    assert problem(await client.get(f"{API}/users/me", headers=alice.auth)) == (401, "invalid-token")
    again = await client.delete(f"{API}/users/{alice.id}", headers=admin.auth)
    assert problem(again) == (404, "user-not-found")


# When revocations cannot be read


async def test_nobody_is_let_in_by_token_while_revocations_cannot_be_read(
    clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = a_container(clock)
    async with open_client(create_app(container)) as client:
        body = {"email": "alice@example.com", "password": PASSWORD}
        token = (await client.post(f"{API}/auth/signup", json=body)).json()["access_token"]
        assert (await client.get(f"{API}/users/me", headers=bearer(token))).status_code == 200
        monkeypatch.setattr(container.revocations(), "are_current", lambda: False)

        async def in_vain() -> None:
            await asyncio.sleep(0)

        monkeypatch.setattr(container.revocations(), "refresh", in_vain)
        refused = await client.get(f"{API}/users/me", headers=bearer(token))

        assert problem(refused) == (503, "storage-unavailable")
        assert refused.headers["retry-after"] == "1"
        assert (await client.get(f"{API}/posts")).status_code == 200


async def test_checking_tokens_costs_well_under_one_look_up_a_request(clock: SettableClock) -> None:
    container = a_container(clock)
    log = container.storage().revocations
    looked_up = 0
    since = log.since

    async def counted(seconds: float) -> Sequence[Revocation]:
        nonlocal looked_up
        looked_up += 1
        return await since(seconds)

    log.since = counted  # type: ignore[method-assign]  # counts what goes through it
    loop = asyncio.get_running_loop()
    async with open_client(create_app(container)) as client:
        await container.revocations().start()
        body = {"email": "alice@example.com", "password": PASSWORD}
        token = (await client.post(f"{API}/auth/signup", json=body)).json()["access_token"]
        began = loop.time()
        for _ in range(1_000):
            assert (await client.get(f"{API}/users/me/posts", headers=bearer(token))).status_code == 200
        seconds = loop.time() - began
        await container.revocations().close()

    assert looked_up <= seconds / POLL_SECONDS + 3
    assert looked_up < 100, f"{looked_up} look-ups for 1,000 requests in {seconds:.1f} s"


# How an export is written


class Pages(ExportSource):
    name = "pages"
    is_list = True

    def __init__(self, pages: int) -> None:
        self._pages = pages
        self.read = 0

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        for _ in range(self._pages):
            self.read += 1
            yield [{"page": self.read}] * 2


class MorePages(Pages):
    name = "more"


async def test_of_an_export_that_leaves_no_trace_nothing_is_read() -> None:
    async def fail() -> None:
        raise StorageUnavailable

    pages = Pages(1)
    pieces = pieces_of(Export(UserId(an_id()), [pages], fail))
    assert await anext(pieces) == b"{"
    with pytest.raises(StorageUnavailable):
        await anext(pieces)
    assert pages.read == 0


async def test_an_export_reads_no_further_than_it_has_sent() -> None:
    """However much there is, one batch is in memory: the next one is read when the last one was taken."""
    pages, more_pages = Pages(50), MorePages(0)
    scope = scope_of("GET", "/api/v1/users/me/export", [])
    exchange = Exchange(scope)
    export = Export(UserId(an_id()), [pages, more_pages], lambda: asyncio.sleep(0))
    answer = await StreamedResponse.begin(exchange, 200, pieces_of(export), ())
    sent: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        sent.append(message.get("body", b""))
        assert pages.read <= b"".join(sent).count(b"page") // 2 + 1

    exchange.status = answer.status

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("it stays")

    await answer(scope, receive, send)

    document = json.loads(b"".join(sent))
    assert [record["page"] for record in document["pages"]] == [number // 2 + 1 for number in range(100)]
    assert document["more"] == []
