"""Recovery by mail, the second factor, API keys, and the cookie for browsers."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pyotp
import pytest
from pyotp.totp import TOTP

from adapters.mail.transport import Mail, MailTransport
from domain.identity.values import UserStatus
from domain.shared.actor import Role
from domain.shared.ids import UserId
from entrypoints.container import Container
from tests.fakes import SettableClock
from tests.integration.http.conftest import PASSWORD, Account, SignUp, a_container, bearer, faults, problem

AUTH, ME, POSTS, ORDERS = "/api/v1/auth", "/api/v1/users/me", "/api/v1/posts", "/api/v1/orders"
AN_ORDER = {
    "items": [{"product_id": "sku-1", "quantity": 1}],
    "shipping_address": {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"},
}
OTHER = "two walruses in the library"
COOKIE = "__Secure-postern_refresh"
OWN_PAGE = {"x-csrf-protection": "1"}


class Outbox(MailTransport):
    """Keeps what was delivered."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.arrived = asyncio.Event()

    async def deliver(self, mail: Mail) -> None:
        self.mails.append(mail)
        self.arrived.set()


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def container(clock: SettableClock, outbox: Outbox) -> Container:
    container = a_container(clock, PUBLIC_URL="https://app.example.com")
    container.mail_transport.override(outbox)
    return container


ReadMail = Callable[[str], Awaitable[list[str]]]


@pytest.fixture
def tokens(container: Container, outbox: Outbox) -> ReadMail:
    """Read the tokens that were mailed under a subject, the oldest first."""

    async def read(subject: str) -> list[str]:
        await container.background().idle()
        for _ in range(50):
            await asyncio.sleep(0)
        found = [re.search(r"#token=(\S+)", mail.text) for mail in outbox.mails if mail.subject == subject]
        return [match[1] for match in found if match is not None]

    return read


RESET, VERIFY = "Set a new password", "Confirm your e-mail address"


async def forget(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await client.post(f"{AUTH}/password/forgot", json={"email": email})


async def log_in(client: httpx.AsyncClient, account: Account, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await client.post(f"{AUTH}/login", json={"email": account.email, "password": password, **more})


async def test_a_forgotten_password_is_reset_once_and_closes_every_session(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail, outbox: Outbox
) -> None:
    assert (await forget(client, alice.email.upper())).status_code == 202
    (token,) = await tokens(RESET)
    body = {"token": token, "password": OTHER}

    assert (await client.post(f"{AUTH}/password/reset", json=body)).status_code == 204

    assert problem(await client.post(f"{AUTH}/password/reset", json=body)) == (400, "invalid-one-time-token")
    assert problem(await client.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token}))[0] == 401
    assert problem(await client.get(ME, headers=alice.auth)) == (401, "invalid-token")
    assert problem(await log_in(client, alice)) == (401, "invalid-credentials")
    pair = (await log_in(client, alice, OTHER)).json()
    assert (await client.get(ME, headers=bearer(pair["access_token"]))).json()["email_verified"] is True
    await tokens(RESET)
    assert outbox.mails[-1].subject == "Your password was changed"
    assert "API keys that ended with it: none" in outbox.mails[-1].text


async def test_api_keys_end_with_a_reset_password_and_the_mail_names_them(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail, outbox: Outbox, container: Container
) -> None:
    keys = [await a_key(client, alice, "profile:read", name=name) for name in ("backup", "phone app")]
    await forget(client, alice.email)
    (token,) = await tokens(RESET)

    assert (await client.post(f"{AUTH}/password/reset", json={"token": token, "password": OTHER})).status_code == 204

    async with container.storage().identity_units() as uow:
        assert await uow.api_keys.list_of(user_id(alice)) == []
    for key in keys:
        assert await container.storage().api_keys.by_hash(container.api_keys().hash(key["key"])) is None
    await tokens(RESET)
    assert "phone app" in outbox.mails[-1].text
    assert "backup" in outbox.mails[-1].text


