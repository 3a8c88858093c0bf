"""Rate limits: how often something may happen for one subject, and who keeps count."""

import math
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network
from typing import NamedTuple, Protocol

from application.shared.pending import Pending
from domain.shared.errors import PosternError


class Limit(NamedTuple):
    """At most `amount` times in `seconds`, for each subject. The window begins with the first time."""

    name: str
    """What clients and operators see; lower-case words with hyphens."""
    amount: int
    seconds: int


class Charge(NamedTuple):
    """Something that counts against a limit."""

    limit: Limit
    subject: str
    """Who or what is limited: an address, a user's id, a digest. Never an e-mail address: counters may be shared."""
    cost: int = 1
    """How often it counts: 0 only looks, -1 takes back what turned out not to count."""


class LimitState(NamedTuple):
    """How a subject stands with a limit, after the charge."""

    limit: Limit
    remaining: int
    """Below zero when the charge was one too many."""
    resets_in: float
    """Seconds until the window ends, and all of `limit` is there again."""

    @property
    def is_exceeded(self) -> bool:
        return self.remaining < 0


class RateLimited(PosternError):
    slug = "rate-limited"
    title = "Too many requests"

    def __init__(self, states: Sequence[LimitState] = ()) -> None:
        """Raise for `states`, of which at least one is exceeded."""
        self.states = tuple(states)
        longest = max((state.resets_in for state in states if state.is_exceeded), default=1.0)
        self.retry_after_seconds = max(1, math.ceil(longest))
        names = ", ".join(state.limit.name for state in states if state.is_exceeded)
        super().__init__(f"Over the limit: {names}." if names else None)


class RateLimiter(Protocol):
    async def take(self, charges: Sequence[Charge]) -> list[LimitState]:
        """Count every charge, also when another one is over its limit, and tell how each stands then.

        Never fails and never waits for what does not answer: a limiter that is down must not take the service along.
        """
        ...

    def take_one(self, limit: Limit, subject: str) -> Pending[tuple[int, float]]:
        """Count once against one limit, and return what a `Standing` says: how many remain, and seconds until it ends.

        Never fails, as `take`.
        """
        ...


@lru_cache(maxsize=10_000)
def client_network(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the /64 that one IPv6 subscriber has for himself.

    Whoever has one address of a /64 has all 2^64 of them. What is no address is a place of its own.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((int(found) >> 64 << 64, 64)))
