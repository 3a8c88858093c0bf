"""/metrics: what it tells, to whom, and that what it tells is bounded."""

import random
import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.telemetry.exposition import FAMILIES
from entrypoints.http.app import create_app, create_litestar
from entrypoints.http.openapi import operations
from tests.fakes import SettableClock
from tests.integration.http.conftest import BASE, PASSWORD, Account, a_container, bearer, problem, publish

Open = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def open_at(clock: SettableClock) -> AsyncIterator[Open]:
    """Opens a client at an address, of an application with these settings."""
    clients: list[httpx.AsyncClient] = []

    def open_(address: str, **overrides: str) -> httpx.AsyncClient:
        app = create_app(a_container(clock, **overrides))
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url=BASE))
        return clients[-1]

    yield open_
    for client in clients:
        await client.aclose()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(text: str) -> dict[tuple[str, str, str], float]:
    """Return the counts of requests by method, route and status."""
    found = {}
    for (name, labels), value in samples(text).items():
        if name == "http_requests_total":
            by = dict(labels)
            found[by["method"], by["route"], by["status"]] = value
    return found


async def test_requests_are_counted_by_method_template_and_status(client: httpx.AsyncClient, alice: Account) -> None:
    post = (await publish(client, alice)).json()["id"]
    for _ in range(2):
        await client.get(f"/api/v1/posts/{post}")
    await client.head(f"/api/v1/posts/{post}")
    await client.get("/api/v1/posts/00000000-0000-7000-8000-000000000000")
    await client.get("/api/v1/users/me/posts", headers=alice.auth)
    await client.get("/api/v1/users/me/posts")
    await client.get(f"/api/v1/users/{alice.id}/posts")
    await client.options("/api/v1/posts")
    preflight = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    await client.options("/api/v1/posts", headers=preflight)

    assert requests((await client.get("/metrics")).text) == {
        ("POST", "/api/v1/auth/signup", "201"): 1,
        ("POST", "/api/v1/posts", "201"): 1,
        ("GET", "/api/v1/posts/{post_id}", "200"): 2,
        ("HEAD", "/api/v1/posts/{post_id}", "200"): 1,
        ("GET", "/api/v1/posts/{post_id}", "404"): 1,
        ("GET", "/api/v1/users/me/posts", "200"): 1,
        ("GET", "/api/v1/users/me/posts", "401"): 1,
        ("GET", "/api/v1/users/{user_id}/posts", "200"): 1,
        ("OPTIONS", "/api/v1/posts", "204"): 1,
        ("OPTIONS", "preflight", "204"): 1,
    }


