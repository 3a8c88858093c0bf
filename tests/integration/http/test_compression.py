"""Content codings: who asks for gzip gets it, with a tag of its own, and nothing with a secret in it is compressed."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.metadata import version
from typing import Any, get_args

import httpx
import msgspec
import pytest
import pytest_asyncio

from adapters.mail.mailbox import StoredMail
from entrypoints.http.app import create_app, create_litestar
from entrypoints.http.edge import compression, conditional
from entrypoints.http.edge.compression import NEVER, accepts_gzip
from entrypoints.http.edge.exchange import Application
from entrypoints.http.edge.operation import Operation
from entrypoints.http.openapi import operations
from entrypoints.http.system.assets import asset_names, assets_version
from tests.fakes import SettableClock
from tests.integration.http.asgi_client import Field, Response, ask
from tests.integration.http.conftest import Account, a_container, publish
from tests.integration.http.permissions import ROWS
from tests.integration.http.test_permissions import World, a_world

POSTS, MINE = "/api/v1/posts", "/api/v1/users/me/posts"
HOST, GZIP, TYPE = (b"host", b"testserver"), (b"accept-encoding", b"gzip"), (b"content-type", b"application/json")
LONG = "A long text, as people write them when they have much to say. " * 40
ROUTES = list(operations(create_litestar(a_container(SettableClock()))))


def of(account: Account) -> Field:
    return b"authorization", account.auth["authorization"].encode()


def plain(response: Response) -> bytes:
    """Return the content as it is behind its coding, which the header fields tell the truth about."""
    assert response.header(b"content-length") == b"%d" % len(response.body)
    if response.header(b"content-encoding") is None:
        return response.body
    assert response.header(b"content-encoding") == b"gzip"
    return gzip.decompress(response.body)


def coded(tag: bytes | None) -> bytes:
    assert tag is not None
    return tag[:-1] + b'-gzip"'


@pytest.fixture
def compressions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Collect the length of whatever is compressed, and whether the event loop does it."""
    seen: list[tuple[int, bool]] = []
    loops = threading.get_ident()
    compress = compression.compress

    def counting(body: bytes, level: int | None = None) -> bytes:
        seen.append((len(body), threading.get_ident() == loops))
        return compress(body, level)

    for module in (compression, conditional):
        monkeypatch.setattr(module, "compress", counting)
    return seen


@pytest.mark.parametrize("path", [MINE, POSTS, f"{POSTS}?sort=top", f"{POSTS}?q=people", f"{POSTS}/%"])
async def test_a_read_has_another_tag_for_each_coding(
    app: Application, client: httpx.AsyncClient, alice: Account, path: str
) -> None:
    post = (await publish(client, alice, LONG)).json()["id"]
    path = path.replace("%", post)

    whole = await ask(app, "GET", path, [HOST, of(alice)])
    small = await ask(app, "GET", path, [HOST, of(alice), GZIP])
    tag = whole.header(b"etag")

    assert (whole.header(b"content-encoding"), small.header(b"content-encoding")) == (None, b"gzip")
    assert len(small.body) < len(whole.body) / 3
    assert plain(small) == whole.body
    assert small.header(b"etag") == coded(tag) != tag
    for response in (whole, small):
        assert any(b"Accept-Encoding" in value for name, value in response.headers if name == b"vary")
    head = await ask(app, "HEAD", path, [HOST, of(alice), GZIP])
    unlike = {b"x-request-id"}
    assert [field for field in head.headers if field[0] not in unlike] == [
        field for field in small.headers if field[0] not in unlike
    ]
    assert head.body == b""
    for held, asked, status in (
        (tag or b"", (), 304),
        (coded(tag), (GZIP,), 304),
        (b"W/" + coded(tag), (GZIP,), 304),
        (tag or b"", (GZIP,), 200),
        (coded(tag), (), 200),
    ):
        again = await ask(app, "GET", path, [HOST, of(alice), (b"if-none-match", held), *asked])
        assert again.status == status, (held, asked)
    # A cache between names all that it holds; the answer says which of them it is.
    both = (b"if-none-match", (tag or b"") + b", " + coded(tag))
    for asked, selected in (((), tag), ((GZIP,), coded(tag))):
        unchanged = await ask(app, "GET", path, [HOST, of(alice), both, *asked])
        assert (unchanged.status, unchanged.body, unchanged.header(b"etag")) == (304, b"", selected)
        assert unchanged.header(b"content-encoding") is None


