"""Rate limits at the edge: which of them a request counts against, before anything is done for it.

A caller whose token holds is limited by account, wherever they are; everybody else by address. Only paths of the API
are limited, and the pages that mails lead to: health, metrics, documents and their assets are constant bytes, and an
orchestrator must never be told to come back later.

What counts by account name (logging in, asking for a new password) is known once the body is read, and is counted
there, by `application.identity.guards`. So that such a request asks Redis once and not twice, its general limit is
counted in this process alone.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.shared.pending import Pending
from application.shared.rate_limit import Charge, Limit, RateLimited, RateLimiter, Standing, place_of
from entrypoints.http.edge.exchange import Headers
from entrypoints.http.edge.ratelimit_fields import LimitFields

LIMITED: Final = ("/api/", "/verify-email", "/reset-password", "/forgot-password")
"""How the paths begin that are limited."""
_SLASHES: Final = re.compile("//+")
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePolicy:
    """The limits themselves."""

    address: Limit
    user: Limit
    writes: Limit
    by_path: Mapping[str, Limit]
    """Limits by address of single POSTs, besides the general ones."""
    by_path_of_user: Mapping[str, Limit]
    """The same by account, for POSTs of those who are signed in."""
    counted_inside: frozenset[str]
    """POSTs that are counted by what their body says, too."""


class EdgeLimits:
    """Counts each request. `local` keeps count in this process, `shared` for all of them, if that can be."""

    def __init__(self, policy: EdgePolicy, *, shared: RateLimiter, local: RateLimiter) -> None:
        self._address = policy.address
        self._user = policy.user
        self._writes = policy.writes
        self._by_path = policy.by_path
        self._by_path_of_user = policy.by_path_of_user
        self._counted_inside = policy.counted_inside
        self._shared = shared
        self._local = local
        self._address_fields = LimitFields(policy.address)
        self._user_fields = LimitFields(policy.user)

    def read(self, address: str, user_id: str) -> Pending[Headers]:
        """Count a request that only reads, and return the header fields that tell of it.

        Raises `RateLimited` when it is one too many.
        """
        if user_id:
            fields, taken = self._user_fields, self._shared.take_one(self._user, user_id)
        else:
            fields, taken = self._address_fields, self._shared.take_one(self._address, place_of(address))
        return fields.of(*taken) if isinstance(taken, tuple) else _of_later(fields, taken)

    async def take(self, method: str, path: str, *, address: str, user_id: str) -> Sequence[Standing]:
        """Count a request of `user_id` (empty: nobody). Raises `RateLimited` when it is one too many."""
        if "//" in path or path.endswith("/"):
            path = _SLASHES.sub("/", path).rstrip("/")  # as the router reads it
        if not path.startswith(LIMITED):
            return ()
        limiter = self._shared
        charge = Charge(self._user, user_id) if user_id else Charge(self._address, place_of(address))
        if method in _READS:
            standings = await limiter.take((charge,))
            if standings[0].remaining < 0:
                raise RateLimited(standings)
            return standings
        charges = [charge]
        if user_id:
            charges.append(Charge(self._writes, user_id))
            if path in self._by_path_of_user:
                charges.append(Charge(self._by_path_of_user[path], user_id))
        if path in self._counted_inside:
            limiter = self._local
        elif path in self._by_path:
            charges.append(Charge(self._by_path[path], place_of(address)))
        standings = await limiter.take(charges)
        if any(standing.is_exceeded for standing in standings):
            raise RateLimited(standings)
        return standings


async def _of_later(fields: LimitFields, taken: Awaitable[tuple[int, float]]) -> Headers:
    return fields.of(*await taken)
