"""Resolving a target and judging what it resolves to, at registration and for every delivery."""

import asyncio
from collections.abc import Sequence

from adapters.webhooks.addresses import Address, AddressPolicy
from adapters.webhooks.resolver import Resolver
from application.webhooks.ports import TargetGuard
from domain.webhooks.errors import TargetRefused
from domain.webhooks.values import EndpointUrl

RESOLVE_SECONDS = 5.0


class ResolvingTargetGuard(TargetGuard):
    """Every address of a host has to be allowed, not just the one that would be taken: a name that leads to a public
    and a private address is no accident.

    Plain http is for networks that the operator allows: elsewhere anybody on the way could read and change it.
    """

    def __init__(self, resolver: Resolver, policy: AddressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy

    async def check(self, url: EndpointUrl) -> None:
        await self.addresses(url)

    async def addresses(self, url: EndpointUrl) -> Sequence[Address]:
        """Return the addresses that a request may connect to, all of them checked. Raises `TargetRefused`."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolver.resolve(url.host, url.port)
        except (OSError, TimeoutError):
            raise TargetRefused("unresolvable", "names a host that cannot be resolved") from None
        if not found:
            raise TargetRefused("unresolvable", "names a host that has no address")
        if not all(self._policy.is_allowed(address) for address in found):
            # Which address it is stays untold: the answer would map our network for whoever asks.
            raise TargetRefused("address", "leads to an address that webhooks are not sent to")
        if not url.is_encrypted and not all(self._policy.is_trusted(address) for address in found):
            raise TargetRefused("scheme", "begins with https://")
        return list(dict.fromkeys(found))