async def test_a_short_answer_stays_as_it_is(app: Application, client: httpx.AsyncClient, alice: Account) -> None:
    await publish(client, alice, "Hello.")
    whole = await ask(app, "GET", MINE, [HOST, of(alice)])
    asked = await ask(app, "GET", MINE, [HOST, of(alice), GZIP])
    assert asked.header(b"content-encoding") is None
    assert (asked.body, asked.header(b"etag")) == (whole.body, whole.header(b"etag"))


async def test_a_write_heeds_the_tag_of_either_coding(
    app: Application, client: httpx.AsyncClient, alice: Account
) -> None:
    body = msgspec.json.encode({"text": LONG})
    created = await ask(app, "POST", POSTS, [HOST, of(alice), TYPE, GZIP, (b"idempotency-key", b"k")], (body,))
    path = (created.header(b"location") or b"").decode()
    tag = created.header(b"etag") or b""
    assert (created.status, created.header(b"content-encoding")) == (201, b"gzip")
    assert tag.endswith(b'-gzip"')
    # What is replayed is what was said, in the coding of who asks now.
    replayed = await ask(app, "POST", POSTS, [HOST, of(alice), TYPE, (b"idempotency-key", b"k")], (body,))
    assert (replayed.header(b"content-encoding"), replayed.body) == (None, plain(created))

    changed = msgspec.json.encode({"text": LONG + LONG})
    edited = await ask(app, "PATCH", path, [HOST, of(alice), TYPE, GZIP, (b"if-match", tag)], (changed,))
    stale = await ask(app, "PATCH", path, [HOST, of(alice), TYPE, GZIP, (b"if-match", tag)], (changed,))
    assert (edited.status, stale.status) == (200, 412)


async def test_a_cached_page_is_compressed_once_and_only_when_asked_for(
    app: Application, client: httpx.AsyncClient, alice: Account, compressions: list[tuple[int, bool]]
) -> None:
    await publish(client, alice, LONG)
    compressions.clear()
    whole = await ask(app, "GET", MINE, [HOST, of(alice)])
    assert compressions == []
    answers = [await ask(app, "GET", MINE, [HOST, of(alice), GZIP]) for _ in range(5)]
    other = await ask(app, "GET", f"{MINE}?limit=20", [HOST, of(alice), GZIP])

    assert compressions == [(len(whole.body), True)]
    assert {answer.body for answer in [*answers, other]} == {answers[0].body}


async def test_what_takes_long_is_compressed_aside_once_for_all_who_wait(
    app: Application, client: httpx.AsyncClient, alice: Account, compressions: list[tuple[int, bool]]
) -> None:
    await publish(client, alice, LONG * 40)
    await ask(app, "GET", MINE, [HOST, of(alice)])  # the page is cached from here on
    compressions.clear()

    answers = await asyncio.gather(*(ask(app, "GET", MINE, [HOST, of(alice), GZIP]) for _ in range(5)))

    assert len({plain(answer) for answer in answers}) == 1
    assert [aside for _, aside in compressions] == [False]
    post = (await client.get(MINE, headers=alice.auth)).json()["items"][0]["id"]
    assert len(plain(await ask(app, "GET", f"{POSTS}/{post}", [HOST, of(alice), GZIP]))) > len(LONG) * 40
    assert [aside for _, aside in compressions] == [False, False]


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"gzip", True),
        (b"GZIP", True),
        (b"x-gzip", True),
        (b"gzip, deflate, br, zstd", True),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        (b"*", True),
        (b"gzip ; q=0.001", True),
        (b"identity;q=0.5, gzip;q=1", True),
        (b"identity;q=0, gzip;q=0.1", True),
        (b"", False),
        (b"identity", False),
        (b"br", False),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000, *", False),
        (b"*;q=0", False),
        (b"identity, gzip;q=0.5", False),
        (b"gzip;q=2", False),
        (b"gzip;q=-1", False),
        (b"gzip;q=nan", False),
        (b"gzip;q=x", False),
        (b"gzip;level=9", False),
        (b"gzipped", False),
        (b"br," * 5_000 + b"gzip", True),
    ],
)
def test_who_accepts_gzip(value: bytes, accepted: bool) -> None:
    assert accepts_gzip(value) is accepted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def untouched() -> AsyncIterator[World]:
    world = await a_world(a_container(SettableClock()))
    async with aclosing(world.client):
        yield world


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "operation"), ROUTES, ids=[operation.id for _, _, operation in ROUTES])
async def test_every_operation_compresses_or_stands_in_the_table(
    untouched: World, method: str, path: str, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compression, conditional):
        monkeypatch.setattr(module, "COMPRESSED_MIN_BYTES", 1)
    row = ROWS[operation.id]
    caller = next((name for name in ("owner", "admin") if getattr(row, name) < 300), None)
    if caller is None or operation.media_type == "text/event-stream":
        assert operation.id in NEVER or row.owner >= 300
        return
    world = untouched if method == "GET" else await a_world(a_container(SettableClock()))
    body = world.body(caller, operation) if operation.body is not None else None
    headers = {**world.headers(caller), "accept-encoding": "gzip"}
    response = await world.client.request(method, path.format(**world.owned), json=body, headers=headers)
    if method != "GET":
        await world.client.aclose()

    assert response.status_code < 300, response.text
    if response.content:
        is_coded = response.headers.get("content-encoding") == "gzip"
        assert is_coded is (operation.id not in NEVER), operation.id
        assert not is_coded or "etag" not in response.headers or "Accept-Encoding" in response.headers["vary"]


