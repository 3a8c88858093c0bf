"""Content codings (RFC 9110, section 8.4): answers over 1 KB are compressed with gzip when they are asked for so.

Nothing is done for who does not ask. The tag of a compressed answer is the one of the plain bytes with `-gzip` at its
end, since a strong validator is of just those bytes; `Vary: Accept-Encoding` is on whatever could be compressed.

What must never be compressed stands in `NEVER`, by operation. The length of a compressed answer tells whether text in
it repeats; so where one answer holds a secret and text that somebody else chose, and that somebody sees lengths, the
secret can be guessed a letter at a time (BREACH).
"""

import asyncio
import zlib
from functools import lru_cache
from typing import Final

from entrypoints.http.edge.exchange import Headers, Response

COMPRESSED_MIN_BYTES: Final = 1024
"""Shorter answers fit into one packet either way."""
LEVEL: Final = 4
FAST_LEVEL: Final = 1
BEST_LEVEL: Final = 9
"""Of what is compressed once a process. For a page of 20 posts all levels take 30 to 50 µs and save three quarters; the
OpenAPI document takes 2 ms at level 4 and 5 ms at level 9, a tenth smaller. Beyond `FAST_FROM_BYTES` level 4 takes 70
ms a megabyte, level 1 a quarter of that for a fifth more bytes."""
FAST_FROM_BYTES: Final = 262_144
AT_ONCE_MAX_BYTES: Final = 32_768
"""What the event loop compresses by itself, in half a millisecond at the most; the rest is a thread's."""

VARY: Final = (b"vary", b"Accept-Encoding")
_CODED: Final = (b"content-encoding", b"gzip")
_REMEMBERED_BYTES: Final = 256

NEVER: Final[dict[str, str]] = {
    # What is shown once or opens a session, beside what the request said or what others may have written.
    "signUp": "tokens, beside the address and the name that the request chose",
    "logIn": "tokens",
    "refreshSession": "tokens; with a cookie, another page may cause it",
    "enrolTotp": "the secret of the second factor, beside the e-mail address",
    "confirmTotp": "recovery codes",
    "createApiKey": "an API key, beside the name that the request chose",
    "registerWebhook": "a webhook's secret, beside the URL and the description that the request chose",
    "rotateWebhookSecret": "a webhook's secret, beside its URL and description",
    # No secrets that are worth anything to others, but everything that is held on one person, in one answer.
    "exportMyData": "all that is held on a person, beside text that others wrote, as it is read",
    "voteOnPost": "always shorter than what is compressed",
    "listenToEvents": "it has no end, and each event is to arrive when it is sent",
}
"""Operations whose answers are never compressed, and why."""


def accepts_gzip(value: bytes) -> bool:
    """Tell whether an `Accept-Encoding` (RFC 9110, section 12.5.3) prefers gzip to plain bytes."""
    return _remembered(value) if len(value) <= _REMEMBERED_BYTES else _read(value)


def _read(value: bytes) -> bool:
    weights: dict[bytes, float] = {}
    for member in value.lower().split(b","):
        coding, _, parameters = member.partition(b";")
        weights[coding.strip()] = _weight(parameters)
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    # What does not mention plain bytes takes them, but asks for something else.
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


_remembered = lru_cache(maxsize=256)(_read)
"""Clients say the same few things, each time."""


def _weight(parameters: bytes) -> float:
    name, _, value = parameters.strip().partition(b"=")
    if not name:
        return 1.0
    try:
        weight = float(value) if name.strip() == b"q" else 0.0
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def compressed_tag(tag: str) -> str:
    """Return the validator of the compressed bytes of what has `tag`."""
    return f'{tag[:-1]}-gzip"'


def compress(body: bytes, level: int | None = None) -> bytes:
    """Return `body` in gzip (RFC 1952): the same bytes each time, without a date."""
    if level is None:
        level = LEVEL if len(body) < FAST_FROM_BYTES else FAST_LEVEL
    compressor = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def compressed_response(answer: Response, body: bytes) -> Response:
    """Return `answer` with its `body` compressed as given; its validator says so, if it has one."""
    return type(answer)(answer.status, body, compressed_headers(answer.headers))


def compressed_headers(headers: Headers, *, coding: Headers = (_CODED,)) -> Headers:
    """Return `headers` for the compressed bytes; with another `coding`, for a 304 about them."""
    return (*((name, _coded_field(value) if name == b"etag" else value) for name, value in headers), *coding)


def _coded_field(etag: bytes) -> bytes:
    return etag if etag.endswith(b'-gzip"') else compressed_tag(etag.decode("latin-1")).encode("latin-1")


async def compressed(answer: Response) -> Response:
    """Return `answer` compressed, if it is long enough and is not so already."""
    body = answer.body
    if len(body) < COMPRESSED_MIN_BYTES or _CODED in answer.headers:
        return answer
    if len(body) <= AT_ONCE_MAX_BYTES:
        return compressed_response(answer, compress(body))
    return compressed_response(answer, await asyncio.to_thread(compress, body))
