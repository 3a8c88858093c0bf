"""Whose address a request comes from, behind proxies that are trusted to say so."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether `address` lies in one of `networks`; what is no address lies in none."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


class ClientAddresses:
    """Finds the client behind `trusted` proxies; without any, it is the peer.

    `X-Forwarded-For` grows from left to right: each proxy adds who asked it. So it is read from the right, past the
    trusted ones; the first other address is the last that somebody trustworthy has seen. What stands left of it is
    whatever that client wrote, and what is no address ends the search.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def of(self, peer: str, fields: Mapping[bytes, bytes]) -> str:
        if not self._trusted:
            return peer
        forwarded = fields.get(b"x-forwarded-for")
        if forwarded is None or not is_within(peer, self._trusted):
            return peer
        found = peer
        for item in reversed(forwarded.decode("latin-1").split(",")):
            parsed = _parse(item.strip())
            if parsed is None:
                break
            found = str(parsed)
            if not any(parsed in network for network in self._trusted):
                break
        return found


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
