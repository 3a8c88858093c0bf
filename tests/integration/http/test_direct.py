"""Direct routes answer byte by byte what the router's way answers, whatever is asked and by whom."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.direct import DirectRoutes
from entrypoints.http.edge import Edge
from tests.fakes import SettableClock
from tests.integration.http.conftest import PASSWORD, a_container

API = "/api/v1"
MINE, FEED = f"{API}/users/me/posts", f"{API}/posts"
ABSENT = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"

Field = tuple[bytes, bytes]
HOST: Field = (b"host", b"testserver")
ID: Field = (b"x-request-id", b"the-same-for-both")


@dataclass(frozen=True)
class Told:
    status: int
    headers: list[Field]
    body: bytes


async def ask(app: Any, method: str, target: str, *headers: Field) -> Told:
    path, _, query = target.partition("?")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*headers, ID],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    return Told(sent[0]["status"], sorted(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:]))


async def no_router(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"{scope['path']} was left to the router")


@dataclass
class Both:
    """The application by its two ways, over the same storage."""

    direct: Edge
    routed: Edge
    seen: set[int] = field(default_factory=set)
    """Statuses that were compared, so that a matrix of nothing but 401s does not pass for one."""

    async def agree(self, method: str, target: str, *headers: Field) -> Told:
        found = await ask(self.direct, method, target, *headers)
        assert found == await ask(self.routed, method, target, *headers), (method, target, headers)
        self.seen.add(found.status)
        return found


def both_of(make: Callable[[], Container]) -> Both:
    direct, routed = create_app(make()), create_app(make())
    assert isinstance(direct, Edge)
    assert isinstance(routed, Edge)
    direct._app = no_router
    routed._direct = DirectRoutes()
    return Both(direct, routed)


@dataclass
class Story:
    """Who there is, and what they have written."""

    container: Container
    credentials: dict[str, tuple[Field, ...]]
    post_id: str
    author_id: str
    cursors: dict[str, str]


def bearer(token: str) -> tuple[Field, ...]:
    return ((b"authorization", f"Bearer {token}".encode()),)


@pytest.fixture
async def story(container: Container) -> Story:
    app = create_app(container)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:

        async def sign_up(name: str) -> tuple[str, str]:
            body = {"email": f"{name}@example.com", "password": PASSWORD, "username": name}
            made = (await client.post(f"{API}/auth/signup", json=body)).json()
            return made["access_token"], made["user"]["id"]

        alice, author_id = await sign_up("alice")
        bob, _ = await sign_up("robert")
        gone, _ = await sign_up("carol")
        auth = {"authorization": f"Bearer {alice}"}

        async def key(*scopes: str) -> str:
            body = {"name": "a script", "scopes": scopes}
            return str((await client.post(f"{API}/auth/api-keys", json=body, headers=auth)).json()["key"])

        posts = [
            (await client.post(FEED, json={"text": f"Hello, harbour {number}."}, headers=auth)).json()["id"]
            for number in range(3)
        ]
        await client.put(f"{FEED}/{posts[0]}/vote", json={"dir": 1}, headers={"authorization": f"Bearer {bob}"})
        await client.post(f"{API}/auth/logout", headers={"authorization": f"Bearer {gone}"})
        cursors = {
            path: (await client.get(path, params={"limit": 1}, headers=auth)).json()["next_cursor"]
            for path in (MINE, FEED)
        }
        credentials: dict[str, tuple[Field, ...]] = {
            "nobody": (),
            "the author": bearer(alice),
            "a voter": bearer(bob),
            "in capitals": ((b"authorization", f"BEARER {alice}".encode()),),
            "logged out": bearer(gone),
            "a forgery": bearer(alice[:-4] + "AAAA"),
            "no token": ((b"authorization", b"Bearer"),),
            "another scheme": ((b"authorization", b"Basic YWxpY2U6cGFzc3dvcmQ="),),
            "twice": bearer(alice) * 2,
            "a key that reads": bearer(await key("posts:read")),
            "a key that does not": bearer(await key("posts:write")),
            "no such key": bearer("pk_" + "0" * 49),
        }
    return Story(container, credentials, posts[0], author_id, cursors)


@pytest.fixture
def both(story: Story) -> Both:
    return both_of(lambda: story.container)


async def test_for_every_caller_and_query(both: Both, story: Story) -> None:
    pages = ["", "?limit=2", "?limit=100", "?limit=0", "?limit=101", "?limit=x", "?limit=1&limit=2", "?page=2"]
    pages += ["?cursor=x", "?limit=%31", "?limit=%ff", "?cursor="]
    feeds = ["?sort=top", "?sort=hot&limit=1", "?sort=worst", "?q=harbour", "?q=harbour&sort=new", "?q=%20"]
    feeds += [f"?author={story.author_id}", "?author=me", "?since=2020-01-01T00:00:00Z", "?until=yesterday"]
    targets = [
        *(f"{path}{page}" for path in (MINE, FEED) for page in pages),
        *(f"{path}?limit=1&cursor={story.cursors[path]}" for path in (MINE, FEED)),
        f"{MINE}?cursor={story.cursors[FEED]}",
        *(f"{FEED}{query}" for query in feeds),
        *(f"{FEED}/{id}" for id in (story.post_id, story.post_id.upper(), ABSENT, "1", "%", f"{story.post_id}?x=1")),
    ]
    for method, target, who in itertools.product(("GET", "HEAD"), targets, story.credentials.values()):
        found = await both.agree(method, target, HOST, *who)
        assert method == "GET" or found.body == b""
    assert both.seen >= {200, 400, 401, 403, 404}


async def test_for_every_condition_origin_host_and_type(both: Both, story: Story) -> None:
    alice = story.credentials["the author"]
    for target in (MINE, FEED, f"{FEED}?sort=top", f"{FEED}/{story.post_id}"):
        tag = dict((await both.agree("GET", target, HOST, *alice)).headers)[b"etag"]
        variations: list[tuple[Field, ...]] = [
            *(
                (HOST, (b"if-none-match", value))
                for value in (tag, b"W/" + tag, b"*", b'"x", ' + tag, b'"x"', b"x", b"")
            ),
            (HOST, (b"if-match", b'"x"')),
            *((HOST, (b"origin", origin)) for origin in (b"https://app.example.com", b"https://evil.example", b"null")),
            *((HOST, (b"accept", kind)) for kind in (b"application/json", b"text/html", b"text/html, */*;q=0.1")),
            (HOST, HOST),
            ((b"host", b"evil.example"),),
            ((b"host", b"api.example.org"),),
            (),
            (HOST, (b"x-long", b"x" * 16_384)),
            (HOST, *((f"x-{number}".encode(), b"1") for number in range(101))),
            (HOST, (b"content-length", b"x")),
        ]
        for method, headers in itertools.product(("GET", "HEAD"), variations):
            await both.agree(method, target, *headers, *alice)
        await both.agree("GET", f"{target}?{'x' * 8_192}", HOST, *alice)
    assert both.seen >= {200, 304, 400, 406, 414, 431}


async def test_other_methods_and_spellings_are_the_routers(story: Story) -> None:
    whole = create_app(story.container)
    alice = story.credentials["the author"]
    for target in (f"{MINE}/", f"{FEED}/", f"{FEED}/{story.post_id}/", f"{FEED}//{story.post_id}"):
        plain = target.rstrip("/").replace("//", "/")
        spelt, direct = await ask(whole, "GET", target, HOST, *alice), await ask(whole, "GET", plain, HOST, *alice)
        assert (spelt.status, spelt.body) == (direct.status, direct.body), target
    assert (await ask(whole, "DELETE", MINE, HOST, *alice)).status == 405
    preflight = ((b"origin", b"https://app.example.com"), (b"access-control-request-method", b"GET"))
    assert (await ask(whole, "OPTIONS", FEED, HOST, *preflight)).status == 204


@pytest.mark.parametrize(("setting", "signed_in"), [("RATE_LIMIT_ADDRESS", False), ("RATE_LIMIT_USER", True)])
async def test_limits_count_direct_answers_as_all_others(clock: SettableClock, setting: str, signed_in: bool) -> None:
    def limited() -> Container:
        return a_container(clock, RATE_LIMIT_ENABLED="true", **{setting: "3/minute"})

    first, second = limited(), limited()
    second.storage.override(first.storage())  # the same accounts, and counters of its own
    containers = iter((first, second))
    both = both_of(lambda: next(containers))
    body = {"email": "alice@example.com", "password": PASSWORD, "username": "alice"}
    headers: tuple[Field, ...] = (HOST,)
    if signed_in:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(first)), base_url="http://testserver"
        ) as client:
            token = (await client.post(f"{API}/auth/signup", json=body)).json()["access_token"]
        headers += bearer(token)
    statuses = [(await both.agree("GET", FEED, *headers)).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
