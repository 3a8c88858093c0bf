"""What every exchange has in common: ids, hosts, sizes, HEAD, CORS, errors."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.accept import accepts_json
from entrypoints.http.edge.cors import ALLOWED_METHODS
from entrypoints.http.edge.exchange import Application
from entrypoints.http.edge.middleware import Edge
from entrypoints.http.edge.request_bodies import BODY_LIMIT
from tests.fakes import SettableClock
from tests.integration.http.asgi_client import GONE, ask
from tests.integration.http.conftest import (
    BASE,
    Account,
    a_container,
    open_client,
    problem,
    publish,
)
from tests.integration.http.contract import Contract

POSTS = "/api/v1/posts"
ORDER = {
    "items": [{"product_id": "lamp", "quantity": 1}],
    "shipping_address": {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"},
}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/v1/users/me"])
async def test_a_fit_request_id_is_kept(client: httpx.AsyncClient, given: str, path: str) -> None:
    assert (await client.get(path, headers={"x-request-id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "é", "a\n", "<script>"])
async def test_an_unfit_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/health", headers=[(b"x-request-id", given.encode("latin-1"))])
    assert response.headers["x-request-id"] != given
    assert len(response.headers["x-request-id"]) == 32


async def test_two_request_ids_are_none(client: httpx.AsyncClient) -> None:
    response = await client.get("/health", headers=[("x-request-id", "a"), ("x-request-id", "b")])
    assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "host", ["testserver", "TESTSERVER:80", "testserver.", "a.example.org", "b.a.example.org:8443"]
)
async def test_a_host_of_ours_is_answered(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/health", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "example.org", "testserver.evil.example", "xexample.org", "[::2]:80"])
async def test_another_host_is_refused(client: httpx.AsyncClient, host: str) -> None:
    refused = await client.get("/problems", headers={"host": host})
    assert problem(refused) == (400, "unknown-host")
    assert "ALLOWED_HOSTS" in refused.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"")],
        [(b"host", b"testserver"), (b"host", b"testserver")],
        [(b"host", b"testserver, testserver")],
        [(b"host", b"user@testserver")],
        [(b"host", b"testserver/path")],
        [(b"host", b"testserver:port")],
        [(b"host", b"test server")],
    ],
)
async def test_anything_but_one_host_is_a_bad_request(app: Application, headers: list[tuple[bytes, bytes]]) -> None:
    response = await ask(app, "GET", "/health", headers)
    assert response.status == 400
    assert b"/problems/bad-request" in response.body


async def test_a_star_lets_any_well_formed_host_in(clock: SettableClock) -> None:
    app = create_app(a_container(clock, ALLOWED_HOSTS="*"))
    assert (await ask(app, "GET", "/health", [(b"host", b"[::1]:8000")])).status == 200
    assert (await ask(app, "GET", "/health", [])).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"2"), (b"content-length", b"2")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"+2")],
        [(b"content-length", b"two")],
    ],
)
async def test_contradictory_lengths_are_a_bad_request(app: Application, headers: list[tuple[bytes, bytes]]) -> None:
    response = await ask(app, "POST", POSTS, [(b"host", b"testserver"), *headers])
    assert response.status == 400
    assert b"/problems/bad-request" in response.body


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"gzip", b"identity", b"xchunked", b""])
async def test_any_other_transfer_coding_than_chunked_is_refused(app: Application, coding: bytes) -> None:
    response = await ask(app, "POST", POSTS, [(b"host", b"testserver"), (b"transfer-encoding", coding)])
    assert response.status == 501
    assert b"/problems/unsupported-transfer-coding" in response.body
    assert response.header(b"connection") == b"close"


async def test_no_answer_names_the_server(client: httpx.AsyncClient, alice: Account) -> None:
    for path in ("/health", "/nowhere", "/api/v1/posts", "/docs"):
        for headers in ({}, {"origin": "https://app.example"}, alice.auth):
            assert (await client.get(path, headers=headers)).headers["server"] == ""


async def test_header_fields_are_bounded_in_size_and_number(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health", headers={"x-long": "x" * 15_000})).status_code == 200
    assert problem(await client.get("/health", headers={"x-long": "x" * 16_384})) == (431, "headers-too-large")
    many = [(f"x-{number}", "1") for number in range(101)]
    assert problem(await client.get("/health", headers=many)) == (431, "headers-too-large")


async def test_the_target_is_bounded(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/health?" + "x" * 8_192)) == (414, "uri-too-long")
    assert problem(await client.get("/" + "x" * 8_192)) == (414, "uri-too-long")


class Chunks:
    """A body without a length, which counts how much of it is read."""

    def __init__(self, size: int, *, prefix: bytes = b"") -> None:
        self.size, self.read, self.prefix = size, 0, prefix

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.prefix:
            self.read += len(self.prefix)
            yield self.prefix
        while self.read < self.size:
            chunk = b" " * min(65_536, self.size - self.read)
            self.read += len(chunk)
            yield chunk


async def test_a_body_over_the_limit_is_refused_by_its_length(client: httpx.AsyncClient, alice: Account) -> None:
    body = b"{" + b" " * BODY_LIMIT
    response = await client.post(POSTS, content=body, headers={**alice.auth, **JSON})
    assert problem(response) == (413, "body-too-large")
    assert response.headers["connection"] == "close"


async def test_exactly_the_limit_passes_chunked_too(client: httpx.AsyncClient, alice: Account) -> None:
    chunks = Chunks(BODY_LIMIT, prefix=b'{"text":"small"}')
    assert (await client.post(POSTS, content=chunks, headers={**alice.auth, **JSON})).status_code == 201
    chunks = Chunks(BODY_LIMIT + 1, prefix=b'{"text":"small"}')
    response = await client.post(POSTS, content=chunks, headers={**alice.auth, **JSON})
    assert problem(response) == (413, "body-too-large")


async def test_head_has_the_headers_of_get_and_no_body(
    client: httpx.AsyncClient, alice: Account, contract: Contract
) -> None:
    location = (await publish(client, alice)).headers["location"]
    ordered = await client.post("/api/v1/orders", json=ORDER, headers=alice.auth)
    names = {
        "webhook_id": alice.id,  # there is none of this id, which HEAD says as GET does
        "delivery_id": alice.id,
        "post_id": location.rpartition("/")[2],
        "order_id": ordered.json()["id"],
        "user_id": alice.id,
        "slug": "stale",
        "type": "post.published",
        "version": "1",
    }
    documented = contract.whole["paths"].items()
    reads = {path: item["get"]["responses"]["200"] for path, item in documented if "get" in item}
    # A stream has no end to wait for.
    paths = [path for path, success in reads.items() if "text/event-stream" not in success.get("content", {})]
    paths += ["/docs", "/redoc", "/favicon.ico", "/nowhere", POSTS + "?limit=0"]
    assert len(paths) > 15
    for template in paths:
        path = template.format_map(names)
        headers = {**alice.auth, "x-request-id": "same"}
        got = await client.get(path, headers=headers)
        head = await client.head(path, headers=headers)
        assert head.content == b"", path
        assert head.status_code == got.status_code, path
        ours, theirs = dict(head.headers), dict(got.headers)
        # They tell the time, in more or fewer digits, or what has been asked before.
        if path in {"/health", "/health/ready", "/health/db", "/metrics"}:
            del ours["content-length"], theirs["content-length"]
        assert ours == theirs, path


async def test_head_answers_304_too(client: httpx.AsyncClient) -> None:
    tag = (await client.head(POSTS)).headers["etag"]
    assert (await client.head(POSTS, headers={"if-none-match": tag})).status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", POSTS, "GET, HEAD, OPTIONS, POST"),
        ("HEAD", "/api/v1/auth/login", "OPTIONS, POST"),
        ("GET", "/api/v1/auth/login", "OPTIONS, POST"),
        ("POST", "/api/v1/users/me", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("BREW", "/health", "GET, HEAD, OPTIONS"),
        ("DELETE", "/docs", "GET, HEAD, OPTIONS"),
    ],
)
async def test_405_says_what_is_allowed(client: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    assert method == "HEAD" or problem(response) == (405, "method-not-allowed")


async def test_options_says_what_is_allowed(client: httpx.AsyncClient) -> None:
    response = await client.options("/api/v1/users/me")
    assert response.status_code == 204
    assert set(response.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"}


async def test_options_of_the_whole_server_says_what_it_understands(app: Application) -> None:
    response = await ask(app, "OPTIONS", "*", [(b"host", b"testserver")])
    assert (response.status, response.body) == (204, b"")
    assert response.header(b"allow") == ALLOWED_METHODS.encode()


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1", "/api/v1/nowhere", "/docs/assets/1/x.js", "/api/v2/posts"])
async def test_404_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    assert problem(await client.get(path)) == (404, "no-such-route")


ORIGIN = {"origin": "https://app.example.com"}


@pytest.mark.parametrize("path", ["/health", POSTS, "/nowhere", "/api/v1/users/me"])
async def test_an_allowed_origin_may_read_every_answer(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers=ORIGIN)
    assert response.headers["access-control-allow-origin"] == ORIGIN["origin"]
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Location", "Link", "X-Request-Id", "Retry-After"} <= set(exposed)
    assert "Origin" in response.headers["vary"]
    assert "access-control-allow-credentials" not in response.headers


async def test_a_preflight_of_an_allowed_origin_is_granted(client: httpx.AsyncClient) -> None:
    asked = {**ORIGIN, "access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
    response = await client.options(f"{POSTS}/x", headers=asked)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert {"PATCH", "DELETE", "PUT"} <= set(response.headers["access-control-allow-methods"].split(", "))
    allowed = {name.lower() for name in response.headers["access-control-allow-headers"].split(", ")}
    assert {"authorization", "content-type", "if-match", "if-none-match", "idempotency-key"} <= allowed
    assert int(response.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://app.example.com", "https://app.example.com.evil"]
)
async def test_another_origin_is_granted_nothing(client: httpx.AsyncClient, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        response = await client.request(method, POSTS, headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control")]
        # A cache must not serve this answer to the page that is allowed.
        assert "Origin" in response.headers["vary"]


async def test_without_origins_configured_cors_costs_nothing(clock: SettableClock) -> None:
    async with open_client(create_app(a_container(clock, CORS_ORIGINS=""))) as client:
        response = await client.get("/health", headers=ORIGIN)
    assert "vary" not in response.headers
    assert "access-control-allow-origin" not in response.headers


async def test_a_star_grants_every_origin(clock: SettableClock) -> None:
    async with open_client(create_app(a_container(clock, CORS_ORIGINS="*"))) as client:
        response = await client.get("/health", headers={"origin": "null"})
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/docs", POSTS])
async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("accept", "verdict"),
    [
        ("*/*", True),
        ("application/json", True),
        ("application/*;q=0.1", True),
        ("text/html, */*;q=0.1", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("", True),
        ("text/html", False),
        ("application/json;q=0", False),
        ("application/json;q=0, */*", False),
        ("application/xml, text/*", False),
        ("application/json;q=nonsense", True),
    ],
)
async def test_the_accept_header_is_heeded(client: httpx.AsyncClient, accept: str, verdict: bool) -> None:
    assert accepts_json(accept.encode()) is verdict
    response = await client.get(POSTS, headers={"accept": accept})
    assert response.status_code == 200 if verdict else problem(response) == (406, "not-acceptable")


class Broken:
    """Stands in for a use case that fails in a way nobody thought of."""

    async def execute(self, _query: object) -> Any:
        raise RuntimeError("the secret is 42")


async def test_a_fault_of_ours_says_nothing_of_the_inside_and_is_logged_once(
    container: Container, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    container.list_feed.override(Broken())
    async with open_client(create_app(container), contract) as client:
        with caplog.at_level(logging.DEBUG):
            response = await client.get(POSTS, headers={"x-request-id": "find-me"})
    assert problem(response) == (500, "internal-error")
    assert "42" not in response.text
    assert "RuntimeError" not in response.text
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) == 1
    assert "find-me" in records[0].getMessage()
    assert records[0].exc_info is not None
    assert "the secret is 42" in str(records[0].exc_info[1])


async def test_an_error_outside_of_the_routes_is_answered_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("no route saw this")

    edge = Edge(broken, allowed_hosts=["*"], cors_origins=[])
    response = await ask(edge, "GET", "/health", [(b"host", b"x")])
    assert response.status == 500
    assert response.header(b"content-type") == b"application/problem+json"
    assert b"no route" not in response.body
    assert len(caplog.records) == 1


async def test_half_an_answer_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await ask(Edge(broken, allowed_hosts=["*"], cors_origins=[]), "GET", "/health", [(b"host", b"x")])
    assert len(caplog.records) == 1


async def test_an_answer_of_which_nothing_was_sent_is_a_500_yet() -> None:
    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("before its content")

    response = await ask(Edge(broken, allowed_hosts=["*"], cors_origins=[]), "GET", "/health", [(b"host", b"x")])
    assert response.status == 500
    assert b"/problems/internal-error" in response.body


async def test_a_body_that_breaks_off_is_not_our_fault(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    headers = [(b"host", b"testserver"), (b"content-type", b"application/json")]
    response = await ask(app, "POST", "/api/v1/auth/login", headers, (b"{", GONE))
    assert response.status == 400
    assert b"/problems/bad-request" in response.body
    assert not caplog.records


async def test_a_websocket_is_turned_away(app: Application) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_parallel_requests_keep_their_ids_apart(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/nowhere", headers={"x-request-id": str(n)}) for n in range(50)))
    assert [answer.json()["request_id"] for answer in answers] == [str(n) for n in range(50)]
    assert all(str(answer.url).startswith(BASE) for answer in answers)


@pytest.mark.parametrize("path", ["/health/live", POSTS, "/nowhere", "/api/v1/users/me"])
@pytest.mark.parametrize("headers", [{}, {"origin": "https://app.example.org"}])
async def test_every_answer_of_a_server_that_is_about_to_stop_closes_its_connection(
    container: Container, client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    assert "connection" not in (await client.get(path, headers=headers)).headers
    container.serving().close_connections()
    container.serving().close_connections()
    assert (await client.get(path, headers=headers)).headers.get_list("connection") == ["close"]
    assert (await client.get("/health/ready")).status_code == 200
    container.serving().drain()
    assert (await client.get("/health/ready")).json()["detail"] == "The server is about to stop."