def test_whatever_shows_a_secret_stands_in_the_table() -> None:
    secrets = {"access_token", "refresh_token", "secret", "key", "recovery_codes", "uri", "token"}
    showing = {operation.id for _, _, operation in ROUTES if secrets & _members(operation.answer)}
    assert showing
    assert showing <= set(NEVER)
    assert set(NEVER) <= {operation.id for _, _, operation in ROUTES}


def _members(type_: Any) -> set[str]:
    """Return the names of all members of an answer, and of what it holds."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        fields = msgspec.structs.fields(type_)
        return {found for f in fields for found in {f.encode_name} | _members(f.type)}
    return {found for part in get_args(type_) for found in _members(part)}


async def test_the_mailbox_is_never_compressed(clock: SettableClock) -> None:
    container = a_container(clock)
    container.mailbox.override(_FullMailbox())
    response = await ask(create_app(container), "GET", "/dev/mailbox", [HOST, GZIP])
    assert (response.status, response.header(b"content-encoding")) == (200, None)
    assert len(response.body) > compression.COMPRESSED_MIN_BYTES


class _FullMailbox:
    async def read(self) -> list[Any]:
        return [StoredMail(id="1", sent_at="now", to="alice@example.com", subject="Hello", text=LONG, html="")]


async def test_assets_and_the_document_are_compressed_once_a_process(
    app: Application, compressions: list[tuple[int, bool]]
) -> None:
    folder = f"/docs/assets/{assets_version(version('postern'))}"
    for path in ("/openapi.json", *(f"{folder}/{name}" for name in sorted(asset_names())), "/favicon.ico"):
        whole = await ask(app, "GET", path, [HOST])
        first = await ask(app, "GET", path, [HOST, GZIP])
        made = len(compressions)
        again = await ask(app, "GET", path, [HOST, GZIP])
        assert whole.status == first.status == 200, path
        assert plain(first) == plain(again) == whole.body
        assert len(compressions) == made
        assert (first.header(b"content-encoding") is not None) is (len(whole.body) >= compression.COMPRESSED_MIN_BYTES)
        assert first.header(b"cache-control") == whole.header(b"cache-control")
        unchanged = await ask(app, "GET", path, [HOST, GZIP, (b"if-none-match", first.header(b"etag") or b"")])
        assert unchanged.status == 304
    assert all(not on_loop for length, on_loop in compressions if length > compression.AT_ONCE_MAX_BYTES)


async def test_pages_for_people_have_tags_of_their_own(app: Application) -> None:
    browser = (b"accept", b"text/html")
    whole = await ask(app, "GET", "/problems", [HOST, browser])
    small = await ask(app, "GET", "/problems", [HOST, browser, GZIP])
    assert plain(small) == whole.body != small.body
    assert small.header(b"etag") == coded(whole.header(b"etag"))
    held = (b"if-none-match", small.header(b"etag") or b"")
    assert (await ask(app, "GET", "/problems", [HOST, browser, GZIP, held])).status == 304
    assert (await ask(app, "GET", "/problems", [HOST, browser, held])).status == 200
