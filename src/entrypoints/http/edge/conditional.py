"""Conditional requests (RFC 9110, section 13): validators, 304 and 412.

The tag of a single resource is `"<version>-<digest of the bytes>"`. `If-None-Match` compares whole tags, since it asks
whether these bytes changed. `If-Match` compares the version part, since it asks whether the resource changed that the
caller decided on: somebody else's vote changes the bytes, and must not make the author's edit stale.

Compressed bytes have a tag of their own, with `-gzip` at its end (see `compression`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import ClassVar, Final
from weakref import ref

from application.shared.pending import Pending, settled
from application.shared.views import EncodedPage
from entrypoints.http.edge.compression import (
    AT_ONCE_MAX_BYTES,
    BEST_LEVEL,
    COMPRESSED_MIN_BYTES,
    compress,
    compressed_headers,
    compressed_response,
    compressed_tag,
)
from entrypoints.http.edge.exchange import JSON_TYPE, Exchange, Headers, Response
from entrypoints.http.edge.paging import NextPage
from entrypoints.http.problems.errors import HeadersTooLarge, WeakTag

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST = re.compile(r'[ \t,]*(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*(?:,[ \t,]*|$))+')
_VERSIONED = re.compile(r"([1-9][0-9]{0,17})-[0-9a-f]{24}(?:-[a-z]{2,8})?")
"""A tag of a single resource, with the content coding behind it that the answer was sent in, if any: `-gzip`."""

TAGS_MAX_LENGTH: Final = 4_096
"""Characters of `If-Match` and `If-None-Match`: a hundred tags."""
TAGS_SCHEMA: Final[dict[str, object]] = {"type": "string", "maxLength": TAGS_MAX_LENGTH}

NEVER: Final = 0
"""A version that nothing has (they begin at 1): a precondition that no state satisfies."""

PRIVATE: Final = ((b"cache-control", b"private, no-cache"), (b"vary", b"Authorization, Accept-Encoding"))
"""For what is one caller's own: no shared cache keeps it, and a private one asks each time."""
PER_VIEWER: Final = ((b"cache-control", b"no-cache"), (b"vary", b"Authorization, Accept-Encoding"))
"""For what everybody may read but looks different for a signed-in caller (`my_vote`)."""
PUBLIC: Final = ((b"cache-control", b"no-cache"), (b"vary", b"Accept-Encoding"))
"""For what looks the same to everybody: may be kept, and is asked about each time."""


def digest(body: bytes) -> str:
    return blake2b(body, digest_size=12).hexdigest()


def resource_tag(version: int, body: bytes) -> str:
    """Return the strong validator of a single resource."""
    return f'"{version}-{digest(body)}"'


def bytes_tag(body: bytes) -> str:
    """Return the strong validator of a list, or of anything else that has no version."""
    return f'"{digest(body)}"'


def _tags(value: str) -> list[tuple[bool, str]]:
    """Return the entity tags of a header field as (is weak, opaque tag); none when it is malformed.

    Raises `HeadersTooLarge` for a field that is longer than `TAGS_MAX_LENGTH`.
    """
    if len(value) > TAGS_MAX_LENGTH:
        raise HeadersTooLarge
    if not _LIST.fullmatch(value):
        return []
    return [(weak == "W/", opaque) for weak, opaque in _TAG.findall(value)]


def not_modified(exchange: Exchange, tag: str) -> bool:
    """Tell whether the caller holds `tag` already: `*`, or a tag that is equal by weak comparison (section 8.8.3.2)."""
    value = exchange.field(b"if-none-match")
    if value is None:
        return False
    if value == tag or value.strip() == "*":
        return True
    return any(f'"{opaque}"' == tag for _, opaque in _tags(value))


def representation(exchange: Exchange, body: bytes, tag: str, headers: Headers) -> Response:
    """Answer a read with `body`, or with 304 and no body when the caller has it already.

    The tag is that of the compressed bytes where the answer will be compressed, which is done once it is complete.
    """
    if len(body) >= COMPRESSED_MIN_BYTES and exchange.compress:
        tag = compressed_tag(tag)
    validated = (*headers, (b"etag", tag.encode()))
    if not_modified(exchange, tag):
        return Response(304, b"", validated)
    return Response(200, body, (JSON_TYPE, *validated))


