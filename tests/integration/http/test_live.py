"""Live events over HTTP, in process: who hears what, from where on, and for how long."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from application.posts.publish_post import PublishPostCommand
from domain.posts.values import PostText
from domain.shared.actor import Actor, Role
from domain.shared.ids import SessionId, UserId
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Application
from tests.fakes import SettableClock
from tests.integration.http.conftest import (
    PASSWORD,
    Account,
    a_container,
    bearer,
    faults,
    open_client,
    problem,
    publish,
)

EVENTS = "/api/v1/events"


class Listening:
    """One request to the stream, driven as a server would; httpx in process waits for an end that never comes."""

    def __init__(self, app: Application, headers: dict[str, str] | None = None, *, query: str = "") -> None:
        named = {"host": "testserver", **(headers or {})}
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": EVENTS,
            "raw_path": EVENTS.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "client": ("192.0.2.1", 50000),
            "server": ("192.0.2.2", 80),
        }
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = False
        self.text = ""
        self.ended = False
        self.task = asyncio.ensure_future(app(self._scope, self._receive, self._sent.put))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def start(self) -> dict[str, str]:
        """Return the headers of an answer of 200."""
        async with asyncio.timeout(20):
            message = await self._sent.get()
        assert message["status"] == 200
        return {name.decode(): value.decode() for name, value in message["headers"]}

    async def more(self) -> None:
        async with asyncio.timeout(20):
            message = await self._sent.get()
        self.text += message["body"].decode()
        self.ended = not message["more_body"]

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.text.splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @property
    def ids(self) -> list[int]:
        return [int(line.removeprefix("id: ")) for line in self.text.splitlines() if line.startswith("id: ")]

    async def until(self, type_: str) -> list[dict[str, Any]]:
        """Read on until there has been an event of this type, and return all there were."""
        while not any(event.get("type") == type_ for event in self.events):
            assert not self.ended, self.text
            await self.more()
        return self.events

    async def end(self) -> None:
        """Read on until the stream ends."""
        while not self.ended:
            await self.more()
        await self.task

    async def go(self) -> None:
        """Hang up."""
        self._gone.set()
        async with asyncio.timeout(20):
            await asyncio.gather(self.task, return_exceptions=True)


Listen = Callable[..., Awaitable[Listening]]


@asynccontextmanager
async def listening_to(container: Container, app: Application) -> AsyncIterator[Listen]:
    opened: list[Listening] = []

    async def listen(headers: dict[str, str] | None = None, *, query: str = "") -> Listening:
        opened.append(Listening(app, headers, query=query))
        await opened[-1].start()
        return opened[-1]

    yield listen
    for one in opened:
        await one.go()
    await container.live_hub().close()


@pytest.fixture
async def listen(container: Container, app: Application) -> AsyncIterator[Listen]:
    async with listening_to(container, app) as listen:
        yield listen


async def test_the_answer_is_a_stream_that_nobody_keeps(container: Container, app: Application) -> None:
    listening = Listening(app, {"accept": "text/event-stream"})
    headers = await listening.start()

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers
    assert headers["x-request-id"]
    await listening.go()
    await container.live_hub().close()


async def test_open_streams_are_a_gauge_and_no_latencies(client: httpx.AsyncClient, listen: Listen) -> None:
    streams = [await listen(), await listen()]
    assert "\npostern_live_streams 2.0\n" in (await client.get("/metrics")).text
    for stream in streams:
        await stream.go()
    assert (await client.get(EVENTS, params={"types": "no.such"})).status_code == 400
    response = (await client.get("/metrics")).text

    of_route = 'method="GET",route="/api/v1/events"'
    assert "\npostern_live_streams 0.0\n" in response
    assert f'\nhttp_requests_total{{{of_route},status="200"}} 2.0\n' in response
    assert f"\nhttp_request_duration_seconds_count{{{of_route}}} 1.0\n" in response  # the one that was refused


async def test_everybody_hears_of_posts_and_scores(client: httpx.AsyncClient, listen: Listen, alice: Account) -> None:
    anybody = await listen()
    post = (await publish(client, alice)).json()
    await client.patch(f"/api/v1/posts/{post['id']}", json={"text": "Hello again."}, headers=alice.auth)
    await client.put(f"/api/v1/posts/{post['id']}/vote", json={"dir": 1}, headers=alice.auth)
    await client.delete(f"/api/v1/posts/{post['id']}", headers=alice.auth)
    events = await anybody.until("post.deleted")

    assert [event["type"] for event in events] == ["post.published", "post.edited", "vote.cast", "post.deleted"]
    assert {event["subject"] for event in events} == {post["id"]}
    sequences = [event["sequence"] for event in events]
    assert sequences == sorted(set(sequences))
    assert events[2]["data"] == {"post_id": post["id"], "dir": 1, "score": 1, "upvotes": 1, "downvotes": 0}
    assert "Hello" not in anybody.text


async def test_a_caller_hears_of_their_own_orders_and_votes_and_nobody_else_does(
    client: httpx.AsyncClient, listen: Listen, alice: Account, bob: Account
) -> None:
    of_alice, of_bob, of_nobody = await listen(alice.auth), await listen(bob.auth), await listen()
    post = (await publish(client, bob)).json()
    order = {
        "items": [{"product_id": "sku-1", "quantity": 1}],
        "shipping_address": {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"},
    }
    assert (await client.post("/api/v1/orders", json=order, headers=alice.auth)).status_code == 201
    await client.put(f"/api/v1/posts/{post['id']}/vote", json={"dir": -1}, headers=alice.auth)

    heard = await of_alice.until("vote.cast")
    assert [event["type"] for event in heard] == ["post.published", "order.placed", "vote.cast"]
    assert heard[2]["data"]["voter_id"] == alice.id
    for other in (of_bob, of_nobody):
        assert [event["type"] for event in await other.until("vote.cast")] == ["post.published", "vote.cast"]
        assert "voter_id" not in other.text
        assert alice.id not in other.text


async def test_a_reader_comes_back_to_where_they_were(
    client: httpx.AsyncClient, listen: Listen, alice: Account
) -> None:
    first = await listen()
    posts = [(await publish(client, alice)).json()["id"]]
    await first.until("post.published")
    await first.go()
    posts += [(await publish(client, alice)).json()["id"] for _ in range(3)]
    again = await listen({"last-event-id": str(first.ids[-1])}, query="types=post.published,post.deleted")
    await client.delete(f"/api/v1/posts/{posts[0]}", headers=alice.auth)
    events = await again.until("post.deleted")

    assert [event["subject"] for event in events] == [*posts[1:], posts[0]]
    assert again.ids == sorted(set(again.ids) | {again.ids[0]})


async def test_events_that_never_were_here_are_told_to_be_lost(
    client: httpx.AsyncClient, listen: Listen, alice: Account
) -> None:
    listening = await listen({"last-event-id": "123456"})
    await publish(client, alice)
    events = await listening.until("post.published")

    assert "event: reset\n" in listening.text
    assert len(events) == 2


@pytest.mark.parametrize("given", ["-1", "1.5", "x", "", "9" * 19, "1, 2"])
async def test_a_made_up_place_to_resume_from_is_refused(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get(EVENTS, headers={"last-event-id": given})

    assert problem(response) == (400, "invalid-input")
    assert "Last-Event-ID" in response.json()["detail"]


@pytest.mark.parametrize("given", ["post.read", "post.published,", "", "post.published,user.password_changed"])
async def test_types_that_do_not_exist_are_refused(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get(EVENTS, params={"types": given})

    assert problem(response) == (400, "invalid-input")
    assert faults(response) == {"?types": "choice"}


async def test_a_token_in_the_query_is_not_taken(client: httpx.AsyncClient, alice: Account) -> None:
    response = await client.get(EVENTS, params={"access_token": alice.access_token})

    assert faults(response) == {"?access_token": "unknown"}


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/event-stream", 200), ("text/*", 200), ("*/*", 200), ("application/json", 406), ("text/html", 406)],
)
async def test_it_is_had_as_an_event_stream_alone(client: httpx.AsyncClient, accept: str, status: int) -> None:
    assert (await client.head(EVENTS, headers={"accept": accept})).status_code == status
    assert (await client.get("/api/v1/posts", headers={"accept": "text/event-stream"})).status_code == 406


async def test_head_answers_at_once_and_opens_nothing(client: httpx.AsyncClient, container: Container) -> None:
    response = await client.head(EVENTS)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(container.live_hub()) == 0


async def test_a_reader_who_hangs_up_leaves_nothing_behind(
    client: httpx.AsyncClient, container: Container, listen: Listen, alice: Account
) -> None:
    listening = [await listen(), await listen(alice.auth)]
    assert len(container.live_hub()) == 2
    for one in listening:
        await one.go()
    assert len(container.live_hub()) == 0
    await publish(client, alice)


async def test_a_session_that_is_closed_hears_nothing_more(
    client: httpx.AsyncClient, listen: Listen, alice: Account, bob: Account
) -> None:
    listening, bystander = await listen(alice.auth), await listen(bob.auth)
    await publish(client, bob)
    await listening.until("post.published")
    assert (await client.post("/api/v1/auth/logout", headers=alice.auth)).status_code == 204
    await publish(client, bob)
    async with asyncio.timeout(20):
        await listening.end()

    assert len(listening.events) == 1
    await publish(client, bob)
    while len(bystander.events) < 3:
        await bystander.more()
    assert not bystander.ended


async def test_a_token_that_expires_ends_its_stream(listen: Listen, clock: SettableClock, alice: Account) -> None:
    listening = await listen(alice.auth)
    clock.advance(timedelta(minutes=31))

    async with asyncio.timeout(20):
        await listening.end()


async def test_nothing_is_sent_while_nobody_knows_whether_the_token_holds(
    client: httpx.AsyncClient, container: Container, listen: Listen, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, anybody = await listen(alice.auth), await listen()
    revocations = container.revocations()

    async def nothing() -> None:
        """Find nothing out."""

    while not listening.ids:
        await listening.more()
    monkeypatch.setattr(revocations, "are_current", lambda: False)
    monkeypatch.setattr(revocations, "refresh", nothing)
    # Not over HTTP, which would not let alice in now either.
    actor = Actor(UserId(UUID(alice.id)), Role.USER, SessionId(UUID(int=1)))
    await container.posts().publish_post.execute(PublishPostCommand(actor, PostText.parse("Hello, world.")))
    await anybody.until("post.published")
    await listening.end()

    assert listening.events == []


@pytest.mark.parametrize("credentials", ["Bearer nonsense", "Basic eDp5"])
async def test_bad_credentials_do_not_make_one_anybody(client: httpx.AsyncClient, credentials: str) -> None:
    response = await client.get(EVENTS, headers={"authorization": credentials})

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_an_api_key_is_refused(client: httpx.AsyncClient, alice: Account) -> None:
    body = {"password": PASSWORD, "name": "a program", "scopes": ["posts:read"]}
    key = (await client.post("/api/v1/auth/api-keys", json=body, headers=alice.auth)).json()["key"]

    assert problem(await client.get(EVENTS, headers=bearer(key))) == (403, "insufficient-scope")


async def test_there_are_so_many_streams_and_no_more(clock: SettableClock) -> None:
    container = a_container(clock, LIVE_MAX_STREAMS="3", LIVE_MAX_STREAMS_PER_CALLER="2")
    app = create_app(container)
    async with listening_to(container, app) as listen, open_client(app) as client:
        signed_up = await client.post(
            "/api/v1/auth/signup", json={"email": "alice@example.com", "password": "a walrus in the library"}
        )
        alice = bearer(signed_up.json()["access_token"])
        for _ in range(2):
            await listen(alice)
        one_more = await client.get(EVENTS, headers=alice)
        assert problem(one_more) == (429, "too-many-streams")
        assert int(one_more.headers["retry-after"]) > 0
        anybody = await listen()
        crowded = await client.get(EVENTS)
        assert problem(crowded) == (503, "overloaded")
        assert int(crowded.headers["retry-after"]) > 0

        await anybody.go()
        await listen()


async def test_pages_of_other_origins_may_resume(client: httpx.AsyncClient) -> None:
    asked = {
        "origin": "https://app.example.com",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,last-event-id",
    }
    preflight = await client.options(EVENTS, headers=asked)
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "last-event-id" in preflight.headers["access-control-allow-headers"].lower()
    granted = await client.head(EVENTS, headers={"origin": "https://app.example.com"})
    assert granted.headers["access-control-allow-origin"] == "https://app.example.com"


async def test_the_document_shows_what_a_stream_looks_like(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"][EVENTS]["get"]
    content = operation["responses"]["200"]["content"]["text/event-stream"]

    example = [json.loads(line[6:]) for line in content["example"].splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in example] == ["post.published"]
    assert {"429", "503", "406", "401"} <= set(operation["responses"])
    assert {parameter["name"] for parameter in operation["parameters"]} == {"types", "Last-Event-ID"}
