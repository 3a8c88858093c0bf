"""Signing up, in and out, and one's own account."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from adapters.security.jwt import JwtAccessTokens
from adapters.security.keys import DerivedKeys
from application.identity.ports import AccessGrant, VerifiedAccess
from application.identity.revocations import token_id
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.exchange import Exchange
from tests.fakes import NothingRevoked, SettableClock
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
)

SIGN_UP, LOG_IN, REFRESH, LOG_OUT = (f"/api/v1/auth/{name}" for name in ("signup", "login", "refresh", "logout"))
ME = "/api/v1/users/me"


async def test_signing_up_gives_a_pair_and_the_account(client: httpx.AsyncClient) -> None:
    body = {"email": "Alice@Example.com", "password": PASSWORD, "name": "Alice Liddell"}
    response = await client.post(SIGN_UP, json=body)
    assert response.status_code == 201
    assert response.headers["location"] == ME
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 1800)
    assert answer["user"]["email"] == "Alice@example.com"
    assert answer["user"]["name"] == "Alice Liddell"
    assert answer["user"]["username"]
    me = await client.get(ME, headers=bearer(answer["access_token"]))
    assert me.json() == answer["user"]


@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@EXAMPLE.COM", "\uff41lice@example.com"])
async def test_an_address_belongs_to_one_account_in_any_spelling(
    client: httpx.AsyncClient, alice: Account, email: str
) -> None:
    response = await client.post(SIGN_UP, json={"email": email, "password": PASSWORD})
    assert problem(response) == (409, "email-taken")
    assert faults(response) == {"/email": "taken"}
    assert alice.email == "alice@example.com"


async def test_a_username_belongs_to_one_account(client: httpx.AsyncClient, alice: Account) -> None:
    body = {"email": "other@example.com", "password": PASSWORD, "username": alice.username.upper()}
    response = await client.post(SIGN_UP, json=body)
    assert problem(response) == (409, "username-taken")
    assert faults(response) == {"/username": "taken"}


async def test_every_fault_of_schema_and_domain_is_told_at_once(client: httpx.AsyncClient) -> None:
    body = {"email": "no address", "password": "short", "username": 7, "name": "\u0007", "admin": True}
    response = await client.post(SIGN_UP, json=body)
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == {
        "/email": "format",
        "/password": "length",
        "/username": "type",
        "/name": "format",
        "/admin": "unknown",
    }


async def test_missing_fields_are_told_beside_faulty_ones(client: httpx.AsyncClient) -> None:
    response = await client.post(SIGN_UP, json={"email": 1})
    assert faults(response) == {"/email": "type", "/password": "required"}


@pytest.mark.parametrize(
    ("password", "code"),
    [("password12345", "common"), ("somebody@example.com", "personal"), ("x" * 257, "length"), ("x" * 11, "length")],
)
async def test_a_password_that_must_not_be_chosen_is_refused(
    client: httpx.AsyncClient, password: str, code: str
) -> None:
    response = await client.post(SIGN_UP, json={"email": "somebody@example.com", "password": password})
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == {"/password": code}


async def test_internationalised_addresses_are_welcome_and_punycode_is_the_same(client: httpx.AsyncClient) -> None:
    body = {"email": "用户@bücher.example.com", "password": PASSWORD}
    assert (await client.post(SIGN_UP, json=body)).status_code == 201
    again = {"email": "用户@xn--bcher-kva.example.com", "password": PASSWORD}
    assert problem(await client.post(SIGN_UP, json=again)) == (409, "email-taken")
    assert (await client.post(LOG_IN, json=again)).status_code == 200


async def test_logging_in_takes_any_spelling_of_the_address(client: httpx.AsyncClient, alice: Account) -> None:
    response = await client.post(LOG_IN, json={"email": alice.email.upper(), "password": PASSWORD})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert set(response.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "alice@example.com", "password": "not this one, no"},
        {"email": "not an address at all", "password": PASSWORD},
        {"email": "", "password": ""},
        {"email": "alice@example.com", "password": "x" * 100_000},
    ],
)
async def test_whatever_is_wrong_with_credentials_the_answer_is_the_same(
    client: httpx.AsyncClient, alice: Account, body: dict[str, str]
) -> None:
    response = await client.post(LOG_IN, json=body, headers={"x-request-id": "one"})
    assert problem(response) == (401, "invalid-credentials")
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == {
        "type": "/problems/invalid-credentials",
        "title": "Email or password is wrong",
        "status": 401,
        "detail": "Email or password is wrong",
        "request_id": "one",
    }
    assert alice.id


async def test_a_refresh_token_is_exchanged_once(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    clock.advance(timedelta(minutes=1))
    response = await client.post(REFRESH, json={"refresh_token": alice.refresh_token})
    assert response.status_code == 200
    pair = response.json()
    assert pair["refresh_token"] != alice.refresh_token
    assert (await client.get(ME, headers=bearer(pair["access_token"]))).status_code == 200
    assert (await client.post(REFRESH, json={"refresh_token": pair["refresh_token"]})).status_code == 200


async def test_within_the_grace_a_spent_token_gives_the_same_pair(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    first = await client.post(REFRESH, json={"refresh_token": alice.refresh_token})
    clock.advance(timedelta(seconds=10))
    second = await client.post(REFRESH, json={"refresh_token": alice.refresh_token})
    assert second.json() == first.json()


async def test_a_phone_that_lost_its_answer_and_comes_back_gets_the_same_pair(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    lost = (await client.post(REFRESH, json={"refresh_token": alice.refresh_token})).json()
    clock.advance(timedelta(seconds=11))

    again = await client.post(REFRESH, json={"refresh_token": alice.refresh_token})

    assert (again.status_code, again.json()) == (200, lost)


async def test_every_generation_yields_the_newest_pair_within_its_grace(
    client: httpx.AsyncClient, alice: Account
) -> None:
    tokens = [alice.refresh_token]
    for _ in range(3):
        tokens.append((await client.post(REFRESH, json={"refresh_token": tokens[-1]})).json()["refresh_token"])

    answers = [await client.post(REFRESH, json={"refresh_token": token}) for token in tokens[:-1]]

    assert [answer.json()["refresh_token"] for answer in answers] == [tokens[-1]] * 3


async def test_a_spent_token_after_the_grace_kills_the_session_for_good(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock, container: Container
) -> None:
    pair = (await client.post(REFRESH, json={"refresh_token": alice.refresh_token})).json()
    # The answer has arrived: its access token is used.
    assert (await client.get("/api/v1/users/me", headers=bearer(pair["access_token"]))).status_code == 200
    await container.background().idle()
    clock.advance(timedelta(seconds=10, microseconds=1))
    replayed = await client.post(REFRESH, json={"refresh_token": alice.refresh_token})
    assert problem(replayed) == (401, "token-reused")
    assert replayed.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    # Committed although the answer was an error: the rightful successor is dead too.
    assert problem(await client.post(REFRESH, json={"refresh_token": pair["refresh_token"]})) == (401, "invalid-token")


async def test_a_hundred_refreshes_of_one_token_make_one_successor(client: httpx.AsyncClient, alice: Account) -> None:
    answers = await asyncio.gather(
        *(client.post(REFRESH, json={"refresh_token": alice.refresh_token}) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 100_000, "\u0000"])
async def test_a_forged_refresh_token_is_invalid(client: httpx.AsyncClient, token: str) -> None:
    response = await client.post(REFRESH, json={"refresh_token": token})
    assert problem(response) == (401, "invalid-token")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_logging_out_ends_the_session(client: httpx.AsyncClient, alice: Account) -> None:
    assert (await client.post(LOG_OUT, headers=alice.auth)).status_code == 204
    assert problem(await client.post(REFRESH, json={"refresh_token": alice.refresh_token})) == (401, "invalid-token")


async def test_an_expired_access_token_is_refused_although_it_was_remembered(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    clock.advance(timedelta(seconds=1799))
    assert (await client.get(ME, headers=alice.auth)).status_code == 200
    clock.advance(timedelta(seconds=1))
    response = await client.get(ME, headers=alice.auth)
    assert problem(response) == (401, "invalid-token")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_without_a_token_the_challenge_names_no_error(client: httpx.AsyncClient) -> None:
    response = await client.get(ME)
    assert problem(response) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_case_insensitive(client: httpx.AsyncClient, alice: Account, scheme: str) -> None:
    response = await client.get(ME, headers={"authorization": f"{scheme} {alice.access_token}"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("authorization", "slug"),
    [
        ("Bearer", "invalid-token"),
        ("Bearer ", "invalid-token"),
        ("Bearer x y", "invalid-token"),
        ("Bearer x.y.z", "invalid-token"),
        ("Bearer " + "x" * 8000, "invalid-token"),
        ("Bearer é", "invalid-token"),
        ("Basic YWxpY2U6c2VjcmV0", "unauthenticated"),
        ("Token {token}", "unauthenticated"),
        ("{token}", "unauthenticated"),
        ("BearerX {token}", "unauthenticated"),
    ],
)
@pytest.mark.parametrize("path", [ME, "/api/v1/posts"])
async def test_bad_credentials_are_refused_also_where_none_are_needed(
    client: httpx.AsyncClient, alice: Account, authorization: str, slug: str, path: str
) -> None:
    value = authorization.format(token=alice.access_token).encode("latin-1")
    response = await client.get(path, headers=[(b"authorization", value)])
    assert problem(response) == (401, slug)


async def test_two_authorization_headers_are_one_too_many(client: httpx.AsyncClient, alice: Account) -> None:
    value = f"Bearer {alice.access_token}"
    response = await client.get(ME, headers=[("authorization", value), ("authorization", value)])
    assert problem(response) == (401, "invalid-token")


async def test_a_token_of_another_key_is_refused(alice: Account, clock: SettableClock) -> None:
    other = create_app(a_container(clock, SECRET_KEY="another key, of another installation, long enough"))
    async with open_client(other) as client:
        assert problem(await client.get(ME, headers=alice.auth)) == (401, "invalid-token")


async def test_editing_the_profile_changes_what_is_given_and_no_more(client: httpx.AsyncClient, alice: Account) -> None:
    first = await client.patch(ME, json={"name": "Alice", "phone": "+4915112345678"}, headers=alice.auth)
    assert (first.json()["name"], first.json()["phone"]) == ("Alice", "+4915112345678")
    second = await client.patch(ME, json={"name": None}, headers=alice.auth)
    assert (second.json()["name"], second.json()["phone"]) == (None, "+4915112345678")
    third = await client.patch(ME, json={"username": "alice_l"}, headers=alice.auth)
    assert third.json()["username"] == "alice_l"
    me = await client.get(ME, headers=alice.auth)
    assert (me.json(), me.headers["etag"]) == (third.json(), third.headers["etag"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"username": None}, {"/username": "type"}),
        ({"phone": "015112345678"}, {"/phone": "pattern"}),
        ({"phone": "+4915112345678\n"}, {"/phone": "format"}),
        ({"name": " "}, {"/name": "length"}),
        ({"username": "a b"}, {"/username": "format"}),
        ({"email": "new@example.com"}, {"/email": "unknown"}),
        ({"role": "admin", "name": 1}, {"/role": "unknown", "/name": "type"}),
    ],
)
async def test_a_faulty_profile_is_refused(
    client: httpx.AsyncClient, alice: Account, body: dict[str, object], expected: dict[str, str]
) -> None:
    response = await client.patch(ME, json=body, headers=alice.auth)
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == expected


async def test_changing_the_password_closes_the_other_sessions(client: httpx.AsyncClient, alice: Account) -> None:
    other = (await client.post(LOG_IN, json={"email": alice.email, "password": PASSWORD})).json()
    body = {"current_password": PASSWORD, "new_password": "two walruses in the library"}
    response = await client.put(f"{ME}/password", json=body, headers=alice.auth)
    assert response.status_code == 204
    assert problem(await client.post(REFRESH, json={"refresh_token": other["refresh_token"]})) == (401, "invalid-token")
    assert (await client.post(REFRESH, json={"refresh_token": alice.refresh_token})).status_code == 200
    old = await client.post(LOG_IN, json={"email": alice.email, "password": PASSWORD})
    assert problem(old) == (401, "invalid-credentials")
    new = await client.post(LOG_IN, json={"email": alice.email, "password": body["new_password"]})
    assert new.status_code == 200


async def test_a_wrong_current_password_changes_nothing(client: httpx.AsyncClient, alice: Account) -> None:
    body = {"current_password": "not this one, no", "new_password": "two walruses in the library"}
    response = await client.put(f"{ME}/password", json=body, headers=alice.auth)
    assert problem(response) == (403, "wrong-password")


async def test_a_new_password_is_judged_under_its_own_name(client: httpx.AsyncClient, alice: Account) -> None:
    body = {"current_password": PASSWORD, "new_password": "short"}
    response = await client.put(f"{ME}/password", json=body, headers=alice.auth)
    assert faults(response) == {"/new_password": "length"}
    body = {"current_password": PASSWORD, "new_password": "alice@example.com"}
    response = await client.put(f"{ME}/password", json=body, headers=alice.auth)
    assert faults(response) == {"/new_password": "personal"}


async def test_two_hundred_sign_ups_of_one_address_make_one_account(client: httpx.AsyncClient) -> None:
    spellings = ["race@example.com", "RACE@example.com", "Race@Example.Com", "rAcE@EXAMPLE.COM"]
    answers = await asyncio.gather(
        *(
            client.post(SIGN_UP, json={"email": spellings[number % len(spellings)], "password": PASSWORD})
            for number in range(200)
        )
    )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (1, 199)


async def test_the_session_remembers_the_device(
    client: httpx.AsyncClient, sign_up: SignUp, container: Container
) -> None:
    await sign_up("carol")
    response = await client.post(
        LOG_IN,
        json={"email": "carol@example.com", "password": PASSWORD},
        headers={"user-agent": "curl/8\x07", "x-forwarded-for": "6.6.6.6"},
    )
    assert response.status_code == 200
    access = container.access_tokens().verify(response.json()["access_token"])
    async with container.storage().identity_units() as uow:
        device = (await uow.sessions.get(access.session_id)).device
    assert (device.user_agent, device.address) == ("curl/8", "127.0.0.1")


async def test_remembered_tokens_are_bounded_and_forgotten_ones_verified_again(clock: SettableClock) -> None:
    verified: list[str] = []

    class Counting(JwtAccessTokens):
        def verify(self, token: str) -> VerifiedAccess:
            verified.append(token)
            return super().verify(token)

    tokens = Counting(
        keys=DerivedKeys("a key of this one test, of 32 bytes and more"), clock=clock, issuer="x", lifetime_seconds=60
    )
    auth = Authenticator(tokens, clock, NothingRevoked(), remembered=2)
    exchanges = [_bearing(tokens.issue(_a_grant(clock))) for _ in range(3)]
    for exchange in (exchanges[0], exchanges[0], exchanges[1], exchanges[2], exchanges[2], exchanges[0]):
        unknown = auth.authenticate(exchange, exchange.fields[b"authorization"])
        if unknown is not None:
            await unknown
        assert auth.signed_in(exchange).role is Role.USER
    assert len(verified) == 4


def _a_grant(clock: SettableClock) -> AccessGrant:
    session_id = SessionId(uuid4())
    return AccessGrant(
        user_id=UserId(uuid4()),
        role=Role.USER,
        session_id=session_id,
        token_id=token_id(session_id, 0),
        issued_at=clock.now(),
    )


def _bearing(token: str) -> Exchange:
    return Exchange(scope_of("GET", "/", [(b"authorization", f"Bearer {token}".encode())]))
