"""No request takes work that grows faster than it: every text, list and header of the document, in adversarial shapes.

Each is asked with n and 2n of a shape, in process and in one thread. What fails is more than `RATIO_MAX` times the
instructions or the processor's time, or more of either than a request of its size is worth. What C does is in no
instruction: regular expressions, normalisation and JSON are told by time alone, so each fault that once was there is
planted here again, and has to be found.
"""

import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import application.posts.search_posts
import entrypoints.http.edge.json_body
import entrypoints.http.identity.schemas
import entrypoints.http.posts.routes
from application.shared.threads import INLINE_THREADS
from domain.identity.values import Password
from domain.posts.search import SearchableText, SearchQuery
from domain.shared.errors import FieldError, Invalid
from entrypoints.http.app import create_app
from entrypoints.http.edge.request_bodies import BODY_LIMIT
from entrypoints.http.identity.schemas import CLAIM_MAX_LENGTH
from tests.fakes import SettableClock
from tests.growth import FLOOR_INSTRUCTIONS, FLOOR_SECONDS, RATIO_MAX, awaited_instructions, awaited_seconds
from tests.integration.http.asgi_client import Response, ask
from tests.integration.http.conftest import a_container
from tests.integration.http.contract import Contract
from tests.integration.http.sites import Document, Request, Site
from tools.regexes import Use, pump, uses

pytestmark = pytest.mark.untraced

LEGAL: Final = 1_000
"""Characters of a legal text at the most, where instructions are counted; counting is slow."""
LONG: Final = 30_000
"""Characters of one that is long, where time is measured; twice as many are 60 kB to 360 kB of a body."""
INSTRUCTIONS_MAX: Final = 4_000_000
SECONDS_MAX: Final = 0.15
"""For a request of twice `LONG`, on the slowest machine that is thought of: some 20 times what it takes."""

SHAPES: Final[dict[str, str]] = {
    "letters": "a",
    "words": "word ",
    "blanks": " ",
    "tabs": "\t",
    "marks": "\u0315\u0300\u05ae\u0300",
    "letters with marks": "a" + "\u0315\u0300\u05ae\u0300" * 7,
    "ligatures": "\ufdfa",
    "words of ligatures": "\ufdfa ",
    "squared words": "\u3316",
    "Han": "東京",
    "invisible": "\u200b",
    "families": "\U0001f468\u200d\U0001f469\u200d",
    "surrogates": "\ud800",
    "separators": ",",
    "separators of tags": '"a", ',
    "parameters": ";a= ",
    "quotes": '"',
    "backslashes": "\\",
    "slashes": "/",
    "dots": ".",
    "ats": "a@",
    "labels": "a.",
    "Punycode": "xn--a-ä.",
    "zeros": "0",
    "percents": "%",
    "ampersands": "&a=b",
    "markup": "<&>",
    "NUL": "\x00",
}
STANDARD_HEADERS: Final = {
    "content-type": "application/json",
    "authorization": "Bearer ",
    "accept": "*/*, ",
    "accept-encoding": "gzip, ",
    "x-forwarded-for": "203.0.113.9, ",
    "forwarded": "for=203.0.113.9, ",
    "origin": "https://",
    "host": "",
    "user-agent": "",
    "x-request-id": "",
    "cookie": "a=b; ",
    "idempotency-key": "",
    "content-encoding": "",
    "te": "",
}
"""What the document need not name, and how it begins."""
HEADER_ROOM: Final = 8_000