async def test_durations_are_a_histogram_whose_count_is_that_of_the_requests(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.get("/health/live")
    found = samples((await client.get("/metrics")).text)
    labels = (("method", "GET"), ("route", "/health/live"))

    assert found["http_request_duration_seconds_count", labels] == 5
    assert found["http_request_duration_seconds_bucket", (("le", "+Inf"), *labels)] == 5
    assert 0 < found["http_request_duration_seconds_sum", labels] < 5
    bounds = [value for (name, of), value in found.items() if name.endswith("_bucket") and of[1:] == labels]
    assert bounds == sorted(bounds)


async def test_nobody_makes_up_series(open_at: Open, clock: SettableClock) -> None:
    client = open_at("127.0.0.1")
    draw = random.Random(1)
    for n in range(200):
        path = "".join(
            draw.choice(["/api/v1/posts/", "/x", "%20", "é", str(n), "/users/", "..", "?a=b"]) for _ in range(4)
        )
        await client.request(draw.choice(["GET", "POST", f"METHOD{n}", "TRACE", "delete"]), f"{BASE}/{path}")
        await client.get("/api/v1/posts", headers={"host": f"evil-{n}.example"})

    templates = {path for _, path, _ in operations(create_litestar(a_container(clock)))}
    found = requests((await client.get("/metrics")).text)
    assert {route for _, route, _ in found} <= templates | {"unmatched", "preflight"}
    assert {method for method, _, _ in found} <= {"GET", "POST", "DELETE", "HEAD", "other"}
    assert sum(found.values()) == 400
    assert len(found) < 40


async def test_every_metric_that_is_promised_is_there(client: httpx.AsyncClient, alice: Account) -> None:
    for _ in range(3):
        await client.get("/api/v1/users/me/posts", headers=alice.auth)
    await client.post("/api/v1/auth/login", json={"email": alice.email, "password": PASSWORD})
    await client.post("/api/v1/auth/login", json={"email": alice.email, "password": "a wrong password"})
    text = (await client.get("/metrics")).text
    found = samples(text)

    typed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert {family.name for family in FAMILIES} <= typed
    assert found["postern_cache_hits_total", (("cache", "own-posts"),)] == 2
    assert found["postern_cache_misses_total", (("cache", "own-posts"),)] == 1
    assert found["postern_cache_bytes", (("cache", "own-posts"),)] > 0
    assert found["postern_log_ins_total", (("outcome", "accepted"),)] == 1
    assert found["postern_log_ins_total", (("outcome", "refused"),)] == 1
    assert found["postern_http_requests_in_flight", ()] == 1  # this one
    assert found["postern_workers", ()] == 1
    assert found["process_cpu_seconds_total", ()] > 0
    assert [value for (name, _), value in found.items() if name == "postern_build_info"] == [1]


async def test_refusals_are_counted_by_limit(open_at: Open) -> None:
    client = open_at("127.0.0.1", RATE_LIMIT_ENABLED="true", RATE_LIMIT_ADDRESS="2/minute", RATE_LIMIT_LOG_IN="1/hour")
    body = {"email": "nobody@example.com", "password": "a wrong password"}
    for _ in range(2):
        await client.post("/api/v1/auth/login", json=body)
    for _ in range(3):
        await client.get("/api/v1/posts")
    found = samples((await client.get("/metrics")).text)

    assert found["postern_rate_limit_refusals_total", (("limit", "log-in"),)] == 1
    assert found["postern_rate_limit_refusals_total", (("limit", "address"),)] == 3
    assert found["postern_log_ins_total", (("outcome", "limited"),)] == 1


async def test_with_a_broker_it_tells_what_waits_for_it(open_at: Open) -> None:
    client = open_at("127.0.0.1", BROKER_URL="stdout:")
    assert samples((await client.get("/metrics")).text)["postern_outbox_pending", ()] == 0
    account = {"email": "alice@example.com", "password": PASSWORD}
    assert (await client.post("/api/v1/auth/signup", json=account)).status_code == 201
    found = samples((await client.get("/metrics")).text)

    assert found["postern_outbox_pending", ()] == 1
    assert found["postern_outbox_dead", ()] == 0


async def test_without_a_broker_nothing_waits_for_one(client: httpx.AsyncClient) -> None:
    assert "postern_outbox" not in (await client.get("/metrics")).text


async def test_a_scraper_of_openmetrics_gets_it(open_at: Open) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = await open_at("127.0.0.1").get("/metrics", headers=accept)

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "a socket"])
async def test_other_machines_are_not_told(open_at: Open, address: str) -> None:
    assert problem(await open_at(address).get("/metrics")) == (403, "forbidden")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_told(open_at: Open, address: str) -> None:
    assert (await open_at(address).get("/metrics")).status_code == 200


@pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_what_a_proxy_on_this_machine_passes_on_does_not_come_from_here(open_at: Open, field: str) -> None:
    answer = await open_at("127.0.0.1").get("/metrics", headers={field: "127.0.0.1"})
    assert problem(answer) == (403, "forbidden")


async def test_behind_a_trusted_proxy_the_client_counts(open_at: Open) -> None:
    client = open_at("127.0.0.1", TRUSTED_PROXIES="127.0.0.1", METRICS_ALLOWED="192.0.2.0/24")

    assert (await client.get("/metrics", headers={"x-forwarded-for": "192.0.2.7"})).status_code == 200
    assert (await client.get("/metrics", headers={"x-forwarded-for": "198.51.100.9"})).status_code == 403
    assert (await client.get("/metrics")).status_code == 403


async def test_with_a_token_it_takes_the_token_too(open_at: Open) -> None:
    token = "a-token-of-its-own"
    client = open_at("127.0.0.1", METRICS_TOKEN=token)
    refused = await client.get("/metrics")

    assert problem(refused) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert (await client.get("/metrics", headers=bearer(token + "x"))).status_code == 401
    assert (await client.get("/metrics", headers={"authorization": token})).status_code == 401
    assert (await client.get("/metrics", headers=bearer(token))).status_code == 200


async def test_it_takes_no_parameters(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/metrics?name=x")) == (400, "invalid-input")
