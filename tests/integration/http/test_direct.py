"""Direct routes answer byte by byte what the router's way answers, whatever is asked and by whom."""

import itertools
import json

import pytest

from entrypoints.container import Container
from entrypoints.http.app import create_app
from tests.fakes import SettableClock
from tests.integration.http.asgi import Field, ask
from tests.integration.http.conftest import a_container
from tests.integration.http.two_ways import ABSENT, API, HOST, ID, Both, Story, a_story, both_of
from tests.integration.http.two_ways import POSTS as FEED

MINE = f"{API}/users/me/posts"


@pytest.fixture
async def story(container: Container) -> Story:
    return await a_story(container, posts=3)


@pytest.fixture
def both(story: Story) -> Both:
    return both_of(story.container, story.container)


async def a_cursor(both: Both, story: Story, path: str) -> str:
    told = await both.agree("GET", f"{path}?limit=1", HOST, *story.author)
    return str(json.loads(told.body)["next_cursor"])


async def test_for_every_caller_and_query(both: Both, story: Story) -> None:
    pages = ["", "?limit=2", "?limit=100", "?limit=0", "?limit=101", "?limit=x", "?limit=1&limit=2", "?page=2"]
    pages += ["?cursor=x", "?limit=%31", "?limit=%ff", "?cursor="]
    feeds = ["?sort=top", "?sort=hot&limit=1", "?sort=worst", "?q=harbour", "?q=harbour&sort=new", "?q=%20"]
    feeds += [f"?author={story.author_id}", "?author=me", "?since=2020-01-01T00:00:00Z", "?until=yesterday"]
    cursors = {path: await a_cursor(both, story, path) for path in (MINE, FEED)}
    targets = [
        *(f"{path}{page}" for path in (MINE, FEED) for page in pages),
        *(f"{path}?limit=1&cursor={cursors[path]}" for path in (MINE, FEED)),
        f"{MINE}?cursor={cursors[FEED]}",
        *(f"{FEED}{query}" for query in feeds),
        *(f"{FEED}/{id}" for id in (story.post_id, story.post_id.upper(), ABSENT, "1", "%", f"{story.post_id}?x=1")),
    ]
    for method, target, who in itertools.product(("GET", "HEAD"), targets, story.credentials.values()):
        found = await both.agree(method, target, HOST, *who)
        assert method == "GET" or found.body == b""
    assert both.seen >= {200, 400, 401, 403, 404}


async def test_for_every_condition_origin_host_and_type(both: Both, story: Story) -> None:
    alice = story.author
    for target in (MINE, FEED, f"{FEED}?sort=top", f"{FEED}/{story.post_id}"):
        tag = dict((await both.agree("GET", target, HOST, *alice)).headers)[b"etag"]
        variations: list[tuple[Field, ...]] = [
            *(
                (HOST, (b"if-none-match", value))
                for value in (tag, b"W/" + tag, b"*", b'"x", ' + tag, b'"x"', b"x", b"")
            ),
            (HOST, (b"if-match", b'"x"')),
            *((HOST, (b"accept-encoding", value)) for value in (b"gzip", b"identity", b"br, *;q=0.1")),
            (HOST, (b"accept-encoding", b"gzip"), (b"if-none-match", tag[:-1] + b'-gzip"')),
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


async def test_a_cached_page_links_as_each_query_is_spelt(both: Both, story: Story) -> None:
    alice = story.credentials["the author"]
    for path, query, answers in itertools.product((MINE, FEED), ("limit=1", "limit=01", "limit=1"), (200, 304)):
        condition = ((b"if-none-match", b"*"),) if answers == 304 else ()
        found = await both.agree("GET", f"{path}?{query}", HOST, *alice, *condition)
        assert found.status == answers
        assert dict(found.headers)[b"link"].startswith(f"<{path}?{query}&cursor=".encode())


async def test_other_methods_and_spellings_are_the_routers(story: Story) -> None:
    whole = create_app(story.container)
    headers = (HOST, ID, *story.author)
    for target in (f"{MINE}/", f"{FEED}/", f"{FEED}/{story.post_id}/", f"{FEED}//{story.post_id}"):
        plain = target.rstrip("/").replace("//", "/")
        spelt, direct = await ask(whole, "GET", target, headers), await ask(whole, "GET", plain, headers)
        assert (spelt.status, spelt.body) == (direct.status, direct.body), target
    assert (await ask(whole, "DELETE", MINE, headers)).status == 405
    preflight = (HOST, (b"origin", b"https://app.example.com"), (b"access-control-request-method", b"GET"))
    assert (await ask(whole, "OPTIONS", FEED, preflight)).status == 204


@pytest.mark.parametrize(("setting", "signed_in"), [("RATE_LIMIT_ADDRESS", False), ("RATE_LIMIT_USER", True)])
async def test_limits_count_direct_answers_as_all_others(clock: SettableClock, setting: str, signed_in: bool) -> None:
    story = await a_story(a_container(clock))
    limited = [a_container(clock, RATE_LIMIT_ENABLED="true", **{setting: "3/minute"}) for _ in range(2)]
    for container in limited:
        container.storage.override(story.container.storage())  # the same accounts, and counters of their own
    both = both_of(*limited)
    headers: tuple[Field, ...] = (HOST, *(story.author if signed_in else ()))
    statuses = [(await both.agree("GET", FEED, *headers)).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
