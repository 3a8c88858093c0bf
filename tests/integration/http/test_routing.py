"""The table of routes finds what Litestar's router finds, and nothing that is registered needs more than it does."""

import itertools
import json
import random
from typing import Final

import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute

from entrypoints.container import Container
from entrypoints.http.app import create_app, create_litestar
from entrypoints.http.edge.exchange import Exchange
from entrypoints.http.edge.middleware import Edge
from entrypoints.http.edge.routing import RouteTable
from tests.fakes import SettableClock
from tests.integration.http.asgi_client import Field, ask, scope_of
from tests.integration.http.conftest import a_container
from tests.integration.http.scenario import API, HOST, ID, POSTS, Story, a_story

JSON: Final[Field] = (b"content-type", b"application/json")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MINE: Final = f"{API}/users/me/posts"


@pytest.fixture(scope="module")
def litestar() -> Litestar:
    return create_litestar(a_container(SettableClock()))


@pytest.fixture
async def story(container: Container) -> Story:
    return await a_story(container, posts=3)


def routes_of(litestar: Litestar) -> list[HTTPRoute]:
    return [route for route in litestar.routes if isinstance(route, HTTPRoute)]


def paths_like(litestar: Litestar) -> set[str]:
    """Paths of every template, with segments of others in place of some, too many of them, and slashes too many."""
    chance = random.Random(1)
    templates = [route.path_format.split("/")[1:] for route in routes_of(litestar)]
    words = sorted({word for template in templates for word in template if "{" not in word} | {"x", "%", "a b", "é"})
    paths = {"/", "//", "*", "", "/api/v1", "/api/v1/"}
    for template in templates:
        filled = [chance.choice(words) if "{" in word else word for word in template]
        paths.add("/" + "/".join(filled))
        for _ in range(40):
            segments = list(filled)
            segments[chance.randrange(len(segments))] = chance.choice(words)
            segments += chance.choices(words, k=chance.choice((0, 0, 0, 1, 2)))
            paths.add(chance.choice(("/", "/", "/", "//")) + chance.choice(("/", "/", "//")).join(segments))
            paths.add("/" + "/".join(segments) + chance.choice(("/", "//", "/.")))
    return paths


def test_every_path_leads_where_the_router_leads(litestar: Litestar) -> None:
    table, found, missed = RouteTable(litestar.routes), 0, 0
    for path, method in itertools.product(sorted(paths_like(litestar)), METHODS):
        exchange = Exchange(scope_of(method, "/", []) | {"path": path})
        route = table.find(exchange, method, path)
        plain = "/" + "/".join(segment for segment in path.split("/") if segment)
        try:
            _, handler, _, params, template = litestar.asgi_router.handle_routing(plain, method)
        except HTTPException:
            assert route is None, (method, path)
            missed += 1
            continue
        assert route is not None, (method, path)
        assert (route.handle, route.template) == (handler.opt["handler"], template), (method, path)
        assert (exchange.params, exchange.route) == (params, template)
        assert exchange.scope["path"] == plain
        found += 1
    assert min(found, missed) > 500


def test_no_route_needs_what_the_table_leaves_out(litestar: Litestar) -> None:
    for route in routes_of(litestar):
        assert all(parameter.type is str for parameter in route.path_parameters.values())
        for handler in route.route_handlers:
            assert not handler.resolve_guards()
            assert not handler.resolve_middleware()
            assert not handler.resolve_dependencies()
            assert handler.resolve_before_request() is None
            assert handler.resolve_after_response() is None
            assert not handler.resolve_response_cookies()
            assert not handler.resolve_response_headers()


