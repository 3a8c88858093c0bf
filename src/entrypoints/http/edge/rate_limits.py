"""Rate limits of requests: which of them a route counts against, before anything is done for it, and how that is told.

A caller whose token holds is limited by account, wherever they are; every other one by address. Only paths of the API
are limited, and the pages that mails lead to: health, metrics, documents and their assets are constant bytes, and an
orchestrator must never be told to come back later.

What a use case counts (logging in, asking for a new password) is known once the body is read, and is counted there, by
`application.identity.rate_limited`. So that such a request asks Redis once and not twice, its other limits are counted
in this process alone.

`RateLimit-Policy` and `RateLimit` are lists of structured fields (draft-ietf-httpapi-ratelimit-headers-10, RFC 9651):
`"user";q=1200;w=60` says that there are 1200 requests in a window of 60 seconds; `"user";r=1187;t=42`, that 1187 are
left and that all of them are there again in 42 seconds.
"""

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from application.shared.pending import Pending
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimited, RateLimiter, client_network
from entrypoints.http.edge.exchange import Headers
from entrypoints.settings.rate_limits import RATE_LIMITS, Key

Count: TypeAlias = Callable[[str, str], Pending[Headers]]
"""Counts a request of an address and a user id (empty without a valid token), and returns the fields that tell of it.

Raises `RateLimited` when it is one too many.
"""

_LIMITED: Final = re.compile("/+(?:api/+[^/]|verify-email|reset-password|forgot-password)")
"""How the paths begin that are limited, with as many slashes as the router takes."""


class RequestLimits:
    """The limits of each route. `shared` keeps count for all processes, if that can be; `local` for this one."""

    def __init__(self, limits: Mapping[str, Limit], *, shared: RateLimiter, local: RateLimiter) -> None:
        self._limits = limits
        self._shared = shared
        self._local = local

    def of(self, method: str, path: str) -> Count | None:
        """Return what counts the requests of a route, or of a path without one; None where they are not limited."""
        if not _LIMITED.match(path):
            return None
        rows = [row for row in RATE_LIMITS.values() if row.counts(method, path)]

        def by(key: Key) -> tuple[Limit, ...]:
            return tuple(self._limits[row.name] for row in rows if row.key is key)

        accounts, addresses = by(Key.ACCOUNT), by(Key.ADDRESS)
        anonymous = (*by(Key.ANONYMOUS), *addresses)
        if by(Key.USE_CASE):
            return _several(self._local, accounts, addresses, anonymous)
        if len(accounts) == len(anonymous) == 1 and not addresses:
            return _single(self._shared, *accounts, *anonymous)
        return _several(self._shared, accounts, addresses, anonymous)


def _single(limiter: RateLimiter, by_account: Limit, by_address: Limit) -> Count:
    """Count against one limit: what most requests do, and without a coroutine where the count is at hand."""
    account_fields, address_fields = LimitFields(by_account), LimitFields(by_address)

    def count(address: str, user_id: str) -> Pending[Headers]:
        if user_id:
            fields, taken = account_fields, limiter.take_one(by_account, user_id)
        else:
            fields, taken = address_fields, limiter.take_one(by_address, client_network(address))
        return fields.of(*taken) if isinstance(taken, tuple) else _of_later(fields, taken)

    return count


def _several(
    limiter: RateLimiter, accounts: Sequence[Limit], addresses: Sequence[Limit], anonymous: Sequence[Limit]
) -> Count:
    """Count a user's request against `accounts` and `addresses`, and one without a user against `anonymous`."""

    async def count(address: str, user_id: str) -> Headers:
        charges = [Charge(limit, user_id) for limit in accounts] if user_id else []
        by_address = addresses if user_id else anonymous
        if by_address:
            place = client_network(address)
            charges += [Charge(limit, place) for limit in by_address]
        states = await limiter.take(charges)
        if any(state.is_exceeded for state in states):
            raise RateLimited(states)
        return ratelimit_fields(states)

    return count


async def _of_later(fields: "LimitFields", taken: Awaitable[tuple[int, float]]) -> Headers:
    return fields.of(*await taken)


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
            raise RateLimited((LimitState(self._limit, remaining, resets_in),))
        return self._policy, (b"ratelimit", self._template % (remaining, math.ceil(resets_in)))


def ratelimit_fields(states: Sequence[LimitState]) -> Headers:
    """Return both fields for `standings`; none without any."""
    if not states:
        return ()
    policies = b", ".join([_texts(limit)[1] for limit, _, _ in states])
    left = b", ".join([_standing(_texts(limit)[0], remaining, resets_in) for limit, remaining, resets_in in states])
    return (b"ratelimit-policy", policies), (b"ratelimit", left)


@lru_cache(maxsize=100)
def _texts(limit: Limit) -> tuple[bytes, bytes]:
    """Return the name and the policy of a limit, which stay the same."""
    return limit.name.encode(), f'"{limit.name}";q={limit.amount};w={limit.seconds}'.encode()


def _standing(name: bytes, remaining: int, resets_in: float) -> bytes:
    return b'"%b";r=%d;t=%d' % (name, max(0, remaining), math.ceil(resets_in))
