"""Direct writes answer what the router's way answers, whatever is sent and by whom, and do the same."""

import json
import re
from typing import Final

import pytest

from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.request_bodies import BODY_LIMIT
from tests.fakes import SettableClock
from tests.integration.http.asgi import GONE, Field, Pieces, Told, ask
from tests.integration.http.conftest import a_container
from tests.integration.http.two_ways import ABSENT, HOST, ID, POSTS, Both, Story, a_story, both_of

JSON: Final[Field] = (b"content-type", b"application/json")


def as_any_post(told: Told) -> Told:
    """What is told of a new post, but for what every post has of its own: its id, and the tag made from it."""
    if told.status != 201:
        return told
    id = json.loads(told.body)["id"]
    assert told.header(b"location") == f"{POSTS}/{id}".encode()
    assert re.fullmatch(rb'"1-[0-9a-f]{24}"', told.header(b"etag") or b"")
    headers = [(name, value.replace(id.encode(), b"ID")) for name, value in told.headers if name != b"etag"]
    return Told(told.status, headers, told.body.replace(id.encode(), b"ID"))


class BothWriting(Both):
    """What both ways tell of a post that each of them makes."""

    async def agree(self, method: str, target: str, *headers: Field, body: Pieces = (b"",)) -> Told:
        direct, routed = await self.ask(method, target, *headers, body=body)
        assert as_any_post(direct) == as_any_post(routed), (method, target, headers, body)
        return direct

    async def publish(self, *headers: Field, body: Pieces, query: str = "") -> Told:
        return await self.agree("POST", f"{POSTS}{query}", HOST, *headers, body=body)

    async def vote(self, id: str, *headers: Field, body: Pieces = (b'{"dir":1}',), query: str = "") -> Told:
        return await self.agree("PUT", f"{POSTS}/{id}/vote{query}", HOST, *headers, body=body)


def writing_by_both(one: Container, other: Container) -> BothWriting:
    both = both_of(one, other)
    return BothWriting(both.direct, both.routed)


@pytest.fixture
async def story(container: Container) -> Story:
    return await a_story(container)


@pytest.fixture
def both(story: Story) -> BothWriting:
    return writing_by_both(story.container, story.container)


async def test_for_every_caller(both: BothWriting, story: Story) -> None:
    for who in story.credentials.values():
        await both.publish(*who, JSON, body=(b'{"text": "Hello."}',))
        await both.vote(story.post_id, *who, JSON)
        # Who may not write is not told what else is wrong.
        await both.publish(*who, body=(b"{",), query="?x=1")
        await both.vote("1", *who, body=(b"{",))
    assert both.seen == {200, 201, 400, 401, 403}


