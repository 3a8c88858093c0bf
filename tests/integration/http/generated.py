"""Requests made by chance from the OpenAPI document: good ones, nearly good ones, and what is sent in bad faith.

One seed makes the same requests each time. The suite asks a few thousand; `make torture-http` as many as are wanted.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

from tests.integration.http.sites import Document, Request, Site

NAUGHTY: Final = (
    "",
    " ",
    "\x00",
    "\t\n\r",
    "null",
    "undefined",
    "true",
    "NaN",
    "-0",
    "1e999",
    "9" * 400,
    "0x10",
    "1/0",
    "%",
    "%00",
    "%ff%fe",
    "%2e%2e%2f",
    "../../etc/passwd",
    "..\\..\\",
    "file:///etc/passwd",
    "' OR 1=1 --",
    '"; DROP TABLE users; --',
    "<script>alert(1)</script>",
    '<!--#exec cmd="ls"-->',
    "{{7*7}}",
    "${jndi:ldap://x}",
    "`id`",
    "$(id)",
    "|id",
    "a\r\nX-Y: z",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "\u202e",
    "\u200b",
    "\u3164",
    "\ufffe",
    "\uffff",
    "\U0010ffff",
    "e\u0301",
    "ÅΩ",
    "\ufdfa",
    "İıſK",
    "ß",
    "A\u030a",
    "\u0301" * 31,
    "a" + "\u0315\u0300" * 40,
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "한글",
    "मनीष",
    "العربية",
    "١٢٣",
    "½",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00Z",
    "00000000-0000-0000-0000-000000000000",
    "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2",
    "*",
    'W/"x"',
    '"',
    '""',
    ",",
    ";",
    "=",
    "a" * 300,
    "a" * 5_000,
    "x@y",
    "@",
    "a@b@c.de",
    "a@[127.0.0.1]",
    "http://127.0.0.1/",
    "https://user:pw@host/",
    "//",
    "#",
    "Bearer x",
    "pk_",
    "__proto__",
    "constructor",
    "toString",
    "admin",
    "CON",
    "\\u0000",
    "\\",
    "//example.com",
    "𝒜𝓁𝒾𝒸ℯ",
)
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63) - 1,
    2**70,
    0.5,
    1e308,
    "",
    "x",
    [],
    {},
    [[]],
    [None],
    ["x"] * 200,
    {"a": {"a": {"a": 1}}},
    [{}] * 30,
    "1",
    "true",
)
HEADERS: Final = (
    "accept",
    "accept-encoding",
    "authorization",
    "content-type",
    "content-encoding",
    "cookie",
    "forwarded",
    "host",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "last-event-id",
    "origin",
    "range",
    "te",
    "user-agent",
    "via",
    "x-csrf-protection",
    "x-forwarded-for",
    "x-request-id",
)
MALFORMED: Final = (
    b"",
    b" ",
    b"{",
    b"}",
    b"[",
    b"nul",
    b"tru",
    b'"',
    b'{"a"',
    b'{"a":}',
    b'{"a":1,}',
    b"{a:1}",
    b"{'a':1}",
    b"\xff\xfe",
    b"\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 3_000,
    b'{"a":' * 2_000,
    b"NaN",
    b"Infinity",
    b"1e999",
    b"01",
    b"-",
    b'{"a":1}{"a":1}',
    b"{}//x",
    b'{"a":"\\x"}',
    b'{"a":"\\ud800"}',
    b'{"a":1,"a":2}',
    b'"\xed\xa0\x80"',
    b"9" * 5_000,
    "{}".encode("utf-16"),
    b"\t\n\r",
)


class Generator:
    """Makes requests from the document."""

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self._document = Document(document)
        self._sites = list(self._document.sites())
        self._operations = list(self._document.operations())
        self._by_chance = random.Random(seed)

    def requests(self, number: int) -> Iterator[Request]:
        """Make `number` requests: every place with every naughty text as far as that goes, and the rest by chance."""
        kinds = (
            self._naughty,
            self._naughty,
            self._of_another_type,
            self._mutated,
            self._malformed,
            self._header,
            self._good,
        )
        for _ in range(number):
            yield self._by_chance.choice(kinds)()

    def _site(self) -> Site:
        return self._by_chance.choice(self._sites)

    def _naughty(self) -> Request:
        site = self._site()
        text = self._by_chance.choice(NAUGHTY)
        if self._by_chance.random() < 0.2:
            text = text + self._by_chance.choice(NAUGHTY)
        return site.put([text] if site.is_list else text)

    def _of_another_type(self) -> Request:
        site = self._site()
        return site.put(self._by_chance.choice(VALUES))

    def _good(self) -> Request:
        return self._document.request(*self._by_chance.choice(self._operations))

    def _with_body(self) -> tuple[str, str, dict[str, Any]]:
        while True:
            method, path, operation = self._by_chance.choice(self._operations)
            if self._document.body_of(operation) is not None:
                return method, path, operation

    def _mutated(self) -> Request:
        method, path, operation = self._with_body()
        body = self._document.example_of(operation)
        for _ in range(self._by_chance.randint(1, 3)):
            names = [*body, "unknown", self._by_chance.choice(NAUGHTY)]
            name = self._by_chance.choice(names)
            if name in body and self._by_chance.random() < 0.4:
                del body[name]
            else:
                body[name] = self._by_chance.choice((*VALUES, *NAUGHTY))
        return self._document.request(method, path, operation, body or {"unknown": 1})

    def _malformed(self) -> Request:
        method, path, operation = self._with_body()
        made = self._document.request(method, path, operation)
        body = self._by_chance.choice(MALFORMED)
        if self._by_chance.random() < 0.5:
            whole = made.body or b"{}"
            at = self._by_chance.randrange(len(whole))
            body = (
                whole[:at] + self._by_chance.choice((b"", b"\x00", b"\xff", b'"', b"\\", b"{", b"[")) + whole[at + 1 :]
            )
        return Request(made.method, made.path, made.query, {}, body)

    def _header(self) -> Request:
        made = self._good()
        values = (
            *NAUGHTY,
            "gzip;q=x",
            "application/json; charset=latin-1",
            "text/html",
            "*/*;q=0",
            "bytes=0-1",
            "1, 2",
        )
        names = self._by_chance.sample(HEADERS, self._by_chance.randint(1, 3))
        return Request(
            made.method, made.path, made.query, {n: self._by_chance.choice(values) for n in names}, made.body
        )


def as_text(request: Request) -> str:
    """Return a request for people."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    return f"{request.method} {target} {json.dumps(request.headers)} {(request.body or b'')[:300]!r}"