async def test_the_router_is_asked_for_what_there_is_not_alone(story: Story) -> None:
    app = create_app(story.container)
    assert isinstance(app, Edge)
    asked = []
    router = app._app

    async def noting(scope: dict[str, object], receive: object, send: object) -> None:
        asked.append((scope["method"], scope["path"]))
        await router(scope, receive, send)

    app._app = noting
    one = f"{POSTS}/{story.post_id}"
    headers = (HOST, ID, *story.author, JSON)
    text, vote = b'{"text": "Hello."}', b'{"dir": 1}'
    for method, target, body, status in (
        ("GET", f"{MINE}/", b"", 200),
        ("HEAD", f"{POSTS}//", b"", 200),
        ("GET", f"{POSTS}//{story.post_id}/", b"", 200),
        ("POST", f"{POSTS}/", text, 201),
        ("PUT", f"{one}/vote/", vote, 200),
        ("PUT", f"/{POSTS}//{story.post_id}/vote", vote, 200),
        ("OPTIONS", f"{one}/vote", b"", 204),
    ):
        response = await ask(app, method, target, headers, (body,))
        assert response.status == status, (method, target)
    assert asked == []
    for method, target, status in (
        ("PUT", f"{POSTS}//vote", 405),
        ("PUT", POSTS, 405),
        ("POST", one, 405),
        ("DELETE", MINE, 405),
        ("GET", f"{one}/vote", 405),
        ("PUT", f"{one}/votes", 404),
        ("HEAD", "/nowhere", 404),
    ):
        response = await ask(app, method, target, headers, (vote,))
        assert response.status == status, (method, target)
        assert (response.header(b"allow") is not None) == (status == 405)
    assert len(asked) == 7
    options = await ask(app, "OPTIONS", f"{one}/vote", headers)
    assert options.header(b"allow") == b"OPTIONS, PUT"


async def test_a_key_is_of_the_path_however_many_slashes_that_was_sent_with(story: Story) -> None:
    app = create_app(story.container)
    headers = (HOST, ID, *story.author, JSON, (b"idempotency-key", b"the-same"))
    first = await ask(app, "POST", POSTS, headers, (b'{"text": "Once."}',))
    again = await ask(app, "POST", f"{POSTS}/", headers, (b'{"text": "Once."}',))
    assert first.status == 201
    assert (again.status, again.body, again.header(b"idempotent-replayed")) == (201, first.body, b"true")


async def test_a_cached_page_links_as_each_query_is_spelt(story: Story) -> None:
    app = create_app(story.container)
    for path, query, status in itertools.product((MINE, POSTS), ("limit=1", "limit=01", "limit=1"), (200, 304)):
        condition = ((b"if-none-match", b"*"),) if status == 304 else ()
        found = await ask(app, "GET", f"{path}?{query}", (HOST, *story.author, *condition))
        assert found.status == status
        assert (found.header(b"link") or b"").startswith(f"<{path}?{query}&cursor=".encode())


async def test_a_cursor_is_of_its_list(story: Story) -> None:
    app = create_app(story.container)
    page = await ask(app, "GET", f"{POSTS}?limit=1", (HOST, *story.author))
    cursor = json.loads(page.body)["next_cursor"]
    assert (await ask(app, "GET", f"{POSTS}?limit=1&cursor={cursor}", (HOST, *story.author))).status == 200
    assert (await ask(app, "GET", f"{MINE}?limit=1&cursor={cursor}", (HOST, *story.author))).status == 400


@pytest.mark.parametrize(
    ("setting", "method", "signed_in"),
    [
        ("RATE_LIMIT_ADDRESS", "GET", False),
        ("RATE_LIMIT_USER", "GET", True),
        ("RATE_LIMIT_USER", "PUT", True),
        ("RATE_LIMIT_WRITES", "PUT", True),
    ],
)
async def test_a_limit_counts_every_spelling_of_a_path(
    clock: SettableClock, setting: str, method: str, signed_in: bool
) -> None:
    story = await a_story(a_container(clock))
    limited = a_container(clock, RATE_LIMIT_ENABLED="true", **{setting: "4/minute"})
    limited.storage.override(story.container.storage())  # the same accounts, and counters of their own
    app = create_app(limited)
    headers: tuple[Field, ...] = (HOST, JSON, *(story.author if signed_in else ()))
    path = f"{POSTS}/{story.post_id}" + ("/vote" if method == "PUT" else "")
    nowhere = f"{path}/nowhere"
    statuses = [
        (await ask(app, method, target, headers, (b'{"dir": 1}',))).status
        for target in (path, f"{path}/", path.replace("/posts/", "//posts//"), nowhere, path, f"{path}/", nowhere)
    ]
    assert statuses == [200, 200, 200, 404, 429, 429, 429]
