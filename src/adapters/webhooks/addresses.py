"""Which addresses webhooks may be sent to: whoever may register a URL must not reach our own network through us."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        # Of the IANA registries of special-purpose addresses, listed rather than left to `is_global`, which says
        # other things in other versions of Python.
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a carrier; metadata of some clouds
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "168.63.129.16/32",  # an address like any other, behind which one cloud answers questions about its machines
        # Of 2000::/3, which is all that is unicast and global: what is inside it and is not, or holds an IPv4 address.
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")
"""Outside of it lie loopback, link-local, unique local and multicast addresses, and those that hold an IPv4 one: mapped
(::ffff:0:0/96), compatible (::/96) and translated (64:ff9b::/96, 64:ff9b:1::/48)."""
_TRANSLATED = ip_network("64:ff9b::/96")


class AddressPolicy:
    """Public addresses, and those of networks that the operator allows."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def is_allowed(self, address: Address) -> bool:
        """Tell whether something may be sent there at all."""
        return self.is_trusted(address) or _is_public(address)

    def is_trusted(self, address: Address) -> bool:
        """Tell whether the operator has allowed the address by name: then it need not be encrypted either."""
        if not any(address.version == network.version and address in network for network in self._allowed):
            return False
        # A gateway that is allowed translates to any IPv4 address, so it is that one which counts.
        if isinstance(address, IPv6Address) and address in _TRANSLATED:
            return self.is_allowed(IPv4Address(int(address) & 0xFFFF_FFFF))
        return True


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    return not any(address.version == network.version and address in network for network in _SPECIAL)


def parse_address(text: str) -> Address:
    """Return an address as a resolver gives it. A zone (`fe80::1%eth0`) is part of it, and makes it no less local."""
    return ip_address(text)