BODIES: Final[list[Pieces]] = [
    (b"",),
    (b"{",),
    (b"{}",),
    (b"[]",),
    (b"null",),
    (b'"text"',),
    (b'{"text": "\xff", "dir": "\xff"}',),
    (b'{"text": "a", "text": "b", "dir": 1, "dir": 1}',),
    (b'{"text": "a", "te\\u0078t": "b", "dir": 1, "di\\u0072": 1}',),
    (b'{"text": "a", "dir": 1}',),
    (b'{"text": "   "}',),
    (b'{"text": "a\\u0000b"}',),
    (b'{"text": "\\ud800"}',),
    (b'{"text": 1, "x": 1}',),
    (b'{"text": "a", "reply_to": "1"}',),
    (b'{"text": "a", "reply_to": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"}',),
    (b'{"dir": "1"}',),
    (b'{"dir": 2}',),
    (b'{"dir": 1.0}',),
    (b'{"dir": NaN}',),
    (b'{"dir": true}',),
    (b'{"text": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",),
    (b'{"te', b'xt": "in two', b' pieces"}'),
    (b'{"d', b'ir": ', b"-1}"),
    (b'{"text": "' + b"a" * 100_000 + b'"}',),
    (b'{"text": "a"', GONE),
    (GONE,),
    (b'{"text": "', *((b"a" * 65_536,) * 17), b'"}'),
]


async def test_for_every_body(both: BothWriting, story: Story) -> None:
    for sent in BODIES:
        published = await both.publish(*story.author, JSON, body=sent)
        voted = await both.vote(story.post_id, *story.author, JSON, body=sent)
        too_large = sum(map(len, filter(None, sent))) > BODY_LIMIT
        assert (published.status == 413, voted.status == 413) == (too_large, too_large), sent
        both.seen |= {published.status, voted.status}
    assert both.seen == {200, 201, 400, 409, 413}


async def test_for_every_header_field(both: BothWriting, story: Story) -> None:
    tag = story.posts[0].headers["etag"].encode()
    assert (await both.vote(story.post_id, *story.author, JSON, (b"if-match", tag))).status == 200
    variations: list[tuple[Field, ...]] = [
        *(
            ((b"content-type", kind),)
            for kind in (
                b"application/json",
                b" application/json ",
                b"APPLICATION/JSON; charset=UTF-8",
                b"application/json; charset=latin-1",
                b"application/json, application/json",
                b"application/jsonx",
                b"text/plain",
                b"",
            )
        ),
        (),
        (JSON, JSON),
        *((JSON, (b"content-encoding", coding)) for coding in (b"identity", b"IDENTITY", b"gzip", b"")),
        *((JSON, (b"content-length", length)) for length in (b"18", b"1048577", b"x", b"-1")),
        (JSON, (b"content-length", b"18"), (b"transfer-encoding", b"chunked")),
        *((JSON, (b"accept", kind)) for kind in (b"application/json", b"text/html", b"*/*;q=0")),
        *((JSON, (b"origin", origin)) for origin in (b"https://app.example.com", b"https://evil.example")),
        *((JSON, (b"idempotency-key", key)) for key in (b"", b"with a blank", b"\xe9", b"k" * 256)),
        (JSON, (b"idempotency-key", b"one"), (b"idempotency-key", b"one")),
        *(
            (JSON, (b"if-match", tag))
            for tag in (tag, b"W/" + tag, b"*", b'"2-000000000000000000000000", ' + tag, b'"x"', b"")
        ),
        (JSON, HOST),
        (JSON, (b"x-long", b"x" * 16_384)),
    ]
    for headers in variations:
        await both.publish(*story.author, *headers, body=(b'{"text": "Hello."}',))
        await both.vote(story.post_id, *story.author, *headers)
    await both.agree("POST", POSTS, (b"host", b"evil.example"), *story.author, JSON, body=(b'{"text": "Hello."}',))
    assert both.seen >= {200, 201, 400, 406, 412, 413, 415, 431}


async def test_for_every_id_and_query(both: BothWriting, story: Story) -> None:
    for id in (story.post_id, story.post_id.upper(), ABSENT, "1", "%", "a b", f"{story.post_id} ", "é"):
        await both.vote(id, *story.author, JSON)
    for query in ("?x=1", "?dir=1", "?%ff", "?"):
        await both.vote(story.post_id, *story.author, JSON, query=query)
        await both.publish(*story.author, JSON, body=(b'{"text": "Hello."}',), query=query)
    assert both.seen == {200, 201, 400, 404}


async def test_votes_move_the_counters_by_either_way(both: BothWriting, story: Story) -> None:
    target, headers = f"{POSTS}/{story.post_id}/vote", (HOST, ID, *story.author, JSON)
    for direction in (1, -1, 0, 1):
        body = (f'{{"dir":{direction}}}'.encode(),)
        # The first way carries it out and the second finds it done; each comes first once.
        for ways in ((both.direct, both.routed), (both.routed, both.direct)):
            await ask(ways[0], "PUT", target, headers, (b'{"dir":0}',))
            told = [await ask(way, "PUT", target, headers, body) for way in ways]
            assert told[0] == told[1]
            assert json.loads(told[0].body)["score"] == direction + 1, "the voter's stays"


@pytest.mark.parametrize("direct_first", [True, False])
async def test_a_key_used_by_one_way_is_known_by_the_other(both: BothWriting, story: Story, direct_first: bool) -> None:
    headers = (HOST, ID, *story.author, JSON, (b"idempotency-key", b"the-same"))
    ways = (both.direct, both.routed) if direct_first else (both.routed, both.direct)
    first = await ask(ways[0], "POST", POSTS, headers, (b'{"text": "Once."}',))
    second = await ask(ways[1], "POST", POSTS, headers, (b'{"text": "Once."}',))
    assert first.status == 201
    assert second == Told(201, sorted([*first.headers, (b"idempotent-replayed", b"true")]), first.body)
    reused = [await ask(way, "POST", POSTS, headers, (b'{"text": "Twice."}',)) for way in ways]
    assert reused[0] == reused[1]
    assert reused[0].status == 422


async def test_other_methods_and_spellings_are_the_routers(story: Story) -> None:
    whole = create_app(story.container)
    headers = (HOST, ID, *story.author, JSON)
    one = f"{POSTS}/{story.post_id}"
    for method, target, status in (
        ("POST", f"{POSTS}/", 201),
        ("PUT", f"{one}/vote/", 200),
        ("PUT", f"{POSTS}//{story.post_id}/vote", 200),
        ("PUT", f"{POSTS}//vote", 405),
        ("PUT", POSTS, 405),
        ("POST", one, 405),
        ("POST", f"{one}/vote", 405),
        ("GET", f"{one}/vote", 405),
        ("PUT", f"{one}/votes", 404),
    ):
        body = b'{"text": "Hello."}' if target.startswith(f"{POSTS}/") and status == 201 else b'{"dir": 1}'
        told = await ask(whole, method, target, headers, (body,))
        assert told.status == status, (method, target)
        assert (told.header(b"allow") is not None) == (status == 405)
    options = await ask(whole, "OPTIONS", f"{one}/vote", headers)
    assert (options.status, options.header(b"allow")) == (204, b"OPTIONS, PUT")


@pytest.mark.parametrize("setting", ["RATE_LIMIT_USER", "RATE_LIMIT_WRITES"])
async def test_limits_count_direct_writes_as_all_others(clock: SettableClock, setting: str) -> None:
    story = await a_story(a_container(clock))
    limited = [a_container(clock, RATE_LIMIT_ENABLED="true", **{setting: "3/minute"}) for _ in range(2)]
    for container in limited:
        container.storage.override(story.container.storage())
    both = writing_by_both(*limited)
    statuses = [(await both.vote(story.post_id, *story.author, JSON)).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