class Representation:
    """Does what `representation` does, for bytes that are sent many times: all answers are made once.

    The compressed bytes are made when they are first asked for. It does not refer to a page that it was made of: pages
    that a cache drops must not wait for the garbage collector.
    """

    __slots__ = ("_coded", "_field", "_tag", "_unchanged", "_whole")

    level: ClassVar[int | None] = None
    """How hard to compress; None goes by the length."""

    def __init__(self, body: bytes, tag: str, headers: Headers, content_type: tuple[bytes, bytes] = JSON_TYPE) -> None:
        self._tag, self._field = tag, tag.encode()
        validated = (*headers, (b"etag", self._field))
        self._whole = Response(200, body, (content_type, *validated))
        self._unchanged = Response(304, b"", validated)
        self._coded: Response | asyncio.Task[bytes] | None = None

    def under(self, headers: Headers) -> "Representation":
        """Return the same under other headers, with the compressed bytes if they are made or being made."""
        other, coded = Representation(self._whole.body, self._tag, headers), self._coded
        other._coded = compressed_response(other._whole, coded.body) if isinstance(coded, Response) else coded
        return other

    def response(self, exchange: Exchange) -> Pending[Response]:
        """Return the answer; one that has to be compressed for the first time, and is long, is to be awaited."""
        fields = exchange.fields
        if b"accept-encoding" in fields and exchange.compress:
            coded = self._compressed_response(exchange)
            if coded is not None:
                return coded
        held = fields.get(b"if-none-match")
        if held is None:
            return self._whole
        return self._unchanged if held == self._field or not_modified(exchange, self._tag) else self._whole

    def _compressed_response(self, exchange: Exchange) -> Pending[Response] | None:
        """Return the compressed answer, or None for a short one, and for one that compressing makes no shorter."""
        body = self._whole.body
        if len(body) < COMPRESSED_MIN_BYTES:
            return None
        if b"if-none-match" in exchange.fields and not_modified(exchange, compressed_tag(self._tag)):
            return Response(304, b"", compressed_headers(self._unchanged.headers, coding=()))
        if isinstance(self._coded, Response):
            return self._coded
        if len(body) > AT_ONCE_MAX_BYTES:
            return self._compress_aside()
        return self._keep(compress(body, self.level))

    async def _compress_aside(self) -> Response:
        """Compress in a thread, once for all who wait; whoever gives up takes nothing from the others."""
        coding = self._coded
        if not isinstance(coding, asyncio.Task) or coding.done():  # one that failed is tried anew
            coding = asyncio.create_task(asyncio.to_thread(compress, self._whole.body, self.level))
            self._coded = coding
        ready = await asyncio.shield(coding)
        return self._coded if isinstance(self._coded, Response) else self._keep(ready)

    def _keep(self, ready: bytes) -> Response:
        self._coded = coded = compressed_response(self._whole, ready)
        return coded


class SentPages:
    """What was made of pages to send them, for as long as there is the page: as long as its cache keeps it."""

    def __init__(self) -> None:
        # A `WeakKeyDictionary` takes a call in Python for each look.
        self._of: dict[ref[EncodedPage], tuple[NextPage, Representation]] = {}

    def response(
        self, exchange: Exchange, page: Pending[EncodedPage], headers: Headers, next_page: NextPage
    ) -> Pending[Response]:
        if not isinstance(page, EncodedPage):
            return self._response_later(exchange, page, headers, next_page)
        # The route and its query decide over the headers, and `next_page` is of both. Nearly always it is the same one
        # as the last time: what a query string says is remembered.
        found = self._of.get(ref(page))
        if found is None or found[0] is not next_page:
            former, headers = found and found[1], headers + next_page.link(page.next_cursor)
            made = former.under(headers) if former else Representation(page.body, f'"{page.etag}"', headers)
            found = self._of[ref(page, self._of.pop)] = next_page, made
        return found[1].response(exchange)

    async def _response_later(
        self, exchange: Exchange, page: Awaitable[EncodedPage], headers: Headers, next_page: NextPage
    ) -> Response:
        return await settled(self.response(exchange, await page, headers, next_page))


class FixedRepresentation(Representation):
    """Of what is the same for as long as the process lives, so that it is worth compressing well."""

    __slots__ = ()

    level = BEST_LEVEL


async def expected_version(exchange: Exchange, current: Callable[[], Awaitable[int]]) -> int | None:
    """Return the version that a write may change: None for any, `NEVER` for none.

    Whether it is still the current one is decided by the use case, inside its transaction. `current` reads the version
    as of now; it is only asked when the caller names several, or a weak one. Raises `WeakTag` when what would match is
    weak, so that nobody looks for a change that was never made.
    """
    value = exchange.field(b"if-match")
    if value is None or value.strip() == "*":
        return None
    named = [(weak, _VERSIONED.fullmatch(opaque)) for weak, opaque in _tags(value)]
    strong = {int(match[1]) for weak, match in named if match is not None and not weak}
    weakened = {int(match[1]) for weak, match in named if match is not None and weak}
    if not weakened and len(strong) <= 1:
        return strong.pop() if strong else NEVER
    now = await current()
    if now in strong:
        return now
    if now in weakened:  # Strong comparison: a weak tag matches nothing (section 13.1.1).
        raise WeakTag
    return NEVER