@pytest.mark.parametrize(
    ("path", "body"),
    [("totp", {}), ("api-keys", {"name": "x", "scopes": ["posts:read"]})],
)
async def test_what_outlives_a_session_takes_the_password_once_more(
    client: httpx.AsyncClient, alice: Account, path: str, body: dict[str, object]
) -> None:
    missing = await client.post(f"{AUTH}/{path}", json=body, headers=alice.auth)
    wrong = await client.post(f"{AUTH}/{path}", json={**body, "password": OTHER}, headers=alice.auth)

    assert (problem(missing), faults(missing)) == ((400, "invalid-input"), {"/password": "required"})
    assert problem(wrong) == (403, "wrong-password")
    assert (await client.get(f"{AUTH}/api-keys", headers=alice.auth)).json()["items"] == []


async def test_the_hundred_and_first_session_ends_the_oldest(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    for _ in range(99):
        clock.advance(timedelta(seconds=1))
        assert (await log_in(client, alice)).status_code == 200
    assert (await client.get(ME, headers=alice.auth)).status_code == 200

    newest = (await log_in(client, alice)).json()

    assert problem(await client.get(ME, headers=alice.auth)) == (401, "invalid-token")
    listed = await client.get(f"{AUTH}/sessions?limit=100", headers=bearer(newest["access_token"]))
    assert (len(listed.json()["items"]), listed.json()["next_cursor"]) == (100, None)


async def test_whether_an_address_has_an_account_does_not_show(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    answers = [await forget(client, email) for email in (alice.email, "nobody@example.com", "no address", "")]

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    assert {tuple(sorted(name for name in answer.headers)) for answer in answers} == {
        tuple(sorted(name for name in answers[0].headers))
    }
    assert len(await tokens(RESET)) == 1


async def test_asking_does_not_wait_for_what_is_found(
    client: httpx.AsyncClient, alice: Account, container: Container, tokens: ReadMail
) -> None:
    """The answer is given before anybody looks: nothing that takes longer for an account can show in it."""
    async with container.storage().identity_units() as uow:
        await uow.users.get(user_id(alice))  # Locked: whoever works on this account has to wait.
        assert (await asyncio.wait_for(forget(client, alice.email), 20)).status_code == 202
    assert len(await tokens(RESET)) == 1


async def test_a_newer_mail_makes_the_older_ones_worthless(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    await forget(client, alice.email)
    await tokens(RESET)
    await forget(client, alice.email)
    first, second = await tokens(RESET)

    refused = await client.post(f"{AUTH}/password/reset", json={"token": first, "password": OTHER})
    assert problem(refused) == (400, "invalid-one-time-token")
    assert (await client.post(f"{AUTH}/password/reset", json={"token": second, "password": OTHER})).status_code == 204


async def test_a_reset_token_lasts_half_an_hour(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail, clock: SettableClock
) -> None:
    await forget(client, alice.email)
    (token,) = await tokens(RESET)
    clock.advance(timedelta(minutes=30))

    response = await client.post(f"{AUTH}/password/reset", json={"token": token, "password": OTHER})

    assert problem(response) == (400, "invalid-one-time-token")
    assert faults(response) == {"/token": "invalid"}


@pytest.mark.parametrize(
    ("password", "code"), [("password12345", "common"), ("alice@example.com", "personal"), ("short", "length")]
)
async def test_a_reset_refuses_what_signing_up_refuses_and_keeps_the_token(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail, password: str, code: str
) -> None:
    await forget(client, alice.email)
    (token,) = await tokens(RESET)

    response = await client.post(f"{AUTH}/password/reset", json={"token": token, "password": password})

    assert faults(response) == {"/password": code}
    assert (await client.post(f"{AUTH}/password/reset", json={"token": token, "password": OTHER})).status_code == 204


async def test_of_twenty_who_reset_with_one_token_one_wins(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    await forget(client, alice.email)
    (token,) = await tokens(RESET)

    answers = await asyncio.gather(
        *(
            client.post(f"{AUTH}/password/reset", json={"token": token, "password": f"{OTHER} {number}"})
            for number in range(20)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [204] + [400] * 19


async def test_changing_the_password_makes_a_mail_on_its_way_worthless(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    await forget(client, alice.email)
    (token,) = await tokens(RESET)
    change = {"current_password": PASSWORD, "new_password": OTHER}
    assert (await client.put(f"{ME}/password", json=change, headers=alice.auth)).status_code == 204

    response = await client.post(f"{AUTH}/password/reset", json={"token": token, "password": "yet another one"})

    assert problem(response) == (400, "invalid-one-time-token")


async def test_a_suspended_account_gets_no_mail(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail, container: Container
) -> None:
    await suspend(container, alice)
    assert (await forget(client, alice.email)).status_code == 202
    assert await tokens(RESET) == []


async def test_signing_up_mails_a_token_that_verifies_the_address(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    (token,) = await tokens(VERIFY)
    assert (await client.get(ME, headers=alice.auth)).json()["email_verified"] is False

    assert (await client.post(f"{AUTH}/email/verify", json={"token": token})).status_code == 204

    assert (await client.get(ME, headers=alice.auth)).json()["email_verified"] is True
    # The link was opened twice, or a mail scanner was first.
    assert (await client.post(f"{AUTH}/email/verify", json={"token": token})).status_code == 204


async def test_a_resend_does_not_void_the_link_before_within_its_time(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail, clock: SettableClock
) -> None:
    await tokens(VERIFY)
    clock.advance(timedelta(minutes=20))
    assert (await client.post(f"{AUTH}/email/verify/resend", headers=alice.auth)).status_code == 202
    first, second = await tokens(VERIFY)
    assert first != second

    assert (await client.post(f"{AUTH}/email/verify", json={"token": first})).status_code == 204
    assert (await client.post(f"{AUTH}/email/verify", json={"token": second})).status_code == 204
    clock.advance(timedelta(hours=23, minutes=50))
    ended = await client.post(f"{AUTH}/email/verify", json={"token": first})
    assert problem(ended) == (400, "invalid-one-time-token")
    assert (await client.post(f"{AUTH}/email/verify", json={"token": second})).status_code == 204


async def test_a_token_is_good_for_its_own_purpose_alone(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    (verification,) = await tokens(VERIFY)
    await forget(client, alice.email)
    (reset,) = await tokens(RESET)

    wrong = await client.post(f"{AUTH}/password/reset", json={"token": verification, "password": OTHER})
    assert problem(wrong) == (400, "invalid-one-time-token")
    assert problem(await client.post(f"{AUTH}/email/verify", json={"token": reset})) == (400, "invalid-one-time-token")


async def test_the_verification_mail_is_sent_again_until_it_is_no_longer_needed(
    client: httpx.AsyncClient, alice: Account, tokens: ReadMail
) -> None:
    await tokens(VERIFY)
    assert (await client.post(f"{AUTH}/email/verify/resend", headers=alice.auth)).status_code == 202
    _, token = await tokens(VERIFY)
    await client.post(f"{AUTH}/email/verify", json={"token": token})

    assert (await client.post(f"{AUTH}/email/verify/resend", headers=alice.auth)).status_code == 202
    assert len(await tokens(VERIFY)) == 2
    assert problem(await client.post(f"{AUTH}/email/verify/resend")) == (401, "unauthenticated")


async def test_mails_lead_to_the_front_end(sign_up: SignUp, tokens: ReadMail, outbox: Outbox) -> None:
    await sign_up("alice")
    await tokens(VERIFY)
    mail = outbox.mails[0]
    assert mail.to == "alice@example.com"
    assert "https://app.example.com/verify-email#token=" in mail.text
    assert 'href="https://app.example.com/verify-email#token=' in mail.html


async def enabled(client: httpx.AsyncClient, account: Account, clock: SettableClock) -> tuple[TOTP, list[str]]:
    """Enrol and confirm; return the device and the recovery codes."""
    enrolment = (await client.post(f"{AUTH}/totp", json={"password": PASSWORD}, headers=account.auth)).json()
    device = TOTP(enrolment["secret"])
    assert pyotp.parse_uri(enrolment["uri"]).secret == enrolment["secret"]
    body = {"code": device.at(clock.now())}
    response = await client.post(f"{AUTH}/totp/confirm", json=body, headers=account.auth)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    codes: list[str] = response.json()["recovery_codes"]
    return device, codes


async def test_with_a_second_factor_the_password_alone_is_not_enough(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    device, codes = await enabled(client, alice, clock)
    assert (len(codes), len(set(codes))) == (10, 10)
    clock.advance(timedelta(seconds=30))

    assert problem(await log_in(client, alice)) == (401, "second-factor-required")
    assert problem(await log_in(client, alice, "not this one, no")) == (401, "invalid-credentials")
    assert problem(await log_in(client, alice, code="000000")) == (401, "invalid-code")
    assert (await log_in(client, alice, code=device.at(clock.now()))).status_code == 200
    state = await client.get(f"{AUTH}/totp", headers=alice.auth)
    assert state.json() == {"enabled": True, "recovery_codes_left": 10}


async def test_until_it_is_confirmed_it_counts_for_nothing(client: httpx.AsyncClient, alice: Account) -> None:
    first = (await client.post(f"{AUTH}/totp", json={"password": PASSWORD}, headers=alice.auth)).json()["secret"]
    second = (await client.post(f"{AUTH}/totp", json={"password": PASSWORD}, headers=alice.auth)).json()["secret"]
    assert first != second
    assert (await log_in(client, alice)).status_code == 200
    wrong = await client.post(f"{AUTH}/totp/confirm", json={"code": "000000"}, headers=alice.auth)
    assert problem(wrong) == (403, "wrong-code")


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_clocks_may_be_one_step_apart(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock, steps: int, status: int
) -> None:
    device, _ = await enabled(client, alice, clock)
    clock.advance(timedelta(minutes=10))
    code = device.at(clock.now() + steps * timedelta(seconds=30))
    assert (await log_in(client, alice, code=code)).status_code == status


async def test_a_code_is_good_for_one_log_in(client: httpx.AsyncClient, alice: Account, clock: SettableClock) -> None:
    device, _ = await enabled(client, alice, clock)
    # The code that confirmed is spent too.
    assert problem(await log_in(client, alice, code=device.at(clock.now()))) == (401, "invalid-code")
    clock.advance(timedelta(seconds=60))
    code = device.at(clock.now())
    older = device.at(clock.now() - timedelta(seconds=30))
    assert (await log_in(client, alice, code=code)).status_code == 200
    assert problem(await log_in(client, alice, code=code)) == (401, "invalid-code")
    assert problem(await log_in(client, alice, code=older)) == (401, "invalid-code")


async def test_of_twenty_log_ins_with_one_code_one_passes(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    device, _ = await enabled(client, alice, clock)
    clock.advance(timedelta(seconds=60))
    code = device.at(clock.now())

    answers = await asyncio.gather(*(log_in(client, alice, code=code) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19


async def test_a_recovery_code_is_good_once_in_any_grouping_and_case(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    _, codes = await enabled(client, alice, clock)
    typed = codes[0].replace("-", " ").upper()

    assert (await log_in(client, alice, recovery_code=typed)).status_code == 200
    assert problem(await log_in(client, alice, recovery_code=codes[0])) == (401, "invalid-code")
    assert (await client.get(f"{AUTH}/totp", headers=alice.auth)).json()["recovery_codes_left"] == 9
    answers = await asyncio.gather(*(log_in(client, alice, recovery_code=codes[1]) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19


async def test_guessing_is_stopped_and_the_right_code_has_to_wait_too(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    device, codes = await enabled(client, alice, clock)
    clock.advance(timedelta(minutes=5))
    right = device.at(clock.now())
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    for _ in range(5):
        assert problem(await log_in(client, alice, code=wrong)) == (401, "invalid-code")

    assert problem(await log_in(client, alice, code=right)) == (401, "invalid-code")
    assert (await log_in(client, alice, recovery_code=codes[0])).status_code == 200
    for _ in range(5):
        await log_in(client, alice, code=wrong)
    clock.advance(timedelta(minutes=1))
    assert (await log_in(client, alice, code=device.at(clock.now()))).status_code == 200


@pytest.mark.parametrize("proof", ["password", "code", "recovery_code"])
async def test_a_second_factor_is_taken_away_with_one_proof(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock, proof: str
) -> None:
    device, codes = await enabled(client, alice, clock)
    clock.advance(timedelta(seconds=60))
    proofs = {"password": PASSWORD, "code": device.at(clock.now()), "recovery_code": codes[3]}

    async def disable(body: dict[str, str]) -> httpx.Response:
        return await client.request("DELETE", f"{AUTH}/totp", json=body, headers=alice.auth)

    assert problem(await disable({})) == (400, "invalid-input")
    assert problem(await disable({"password": "not this one, no"})) == (403, "wrong-password")
    assert problem(await disable({"code": "12345"})) == (403, "wrong-code")
    assert (await disable({proof: proofs[proof]})).status_code == 204
    assert (await log_in(client, alice)).status_code == 200
    assert problem(await disable({proof: proofs[proof]})) == (404, "totp-not-enabled")


async def test_a_second_factor_in_force_is_neither_begun_nor_confirmed_again(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    nothing_begun = await client.post(f"{AUTH}/totp/confirm", json={"code": "000000"}, headers=alice.auth)
    assert problem(nothing_begun) == (404, "totp-not-enabled")
    await enabled(client, alice, clock)
    enrolled = await client.post(f"{AUTH}/totp", json={"password": PASSWORD}, headers=alice.auth)
    assert problem(enrolled) == (409, "totp-enabled")
    again = await client.post(f"{AUTH}/totp/confirm", json={"code": "000000"}, headers=alice.auth)
    assert problem(again) == (409, "totp-enabled")


async def test_a_reset_password_does_not_get_around_the_second_factor(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock, tokens: ReadMail
) -> None:
    await enabled(client, alice, clock)
    await forget(client, alice.email)
    (token,) = await tokens(RESET)
    await client.post(f"{AUTH}/password/reset", json={"token": token, "password": OTHER})
    assert problem(await log_in(client, alice, OTHER)) == (401, "second-factor-required")


async def test_the_secret_is_not_stored_in_the_clear(
    client: httpx.AsyncClient, alice: Account, container: Container
) -> None:
    secret = (await client.post(f"{AUTH}/totp", json={"password": PASSWORD}, headers=alice.auth)).json()["secret"]
    async with container.storage().identity_units() as uow:
        factor = await uow.second_factors.find(user_id(alice))
    assert factor is not None
    assert secret.encode() not in factor.sealed_secret


def user_id(account: Account) -> UserId:
    from uuid import UUID

    return UserId(UUID(account.id))


async def suspend(container: Container, account: Account) -> None:
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(user_id(account))
        user.status = UserStatus.SUSPENDED
        await uow.users.save(user)
        await uow.commit()


async def a_key(client: httpx.AsyncClient, account: Account, *scopes: str, **more: str) -> dict[str, str]:
    body = {"password": PASSWORD, "name": "a script", "scopes": list(scopes), **more}
    response = await client.post(f"{AUTH}/api-keys", json=body, headers=account.auth)
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    created: dict[str, str] = response.json()
    return created


async def test_an_api_key_is_shown_once_and_does_what_its_scopes_say(client: httpx.AsyncClient, alice: Account) -> None:
    key = await a_key(client, alice, "posts:read", "posts:write")
    assert re.fullmatch(r"pk_[0-9A-Za-z]{49}", key["key"])
    auth = bearer(key["key"])

    assert (await client.post(POSTS, json={"text": "by a script"}, headers=auth)).status_code == 201
    assert len((await client.get(f"{ME}/posts", headers=auth)).json()["items"]) == 1
    refused = await client.get(ME, headers=auth)
    assert problem(refused) == (403, "insufficient-scope")
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    (listed,) = (await client.get(f"{AUTH}/api-keys", headers=alice.auth)).json()["items"]
    assert (listed["id"], listed["hint"], "key" in listed) == (key["id"], key["key"][-4:], False)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("posts:read", {"read posts"}),
        ("posts:write", {"write posts"}),
        ("orders:read", {"read orders"}),
        ("orders:write", {"write orders"}),
        ("profile:read", {"read profile"}),
        ("profile:write", {"write profile"}),
    ],
)
async def test_a_scope_opens_its_own_door_and_no_other(
    client: httpx.AsyncClient, alice: Account, scope: str, allowed: set[str]
) -> None:
    auth = bearer((await a_key(client, alice, scope))["key"])
    answers = {
        "read posts": await client.get(POSTS, headers=auth),
        "write posts": await client.post(POSTS, json={"text": "x"}, headers=auth),
        "read orders": await client.get(ORDERS, headers=auth),
        "write orders": await client.post(ORDERS, json=AN_ORDER, headers=auth),
        "read profile": await client.get(ME, headers=auth),
        "write profile": await client.patch(ME, json={"name": "A"}, headers=auth),
    }
    assert {name for name, answer in answers.items() if answer.status_code < 300} == allowed
    assert {answer.status_code for name, answer in answers.items() if name not in allowed} == {403}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{AUTH}/api-keys", None),
        ("POST", f"{AUTH}/api-keys", {"password": PASSWORD, "name": "more", "scopes": ["posts:read"]}),
        ("DELETE", f"{AUTH}/api-keys/019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b", None),
        ("POST", f"{AUTH}/totp", {"password": PASSWORD}),
        ("GET", f"{AUTH}/totp", None),
        ("POST", f"{AUTH}/totp/confirm", {"code": "000000"}),
        ("DELETE", f"{AUTH}/totp", {"password": PASSWORD}),
        ("PUT", f"{ME}/password", {"current_password": PASSWORD, "new_password": OTHER}),
        ("POST", f"{AUTH}/logout", None),
        ("POST", f"{AUTH}/logout/all", None),
        ("GET", f"{AUTH}/sessions", None),
        ("DELETE", ME, {"password": PASSWORD}),
        ("GET", f"{ME}/export", None),
        ("POST", f"{AUTH}/email/verify/resend", None),
    ],
)
async def test_no_api_key_manages_credentials(
    client: httpx.AsyncClient, alice: Account, method: str, path: str, body: dict[str, object] | None
) -> None:
    key = await a_key(client, alice, "posts:read", "posts:write", "profile:read", "profile:write")
    response = await client.request(method, path, json=body, headers=bearer(key["key"]))
    assert problem(response) == (403, "insufficient-scope")


async def test_an_administrators_key_administers_nothing(
    client: httpx.AsyncClient, alice: Account, bob: Account, container: Container
) -> None:
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(user_id(alice))
        user.role = Role.ADMIN
        await uow.users.save(user)
        await uow.commit()
    auth = bearer((await a_key(client, alice, "posts:read", "posts:write", "orders:read", "orders:write"))["key"])
    post = await client.post(POSTS, json={"text": "bob's"}, headers=bob.auth)
    order = await client.post(ORDERS, json=AN_ORDER, headers=bob.auth)

    assert problem(await client.get(order.headers["location"], headers=auth)) == (404, "order-not-found")
    assert problem(await client.get(ORDERS, params={"all": "true"}, headers=auth)) == (403, "forbidden")
    moved = await client.patch(order.headers["location"], json={"status": "confirmed"}, headers=auth)
    assert problem(moved) == (403, "insufficient-scope")
    assert problem(await client.delete(post.headers["location"], headers=auth))[0] == 403
    assert problem(await client.get("/api/v1/audit", headers=auth)) == (403, "insufficient-scope")


async def test_a_revoked_key_is_refused_and_so_is_that_of_a_suspended_account(
    client: httpx.AsyncClient, alice: Account, bob: Account, container: Container
) -> None:
    key = await a_key(client, alice, "posts:read")
    assert (await client.get(POSTS, headers=bearer(key["key"]))).status_code == 200
    path = f"{AUTH}/api-keys/{key['id']}"
    assert problem(await client.delete(path, headers=bob.auth)) == (404, "api-key-not-found")

    assert (await client.delete(path, headers=alice.auth)).status_code == 204

    assert problem(await client.get(POSTS, headers=bearer(key["key"]))) == (401, "invalid-token")
    assert problem(await client.delete(path, headers=alice.auth)) == (404, "api-key-not-found")
    theirs = await a_key(client, bob, "posts:read")
    await suspend(container, bob)
    assert problem(await client.get(POSTS, headers=bearer(theirs["key"]))) == (401, "invalid-token")


async def test_an_expired_key_is_refused_although_it_was_remembered(
    client: httpx.AsyncClient, alice: Account, clock: SettableClock
) -> None:
    expires_at = (clock.now() + timedelta(hours=1)).isoformat()
    key = await a_key(client, alice, "posts:read", expires_at=expires_at)
    assert (await client.get(POSTS, headers=bearer(key["key"]))).status_code == 200
    clock.advance(timedelta(hours=1))
    assert problem(await client.get(POSTS, headers=bearer(key["key"]))) == (401, "invalid-token")


async def test_the_last_use_is_kept_to_the_minute(
    client: httpx.AsyncClient, alice: Account, container: Container, clock: SettableClock
) -> None:
    key = await a_key(client, alice, "posts:read")
    for _ in range(3):
        await client.get(POSTS, headers=bearer(key["key"]))
    await container.background().idle()
    (listed,) = (await client.get(f"{AUTH}/api-keys", headers=alice.auth)).json()["items"]
    assert listed["last_used_at"] == clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"password": PASSWORD, "name": "x", "scopes": []}, {"/scopes": "length"}),
        ({"password": PASSWORD, "name": " ", "scopes": ["posts:read"]}, {"/name": "length"}),
        ({"password": PASSWORD, "name": "x", "scopes": ["everything"]}, {"/scopes/0": "enum"}),
        (
            {"password": PASSWORD, "name": "x", "scopes": ["posts:read"], "expires_at": "2020-01-01T00:00:00Z"},
            {"/expires_at": "past"},
        ),
        ({"password": PASSWORD, "name": "x", "scopes": ["posts:read"], "expires_at": "2030-01-01T00:00:00"}, None),
        ({"password": PASSWORD, "scopes": ["posts:read"]}, {"/name": "required"}),
        ({"name": "x", "scopes": ["posts:read"]}, {"/password": "required"}),
    ],
)
async def test_a_faulty_key_is_not_made(
    client: httpx.AsyncClient, alice: Account, body: dict[str, object], expected: dict[str, str] | None
) -> None:
    response = await client.post(f"{AUTH}/api-keys", json=body, headers=alice.auth)
    assert problem(response) == (400, "invalid-input")
    assert expected is None or set(faults(response)) == set(expected)


async def test_an_account_has_a_hundred_keys_at_the_most(client: httpx.AsyncClient, alice: Account) -> None:
    key = {"password": PASSWORD, "scopes": ["posts:read"]}
    answers = await asyncio.gather(
        *(client.post(f"{AUTH}/api-keys", json={**key, "name": f"{n}"}, headers=alice.auth) for n in range(105))
    )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (100, 5)


async def in_browser(
    client: httpx.AsyncClient, path: str, body: dict[str, str] | None = None, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(f"{AUTH}/{path}?transport=cookie", json=body, headers={**OWN_PAGE, **named})


def cookie_of(response: httpx.Response) -> str:
    (value,) = [v for v in response.headers.get_list("set-cookie") if v.startswith(f"{COOKIE}=")]
    return value


async def test_with_the_cookie_no_refresh_token_is_in_any_body(client: httpx.AsyncClient, alice: Account) -> None:
    credentials = {"email": alice.email, "password": PASSWORD}
    logged_in = await in_browser(client, "login", credentials)
    assert set(logged_in.json()) == {"access_token", "token_type", "expires_in"}
    cookie = cookie_of(logged_in)
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"max-age=2592000", "path=/api/v1/auth", "secure", "httponly", "samesite=strict"}
    signed_up = await in_browser(client, "signup", {"email": "new@example.com", "password": PASSWORD})
    assert set(signed_up.json()) == {"access_token", "token_type", "expires_in", "user"}

    token = cookie.partition(";")[0]
    refreshed = await in_browser(client, "refresh", cookie=token)
    assert (refreshed.status_code, set(refreshed.json())) == (200, {"access_token", "token_type", "expires_in"})
    newer = cookie_of(refreshed).partition(";")[0]
    assert newer != token
    out = await in_browser(client, "logout", cookie=newer)
    assert (out.status_code, "max-age=0" in cookie_of(out).lower()) == (204, True)
    assert problem(await in_browser(client, "refresh", cookie=newer)) == (401, "invalid-token")
    closed = await client.get(ME, headers=bearer(refreshed.json()["access_token"]))
    assert problem(closed) == (401, "invalid-token")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-csrf-protection": ""},
        {"x-csrf-protection": "true"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["login", "signup", "refresh", "logout"])
async def test_what_another_page_may_have_sent_is_refused(
    client: httpx.AsyncClient, alice: Account, path: str, headers: dict[str, str]
) -> None:
    login = await in_browser(client, "login", {"email": alice.email, "password": PASSWORD})
    cookie = cookie_of(login).partition(";")[0]
    body = {"email": alice.email, "password": PASSWORD} if path in {"login", "signup"} else None
    response = await client.post(
        f"{AUTH}/{path}?transport=cookie", json=body, headers={**OWN_PAGE, "cookie": cookie, **headers}
    )
    assert problem(response) == (403, "csrf-refused")
    assert "set-cookie" not in response.headers
    assert (await in_browser(client, "refresh", cookie=cookie)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://testserver", "sec-fetch-site": "same-origin"},
        {"origin": "https://testserver"},
        {"origin": "https://app.example.com", "sec-fetch-site": "same-site"},
    ],
)
async def test_own_pages_and_listed_ones_may(
    client: httpx.AsyncClient, alice: Account, headers: dict[str, str]
) -> None:
    body = {"email": alice.email, "password": PASSWORD}
    response = await client.post(f"{AUTH}/login?transport=cookie", json=body, headers={**OWN_PAGE, **headers})
    assert response.status_code == 200
    if headers["origin"] == "https://app.example.com":
        assert response.headers["access-control-allow-credentials"] == "true"


async def test_without_asking_for_it_the_cookie_is_never_looked_at(client: httpx.AsyncClient, alice: Account) -> None:
    login = await in_browser(client, "login", {"email": alice.email, "password": PASSWORD})
    cookie = cookie_of(login).partition(";")[0]
    without = await client.post(f"{AUTH}/logout", headers={"cookie": cookie})
    assert problem(without) == (401, "unauthenticated")
    assert problem(await in_browser(client, "refresh")) == (401, "unauthenticated")
    odd = await client.post(f"{AUTH}/login?transport=pigeon", json={"email": alice.email, "password": PASSWORD})
    assert faults(odd) == {"?transport": "enum"}


async def test_a_forged_cookie_closes_nothing_and_is_taken_away(client: httpx.AsyncClient, alice: Account) -> None:
    response = await in_browser(client, "logout", cookie=f"{COOKIE}=prt_forged")
    assert (response.status_code, "Max-Age=0" in cookie_of(response)) == (204, True)
    assert (await client.get(ME, headers=alice.auth)).status_code == 200


async def test_the_mailbox_is_there_in_development_alone(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/dev/mailbox")) == (404, "no-such-route")


async def test_without_a_private_key_there_are_no_public_ones(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/.well-known/jwks.json")) == (404, "not-configured")
