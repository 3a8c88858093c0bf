"""Every limit over HTTP: what counts, what is told, and who is not locked out. Time is set, never waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from adapters.rate_limit.windows import MemoryRateLimiter
from application.identity.ports import PasswordCheck
from application.shared.errors import Overloaded
from application.shared.pending import Pending
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimiter
from domain.identity.values import Password
from entrypoints.container import Container
from entrypoints.http.app import create_app, create_litestar
from entrypoints.settings import BadSettings
from entrypoints.settings.rate_limits import EVERY, RATE_LIMITS, WRITES, Key, RateLimit
from tests.fakes import FastPasswordHasher, SettableClock
from tests.integration.http.conftest import BASE, PASSWORD, a_container, bearer, problem, settings
from tests.integration.http.contract import Contract

HERE = "192.0.2.7"
A_POST = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
ELSEWHERE = "198.51.100.9"


class Service:
    """The application with its limits, and clients at any address."""

    def __init__(
        self,
        clock: SettableClock,
        contract: Contract,
        *,
        prepare: Callable[[Container], object] | None = None,
        **overrides: str,
    ) -> None:
        self.clock = clock
        self.container: Container = a_container(clock, RATE_LIMIT_ENABLED="true", **overrides)
        limiter = MemoryRateLimiter(timer=lambda: clock.now().timestamp())
        self.container.local_rate_limiter.override(limiter)
        if prepare is not None:
            prepare(self.container)
        self.app = create_app(self.container)
        self._contract = contract

    async def ask(
        self, method: str, path: str, *, at: str = HERE, json: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(at, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            response = await client.request(method, path, json=json, headers=headers)
        self._contract.check(response)
        return response

    async def sign_up(self, name: str = "alice", *, at: str = HERE) -> dict[str, str]:
        body = {"email": f"{name}@example.com", "password": PASSWORD, "username": name}
        response = await self.ask("POST", "/api/v1/auth/signup", at=at, json=body)
        assert response.status_code == 201, response.text
        return bearer(response.json()["access_token"])

    async def log_in(self, password: str = PASSWORD, *, name: str = "alice", at: str = HERE) -> int:
        body = {"email": f"{name}@example.com", "password": password}
        response = await self.ask("POST", "/api/v1/auth/login", at=at, json=body)
        # Corrections are made in the background, after the answer.
        await self.container.background().idle()
        return response.status_code


Open = Callable[..., Service]


@pytest.fixture
async def open_service(clock: SettableClock, contract: Contract) -> AsyncIterator[Open]:
    opened: list[Service] = []

    def open_(prepare: Callable[[Container], object] | None = None, **overrides: str) -> Service:
        opened.append(Service(clock, contract, prepare=prepare, **overrides))
        return opened[-1]

    yield open_
    for service in opened:
        await service.container.background().close()
        await service.container.mail_queue().close()


async def test_an_answer_tells_the_limit_and_what_is_left_of_it(open_service: Open, clock: SettableClock) -> None:
    service = open_service(RATE_LIMIT_ADDRESS="3/minute")

    first = await service.ask("GET", "/api/v1/posts")
    clock.advance(timedelta(seconds=20.5))
    second = await service.ask("GET", "/api/v1/posts")

    assert first.headers["ratelimit-policy"] == second.headers["ratelimit-policy"] == '"address";q=3;w=60'
    assert [first.headers["ratelimit"], second.headers["ratelimit"]] == ['"address";r=2;t=60', '"address";r=1;t=40']


async def test_one_too_many_is_told_when_to_come_back_and_may(open_service: Open, clock: SettableClock) -> None:
    service = open_service(RATE_LIMIT_ADDRESS="2/minute")
    for _ in range(2):
        assert (await service.ask("GET", "/api/v1/posts")).status_code == 200
    clock.advance(timedelta(seconds=15))

    refused = await service.ask("GET", "/api/v1/posts")

    assert problem(refused) == (429, "rate-limited")
    assert refused.headers["retry-after"] == "45"
    assert refused.headers["ratelimit-policy"] == '"address";q=2;w=60'
    assert refused.headers["ratelimit"] == '"address";r=0;t=45'
    assert refused.headers["cache-control"] == "no-store"
    clock.advance(timedelta(seconds=int(refused.headers["retry-after"])))
    assert (await service.ask("GET", "/api/v1/posts")).status_code == 200


async def test_addresses_are_limited_apart_and_a_64_of_ipv6_together(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_ADDRESS="1/minute")

    async def status(at: str) -> int:
        return (await service.ask("GET", "/api/v1/posts", at=at)).status_code

    assert [await status(at) for at in (HERE, ELSEWHERE, "2001:db8::1")] == [200, 200, 200]
    assert [await status(at) for at in (HERE, "2001:db8::2:3", "2001:db8:0:1::1")] == [429, 429, 200]


async def test_who_is_signed_in_is_limited_by_account_wherever_they_are(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_USER="2/minute", RATE_LIMIT_ADDRESS="100/minute")
    alice, bob = await service.sign_up("alice"), await service.sign_up("robert")

    async def status(auth: dict[str, str], at: str = HERE) -> int:
        return (await service.ask("GET", "/api/v1/users/me/posts", at=at, headers=auth)).status_code

    assert [await status(alice), await status(alice, ELSEWHERE), await status(alice)] == [200, 200, 429]
    assert await status(bob) == 200


async def test_cached_answers_and_304s_count_as_all_others(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_USER="3/minute")
    alice = await service.sign_up()

    first = await service.ask("GET", "/api/v1/users/me/posts", headers=alice)
    again = await service.ask("GET", "/api/v1/users/me/posts", headers=alice)
    kept = await service.ask("GET", "/api/v1/users/me/posts", headers={**alice, "if-none-match": first.headers["etag"]})
    over = await service.ask("GET", "/api/v1/users/me/posts", headers={**alice, "if-none-match": first.headers["etag"]})

    assert service.container.my_posts().statistics.hits == 2
    assert [answer.status_code for answer in (first, again, kept, over)] == [200, 200, 304, 429]
    assert kept.headers["ratelimit"] == '"user";r=0;t=60'


async def test_an_api_key_counts_for_its_owner(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_USER="2/minute")
    alice = await service.sign_up()
    made = await service.ask(
        "POST",
        "/api/v1/auth/api-keys",
        headers=alice,
        json={"password": PASSWORD, "name": "a script", "scopes": ["posts:read"]},
    )
    key = bearer(made.json()["key"])

    answer = await service.ask("GET", "/api/v1/users/me/posts", headers=key)

    assert answer.headers["ratelimit"] == '"user";r=0;t=60'
    assert (await service.ask("GET", "/api/v1/users/me/posts", headers=alice)).status_code == 429


@pytest.mark.parametrize("token", ["Bearer made.up.token", "Bearer pk_madeup", "Basic dXNlcjpwYXNz"])
async def test_a_token_that_holds_for_nobody_is_limited_by_address(open_service: Open, token: str) -> None:
    service = open_service(RATE_LIMIT_ADDRESS="1/minute")

    async def status(path: str) -> int:
        return (await service.ask("GET", path, headers={"authorization": token})).status_code

    assert [await status("/api/v1/users/me/posts"), await status("/api/v1/users/me/posts")] == [401, 429]


async def test_writes_have_a_limit_of_their_own(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_WRITES="2/minute")
    alice = await service.sign_up()
    answers = [await service.ask("POST", "/api/v1/posts", headers=alice, json={"text": "Hello"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[1].headers["ratelimit-policy"] == '"user";q=1200;w=60, "writes";q=2;w=60'
    assert answers[1].headers["ratelimit"] == '"user";r=1198;t=60, "writes";r=0;t=60'
    assert (await service.ask("GET", "/api/v1/users/me/posts", headers=alice)).status_code == 200


@pytest.mark.parametrize(
    "path", ["//api/v1/posts", "/api//v1/posts", "/api/v1/posts/", "/api/v1//posts//", "/api/v1/nothing", "/api/v1"]
)
async def test_no_spelling_of_a_path_gets_around(open_service: Open, path: str) -> None:
    service = open_service(RATE_LIMIT_ADDRESS="1/minute")
    await service.ask("GET", "/api/v1/posts")

    transport = httpx.ASGITransport(service.app, client=(HERE, 1))
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(BASE + path)).status_code == 429


@pytest.mark.parametrize("path", ["/api/v1/auth/signup", "/api/v1/auth/signup/", "/api//v1/auth/signup"])
async def test_signing_up_is_limited_by_address(open_service: Open, path: str) -> None:
    service = open_service(RATE_LIMIT_SIGN_UP="2/hour")

    async def status(name: str, at: str = HERE) -> int:
        body = {"email": f"{name}@example.com", "password": PASSWORD, "username": name}
        transport = httpx.ASGITransport(service.app, client=(at, 1))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.post(BASE + path, json=body)).status_code

    assert [await status("alice"), await status("alice"), await status("robert")] == [201, 409, 429]
    assert await status("robert", ELSEWHERE) == 201


async def test_refreshing_is_limited_by_address(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_REFRESH="1/5 minutes")
    body = {"refresh_token": "made-up"}

    assert [
        (await service.ask("POST", "/api/v1/auth/refresh", json=body, at=at)).status_code
        for at in (HERE, HERE, ELSEWHERE)
    ] == [401, 429, 401]


async def test_mails_for_a_new_password_are_limited_by_account_and_by_address(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_FORGOT="2/hour", RATE_LIMIT_FORGOT_ADDRESS="3/hour")
    await service.sign_up()

    async def ask(name: str, at: str) -> int:
        body = {"email": f"{name}@example.com"}
        return (await service.ask("POST", "/api/v1/auth/password/forgot", json=body, at=at)).status_code

    # By account, wherever it is asked from, whether or not there is one; spelt one way or another.
    assert [await ask("alice", HERE), await ask("ALICE", ELSEWHERE), await ask("alice", "203.0.113.1")] == [
        202,
        202,
        429,
    ]
    assert [await ask("nobody", f"203.0.113.{n}") for n in range(2, 5)] == [202, 202, 429]
    # By address, whichever account.
    assert [await ask(f"somebody-{n}", HERE) for n in range(3)] == [202, 202, 429]


async def test_mails_of_verification_are_limited_by_account(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_FORGOT="2/hour")
    alice = await service.sign_up()

    answers = [await service.ask("POST", "/api/v1/auth/email/verify/resend", headers=alice) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]


async def test_guessing_one_password_ends_after_the_limit_also_for_the_right_one(
    open_service: Open, clock: SettableClock
) -> None:
    service = open_service(RATE_LIMIT_LOG_IN="3/15 minutes")
    await service.sign_up()

    assert [await service.log_in("a wrong password") for _ in range(4)] == [401, 401, 401, 429]
    assert await service.log_in() == 429
    clock.advance(timedelta(minutes=15))
    assert await service.log_in() == 200


async def test_a_stranger_who_guesses_does_not_lock_the_owner_out(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN="3/15 minutes")
    await service.sign_up()
    assert [await service.log_in("a wrong password", at=ELSEWHERE) for _ in range(10)][-1] == 429

    assert await service.log_in(at=HERE) == 200


async def test_an_account_that_does_not_exist_is_limited_the_same(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN="3/15 minutes")
    await service.sign_up()

    wrong = [await service.log_in("a wrong password", name="alice") for _ in range(5)]
    unknown = [await service.log_in("a wrong password", name="nobody") for _ in range(5)]

    assert wrong == unknown == [401, 401, 401, 429, 429]


async def test_only_failures_count(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN="3/15 minutes", RATE_LIMIT_LOG_IN_ADDRESS="3/15 minutes")
    await service.sign_up()

    assert [await service.log_in() for _ in range(8)] == [200] * 8
    assert [await service.log_in("a wrong password") for _ in range(2)] == [401, 401]
    assert [await service.log_in() for _ in range(4)] == [200] * 4


async def test_one_password_on_many_accounts_is_limited_by_address(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN_ADDRESS="4/15 minutes")
    await service.sign_up()

    assert [await service.log_in("password1234", name=f"user-{n}") for n in range(5)] == [401] * 4 + [429]
    assert await service.log_in() == 429
    assert await service.log_in(at=ELSEWHERE) == 200


async def test_an_account_that_many_addresses_guess_at_lets_in_only_those_it_knows(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN_ACCOUNT="5/hour")
    await service.sign_up()
    assert await service.log_in(at=HERE) == 200

    guesses = [await service.log_in("a wrong password", at=f"203.0.113.{n}") for n in range(8)]

    assert guesses == [401] * 5 + [429] * 3
    assert await service.log_in(at=HERE) == 200
    assert await service.log_in(at=ELSEWHERE) == 429  # a right password, from where it was never right before


async def test_what_is_refused_at_one_address_is_not_held_against_the_account(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN="2/15 minutes", RATE_LIMIT_LOG_IN_ACCOUNT="5/hour")
    await service.sign_up()

    assert [await service.log_in("a wrong password", at=ELSEWHERE) for _ in range(20)][-1] == 429

    assert await service.log_in(at=HERE) == 200


async def test_many_guesses_at_once_do_not_slip_through(open_service: Open) -> None:
    service = open_service(RATE_LIMIT_LOG_IN="3/15 minutes")
    await service.sign_up()

    statuses = await asyncio.gather(*(service.log_in("a wrong password") for _ in range(30)))

    assert sorted(statuses) == [401] * 3 + [429] * 27


class Full(FastPasswordHasher):
    """Has no room for what somebody wants checked."""

    async def verify(self, password_hash: str | None, password: Password) -> PasswordCheck:
        raise Overloaded


async def test_a_log_in_that_nobody_looked_at_is_not_counted(open_service: Open) -> None:
    service = open_service(lambda container: container.hasher.override(Full()), RATE_LIMIT_LOG_IN="3/15 minutes")

    assert [await service.log_in() for _ in range(6)] == [503] * 6


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics", "/docs", "/openapi.json", "/problems", "/"])
async def test_what_is_not_of_the_api_has_no_limit(open_service: Open, path: str) -> None:
    service = open_service(RATE_LIMIT_ADDRESS="1/minute", METRICS_ALLOWED=HERE)
    for _ in range(3):
        answer = await service.ask("GET", path)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


async def test_forwarded_addresses_count_only_from_trusted_proxies(open_service: Open) -> None:
    trusting = open_service(RATE_LIMIT_ADDRESS="1/minute", TRUSTED_PROXIES="10.0.0.0/8")
    wary = open_service(RATE_LIMIT_ADDRESS="1/minute")

    async def status(service: Service, forwarded: str, at: str) -> int:
        headers = {"x-forwarded-for": forwarded}
        return (await service.ask("GET", "/api/v1/posts", at=at, headers=headers)).status_code

    assert [await status(trusting, chain, "10.1.2.3") for chain in (HERE, ELSEWHERE, f"{ELSEWHERE}, {HERE}")] == [
        200,
        200,
        429,  # what stands further left is what a client wrote
    ]
    assert await status(trusting, "203.0.113.8, 10.9.9.9", "10.1.2.3") == 200  # through two proxies
    assert [await status(trusting, f"203.0.113.{n}", ELSEWHERE) for n in range(2)] == [429, 429]
    assert [await status(wary, f"203.0.113.{n}", "10.1.2.3") for n in range(2)] == [200, 429]


class Counting(RateLimiter):
    """Counts how often it is asked."""

    def __init__(self, inner: RateLimiter) -> None:
        self.inner = inner
        self.asked = 0

    async def take(self, charges: Any) -> list[LimitState]:
        self.asked += 1
        taken: list[Charge] = list(charges)
        return await self.inner.take(taken)

    def take_one(self, limit: Limit, subject: str) -> Pending[tuple[int, float]]:
        self.asked += 1
        return self.inner.take_one(limit, subject)


async def test_no_request_asks_the_shared_counter_more_than_once(open_service: Open) -> None:
    shared = Counting(MemoryRateLimiter())
    service = open_service(lambda container: container.rate_limiter.override(shared))
    alice = await service.sign_up()
    await service.container.background().idle()

    async def asked(method: str, path: str, **request: Any) -> int:
        before = shared.asked
        await service.ask(method, path, **request)
        return shared.asked - before

    body = {"email": "alice@example.com", "password": "a wrong password"}
    assert await asked("GET", "/api/v1/posts") == 1
    assert await asked("GET", "/api/v1/users/me/posts", headers=alice) == 1
    assert await asked("POST", "/api/v1/posts", headers=alice, json={"text": "Hello"}) == 1
    assert await asked("POST", "/api/v1/auth/login", json=body) == 1
    assert await asked("POST", "/api/v1/auth/password/forgot", json={"email": "alice@example.com"}) == 1
    assert await asked("GET", "/health") == 0


@pytest.mark.parametrize("counted", ["GET /api/v1/posts/{post_id}", "PUT /api/v1/posts/{post_id}/vote"])
@pytest.mark.parametrize("key", [Key.ADDRESS, Key.ACCOUNT])
async def test_a_row_of_the_table_limits_any_route_by_address_or_by_account(
    open_service: Open, monkeypatch: pytest.MonkeyPatch, counted: str, key: Key
) -> None:
    method, _, template = counted.partition(" ")
    row = RateLimit("made-up", "9/hour", key, (counted,), "what this test asks")
    monkeypatch.setitem(RATE_LIMITS, row.name, row)
    service = open_service(RATE_LIMIT_MADE_UP="2/hour")
    alice, bob = await service.sign_up("alice"), await service.sign_up("robert")

    async def ask(headers: dict[str, str], at: str = HERE) -> httpx.Response:
        path = template.replace("{post_id}", A_POST)
        return await service.ask(method, path, at=at, headers=headers, json={"dir": 1})

    answers = [await ask(alice) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[1].headers["ratelimit-policy"].endswith(', "made-up";q=2;w=3600')
    assert answers[2].headers["ratelimit"].endswith(', "made-up";r=0;t=3600')
    others = [(await ask(alice, ELSEWHERE)).status_code, (await ask(bob)).status_code]
    assert others == ([404, 429] if key is Key.ADDRESS else [429, 404])
    assert "made-up" not in (await service.ask("GET", "/api/v1/posts", headers=alice)).headers["ratelimit"]


def test_every_limit_counts_routes_that_exist(clock: SettableClock) -> None:
    routes = [route for route in create_litestar(a_container(clock)).routes if isinstance(route, HTTPRoute)]
    known = {f"{method} {route.path_format}" for route in routes for method in route.methods}

    assert {request for limit in RATE_LIMITS.values() for request in limit.requests} <= {*known, *EVERY, *WRITES}


def test_production_does_not_go_without_limits() -> None:
    with pytest.raises(BadSettings, match="RATE_LIMIT_ENABLED is 'false'; expected true in production"):
        settings(ENVIRONMENT="production", RATE_LIMIT_ENABLED="false")


def test_rates_are_shown_as_they_are_written() -> None:
    shown = settings(RATE_LIMIT_USER="90/90 seconds", RATE_LIMIT_ADDRESS="100", RATE_LIMIT_SIGN_UP="5/2hours").shown()

    assert shown["RATE_LIMIT_USER"] == "90/90 seconds"
    assert shown["RATE_LIMIT_ADDRESS"] == "100/minute"
    assert shown["RATE_LIMIT_SIGN_UP"] == "5/2 hours"
    assert shown["RATE_LIMIT_LOG_IN"] == "10/15 minutes"
