"""`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists of structured fields (RFC 9651).

`"user";q=1200;w=60` says that there are 1200 requests in a window of 60 seconds; `"user";r=1187;t=42`, that 1187 are
left and that all of them are there again in 42 seconds.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from application.shared.rate_limit import Limit, RateLimited, Standing
from entrypoints.http.edge.exchange import Headers


class LimitFields:
    """Writes both fields for one limit, of which nothing but two numbers ever changes."""

    __slots__ = ("_limit", "_policy", "_template")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        name, policy = _texts(limit)
        self._policy = (b"ratelimit-policy", policy)
        self._template = b'"%b";r=%%d;t=%%d' % name.replace(b"%", b"%%")

    def of(self, remaining: int, resets_in: float) -> Headers:
        """Return them for a subject that has `remaining` left for `resets_in` seconds. Raises `RateLimited`."""
        if remaining < 0:
            raise RateLimited((Standing(self._limit, remaining, resets_in),))
        return self._policy, (b"ratelimit", self._template % (remaining, math.ceil(resets_in)))


def ratelimit_fields(standings: Sequence[Standing]) -> Headers:
    """Return both fields for `standings`; none without any."""
    if not standings:
        return ()
    policies = b", ".join([_texts(limit)[1] for limit, _, _ in standings])
    left = b", ".join([_standing(_texts(limit)[0], remaining, resets_in) for limit, remaining, resets_in in standings])
    return (b"ratelimit-policy", policies), (b"ratelimit", left)


@lru_cache(maxsize=100)
def _texts(limit: Limit) -> tuple[bytes, bytes]:
    """Return the name and the policy of a limit, which stay the same."""
    return limit.name.encode(), f'"{limit.name}";q={limit.amount};w={limit.seconds}'.encode()


def _standing(name: bytes, remaining: int, resets_in: float) -> bytes:
    return b'"%b";r=%d;t=%d' % (name, max(0, remaining), math.ceil(resets_in))
