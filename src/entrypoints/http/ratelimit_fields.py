"""`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists of structured fields (RFC 9651).

`"user";q=1200;w=60` says that there are 1200 requests in a window of 60 seconds; `"user";r=1187;t=42`, that 1187 are
left and that all of them are there again in 42 seconds.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from application.shared.rate_limit import Limit, Standing


def ratelimit_fields(standings: Sequence[Standing]) -> tuple[tuple[bytes, bytes], ...]:
    """Return both fields for `standings`; none without any."""
    if len(standings) == 1:
        limit, remaining, resets_in = standings[0]
        return (b"ratelimit-policy", _policy(limit)), (b"ratelimit", _standing(limit.name, remaining, resets_in))
    if not standings:
        return ()
    policies = b", ".join([_policy(limit) for limit, _, _ in standings])
    left = b", ".join([_standing(limit.name, remaining, resets_in) for limit, remaining, resets_in in standings])
    return (b"ratelimit-policy", policies), (b"ratelimit", left)


@lru_cache(maxsize=100)
def _policy(limit: Limit) -> bytes:
    return f'"{limit.name}";q={limit.amount};w={limit.seconds}'.encode()


def _standing(name: str, remaining: int, resets_in: float) -> bytes:
    return f'"{name}";r={max(remaining, 0)};t={math.ceil(resets_in)}'.encode()