def _filled(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


def _broken(unit: str, size: int) -> str:
    """Return what is nearly right all along, and wrong at its end."""
    return _filled(unit, size) + "!"


def _near(pattern: str, size: int) -> str:
    return pump(pattern, size)[: size - 1] + "!"


def _our_patterns() -> Iterator[Use]:
    root = Path(__file__).parents[3] / "src"
    for folder in ("domain", "entrypoints/http"):
        for file in sorted((root / folder).rglob("*.py")):
            if "re." in file.read_text(encoding="utf-8") or "pattern=" in file.read_text(encoding="utf-8"):
                name = ".".join(file.relative_to(root).with_suffix("").parts)
                module = __import__(name, fromlist=["x"])
                assert isinstance(module, ModuleType)
                yield from (use for use in uses(file, vars(module)) if isinstance(use, Use))


def near_matches() -> dict[str, Callable[[int], str]]:
    """Return texts that each of our patterns almost matches: as long as it may go on, and then something else."""
    found: dict[str, Callable[[int], str]] = {}
    for use in _our_patterns():
        pattern = use.pattern if isinstance(use.pattern, str) else use.pattern.decode("latin-1")
        if pump(pattern, 1) != pump(pattern, 2):  # else it has no end to draw out
            found[pattern] = partial(_near, pattern)
    return found


class World:
    """The application, somebody signed in, and how to ask it."""

    def __init__(self, app: Any, token: str) -> None:
        self.app = app
        self._token = token

    def asking(self, request: Request) -> Callable[[], Awaitable[Response]]:
        """Return what makes a request, of which all is prepared."""
        headers = [(b"host", b"testserver"), (b"authorization", b"Bearer " + self._token.encode())]
        if request.body is not None:
            headers.append((b"content-type", b"application/json"))
        given = {name.encode(): value.encode("utf-8", "surrogatepass") for name, value in request.headers.items()}
        headers = [entry for entry in headers if entry[0] not in given] + list(given.items())
        target = f"{request.path}?{request.query}" if request.query else request.path
        return lambda: ask(self.app, request.method, target, headers, (request.body or b"",))


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    async def at_once(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    # All work in this thread, where it is counted.
    monkeypatch.setattr(entrypoints.http.edge.json_body, "to_thread", at_once)
    # And the words of a post are made whatever its length, though storage in memory needs none.
    monkeypatch.setattr(entrypoints.http.posts.routes, "ON_LOOP_BYTES", 0)
    # Counting makes everything fifty times slower, which is not to be taken for waiting.
    container = a_container(SettableClock(), TRUSTED_PROXIES="127.0.0.1/32", REQUEST_DEADLINE_SECONDS="120")
    container.threads.override(INLINE_THREADS)
    app = create_app(container)
    body = {"email": "alice@example.com", "password": "a walrus in the library", "username": "alice"}
    made = World(app, "")
    response = await made.asking(Request("POST", "/api/v1/auth/signup", body=json.dumps(body).encode()))()
    assert response.status == 201
    return World(app, json.loads(response.body)["access_token"])


async def judged(world: World, make: Callable[[int], Request], size: int, *, counted: bool) -> str | None:
    """Ask with `size` and with twice as much. Return what is wrong with the growth; None for nothing."""
    once, twice = world.asking(make(size)), world.asking(make(2 * size))
    seconds = await awaited_seconds(twice)
    if counted:
        many = await awaited_instructions(twice)
        if many > INSTRUCTIONS_MAX:
            return f"{many:,} instructions"
        if many > FLOOR_INSTRUCTIONS and many > RATIO_MAX * (few := await awaited_instructions(once)):
            return f"{few:,} instructions become {many:,}"
    if seconds <= FLOOR_SECONDS:
        return None
    short = long = 0.0
    for _ in range(4):  # A busy machine takes time of its own, and each garbage collection does.
        long = min([await awaited_seconds(twice) for _ in range(3)])
        short = min([await awaited_seconds(once) for _ in range(3)])
        if long <= SECONDS_MAX and long <= max(3 * FLOOR_SECONDS, RATIO_MAX * short):
            return None
    return f"{short * 1_000:.1f} ms become {long * 1_000:.1f} ms"


def _text_at(site: Site, unit: str, size: int) -> Request:
    return site.put(_filled(unit, size))


def _list_at(site: Site, item: object, size: int) -> Request:
    return site.put([item] * size)


def _made_at(site: Site, text: Callable[[int], str], size: int) -> Request:
    return site.put(text(size))


def _sites(contract: Contract) -> list[Site]:
    """Return the places of the document, each kind once: a thousand ids are read by one function."""
    found: dict[tuple[str, str], Site] = {}
    for site in Document(contract.document).sites():
        found.setdefault((site.where.replace("new_password", "password"), json.dumps(site.schema)), site)
    return list(found.values())


def _sizes(site: Site, unit: str) -> Iterator[tuple[int, bool]]:
    """Return the sizes to ask with, and whether instructions are counted: a legal one, and a long one."""
    most = site.maximum or LONG
    if site.where.startswith("body"):
        yield max(4, min(most, LEGAL) // 2), True
        yield LONG // max(1, len(unit.encode("utf-8", "replace")) // len(unit)), False
    elif site.where.startswith("header"):
        yield HEADER_ROOM // 2, True
    else:
        yield max(4, min(most, 600) // 2), True
        yield 600, True


LISTS: Final[dict[str, Any]] = {
    "empty objects": {},
    "numbers": 1,
    "empty texts": "",
    "texts": "x",
    "nothing": None,
    "lists": [],
    "stars": "*",
}


async def test_no_text_of_a_request_takes_work_that_grows_faster_than_it(world: World, contract: Contract) -> None:
    failed = []
    for site in _sites(contract):
        if site.is_list:
            continue
        for name, unit in SHAPES.items():
            for size, counted in _sizes(site, unit):
                what = await judged(world, partial(_text_at, site, unit), size, counted=counted)
                if what is not None:
                    failed.append(f"{site}: {name} × {2 * size}: {what}")
    assert failed == []


async def test_no_list_of_a_request_takes_work_that_grows_faster_than_it(world: World, contract: Contract) -> None:
    failed = []
    for site in _sites(contract):
        if not site.is_list:
            continue
        for name, item in LISTS.items():
            for size, counted in ((10, True), (1_000, True), (40_000, True)):
                what = await judged(world, partial(_list_at, site, item), size, counted=counted)
                if what is not None:
                    failed.append(f"{site}: {name} × {2 * size}: {what}")
    assert failed == []


async def test_no_near_match_of_our_patterns_takes_work_that_grows_faster_than_it(
    world: World, contract: Contract
) -> None:
    failed = []
    matches = near_matches()
    assert len(matches) > 15
    for site in _sites(contract):
        own = site.schema.get("pattern") or not site.where.startswith("body")
        for pattern, text in matches.items() if own and not site.is_list else ():
            size = 2_000 if site.where.startswith("header") else 600
            what = await judged(world, partial(_made_at, site, text), size, counted=False)
            if what is not None:
                failed.append(f"{site}: near {pattern} × {2 * size}: {what}")
    assert failed == []


def _with_header(name: str, value: Callable[[int], str]) -> Callable[[int], Request]:
    begin = STANDARD_HEADERS[name]
    return lambda size: Request("POST", "/api/v1/auth/login", "", {name: begin + value(size)}, b"{}")


async def test_no_header_takes_work_that_grows_faster_than_it(world: World) -> None:
    failed = []
    for name in STANDARD_HEADERS:
        units = {**SHAPES, "itself": STANDARD_HEADERS[name] or "a"}
        shapes: dict[str, Callable[[int], str]] = {shape: partial(_broken, unit) for shape, unit in units.items()}
        for shape, value in {**shapes, **near_matches()}.items():
            for size in (HEADER_ROOM // 40, HEADER_ROOM // 2):
                counted = shape in SHAPES
                what = await judged(world, _with_header(name, value), size, counted=counted)
                if what is not None:
                    failed.append(f"{name}: {shape} × {2 * size}: {what}")
    assert failed == []


async def test_no_body_takes_work_that_grows_faster_than_it(world: World) -> None:
    bodies: dict[str, Callable[[int], bytes]] = {
        "members": lambda n: json.dumps(dict.fromkeys(map(str, range(n)), 1)).encode(),
        "objects in a list": lambda n: b'{"x":[' + b",".join([b"{}"] * n) + b"]}",
        "lists in a list": lambda n: b'{"text":[' + b",".join([b"[]"] * n) + b"]}",
        "nesting": lambda n: b'{"text":' + b"[" * n + b"]" * n + b"}",
        "digits": lambda n: b'{"text":' + b"9" * n + b"}",
        "fractions": lambda n: b'{"text":0.' + b"9" * n + b"}",
        "the same member": lambda n: b"{" + b",".join([b'"text":"a"'] * n) + b"}",
        "escapes": lambda n: b'{"text":"' + b"\\u00e9 " * (n // 2) + b'"}',
        "broken escapes": lambda n: b'{"text":"' + b"\\u00e9" * n + b'\\"',
        "blanks": lambda n: b" " * n + b'{"text":"a"}',
        "no JSON": lambda n: b"x" * n,
        "no UTF-8": lambda n: b'{"text":"' + b"a" * n + b'\xff"}',
    }
    failed = []
    for path in ("/api/v1/posts", "/api/v1/auth/login", "/api/v1/orders"):
        for name, body in bodies.items():
            for size in (2_000, 25_000):

                def make(n: int, path: str = path, body: Callable[[int], bytes] = body) -> Request:
                    made = body(n)
                    assert len(made) <= BODY_LIMIT
                    return Request("POST", path, body=made)

                what = await judged(world, make, size, counted=True)
                if what is not None:
                    failed.append(f"{path}: {name} × {2 * size}: {what}")
    assert failed == []


async def _instructions_of_a_search(world: World, marker: str, unit: str, size: int) -> int:
    """Publish a post, and return what a search for it takes. Then it is deleted: in memory a search reads all posts."""
    body = json.dumps({"text": f"{marker} {_filled(unit, size)} dawn"}).encode()
    response = await world.asking(Request("POST", "/api/v1/posts", body=body))()
    assert response.status == 201, response.body
    words = f"{marker}+word+dawn" if "word" in unit else f"{marker}+dawn"
    instructions = await awaited_instructions(world.asking(Request("GET", "/api/v1/posts", f"q={words}")))
    post = json.loads(response.body)["id"]
    assert (await world.asking(Request("DELETE", f"/api/v1/posts/{post}"))()).status == 204
    return instructions


async def judged_search(world: World, name: str, unit: str, size: int) -> str | None:
    once = await _instructions_of_a_search(world, f"once{name}", unit, size)
    twice = await _instructions_of_a_search(world, f"twice{name}", unit, 2 * size)
    if twice > FLOOR_INSTRUCTIONS and twice > RATIO_MAX * once:
        return f"{once:,} instructions become {twice:,}"
    return None


STORED: Final = (
    "words",
    "letters",
    "letters with marks",
    "words of ligatures",
    "Han",
    "invisible",
    "families",
    "markup",
)


@pytest.mark.parametrize("shape", STORED)
async def test_no_text_that_is_found_takes_work_that_grows_faster_than_it(world: World, shape: str) -> None:
    assert await judged_search(world, f"x{STORED.index(shape)}", SHAPES[shape], LEGAL) is None


# What once was there is planted again.


def site_of(contract: Contract, operation: str, where: str) -> Site:
    return next(s for s in Document(contract.document).sites() if (s.operation, s.where) == (operation, where))


OLD_MEDIA_TYPE = re.compile(
    r'application/json[ \t]*(?:;[ \t]*(?:charset="?utf-8"?|(?!charset)[!#$%&\'*+.^_`|~0-9a-z-]+=[^;]*)[ \t]*)*;?',
    re.IGNORECASE,
)


async def test_the_old_pattern_of_media_types_would_be_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def old(text: str) -> bool:
        return OLD_MEDIA_TYPE.fullmatch(text[:100] + ";!") is not None  # No more: it would not come back.

    monkeypatch.setattr(entrypoints.http.edge.json_body, "_is_json", old)
    assert await judged(world, _with_header("content-type", lambda n: ";a= " * n), 9, counted=False)


async def test_normalising_what_was_not_looked_at_would_be_found(
    world: World, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_of(contract, "POST /api/v1/auth/login", "body /password")

    def old(raw: str) -> Password:
        return Password(unicodedata.normalize("NFKC", raw)[:257])

    monkeypatch.setattr(Password, "attempt", old)
    shape = SHAPES["marks"]
    assert await judged(world, lambda n: site.put("a" + _filled(shape, n)), 4_000, counted=False)


async def test_an_excerpt_that_counts_each_hit_for_each_would_be_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(text: str, _: SearchQuery, *, words: int) -> str:
        del words
        marks = [found.start() for found in re.finditer("word", text)]
        best = max(marks, key=lambda mark: sum(1 for other in marks if mark <= other < mark + 160))
        return text[best : best + 200]

    monkeypatch.setattr(application.posts.search_posts, "excerpt", old)
    assert await judged_search(world, "old", "word ", LEGAL)


async def test_words_of_all_that_a_ligature_comes_to_would_be_found(
    world: World, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_of(contract, "POST /api/v1/posts", "body /text")

    def of(text: str) -> SearchableText:
        words = " ".join(character for character in unicodedata.normalize("NFKC", text))
        for character in words:  # as slow as it was
            unicodedata.category(character)
        return SearchableText("", 0)

    monkeypatch.setattr(SearchableText, "of", of)
    assert await judged(world, lambda n: site.put("\ufdfa" * n), 20_000, counted=True)


async def test_a_list_of_faults_without_an_end_would_be_found(
    world: World, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_of(contract, "POST /api/v1/orders", "body /items")

    def old(raw: bytes, schema: Any) -> Any:
        items = json.loads(raw)["items"]
        faults = [FieldError(f"items/{n}/product_id", "required", "is missing") for n in range(len(items))]
        raise Invalid(faults, "; ".join(str(fault) for fault in faults))

    monkeypatch.setattr(entrypoints.http.edge.json_body, "_decode_strictly", old)
    assert await judged(world, lambda n: site.put([{}] * n), 40_000, counted=True)


async def test_a_field_without_a_maximum_would_be_found(
    world: World, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_of(contract, "POST /api/v1/auth/login", "body /email")

    def old(raw: str) -> str:
        seen = (c for c in raw if c.isprintable() and not c.isspace() and unicodedata.category(c) not in {"Cf", "Cs"})
        return "".join(c.casefold().upper().lower() for c in seen if c.isalnum() or c in "@.")

    monkeypatch.setattr(entrypoints.http.identity.schemas, "email_key", old)
    assert await judged(world, lambda n: site.put("a" * n), CLAIM_MAX_LENGTH // 2, counted=True)
