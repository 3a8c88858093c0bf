"""Whose address a request comes from, behind proxies that are trusted to say so."""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network


class ProxyHeader(StrEnum):
    """The field in which trusted proxies tell whom they forward for."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


_FIELDS: Final = {header: header.value.encode("ascii") for header in ProxyHeader}

_LONGEST: Final = 2_048
"""Characters of a list that are read, from its end: some thirty proxies."""
_PORT: Final = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_NODE: Final = re.compile(rf"(?P<v4>[0-9.]{{7,15}}){_PORT}|\[(?P<v6>[0-9A-Fa-f:.]{{2,45}})\]{_PORT}")
"""A node of RFC 7239, section 6, as far as it is an address; X-Forwarded-For has the same with ports of digits."""
_PAIR: Final = re.compile(
    r'(?P<name>[!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:(?P<token>[!#$%&\'*+.^_`|~0-9A-Za-z-]+)|"(?P<quoted>(?:[^"\\]|\\.)*)")'
)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether `address` lies in one of `networks`; what is no address lies in none."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


class ClientAddresses:
    """Finds the client behind `trusted` proxies; without any, it is the peer.

    `X-Forwarded-For` and `Forwarded` (RFC 7239) grow from left to right: each proxy adds who asked it. So they are read
    from the right, past the trusted ones; the first other address is the last that a trusted proxy has seen. What
    stands left of it is whatever that client wrote, and what is no address (`unknown`, `_hidden`) ends the search.

    Of the two, a proxy writes one and passes the other on as its client wrote it. `header` names the one it writes;
    without it, `X-Forwarded-For` is read, which most write, and `Forwarded` where the other is absent.
    """

    def __init__(self, trusted: Sequence[Network], header: ProxyHeader | None = None) -> None:
        self._trusted = tuple(trusted)
        self._headers = tuple(ProxyHeader) if header is None else (header,)

    def of(self, peer: str, fields: Mapping[bytes, bytes]) -> str:
        if not self._trusted:
            return peer
        header = next((header for header in self._headers if _FIELDS[header] in fields), None)
        if header is None or not is_within(peer, self._trusted):
            return peer
        value = _end_of(fields[_FIELDS[header]].decode("latin-1"))
        found = peer
        for parsed in _forwarded(value) if header is ProxyHeader.FORWARDED else _x_forwarded_for(value):
            if parsed is None:
                break
            found = str(parsed)
            if not any(parsed in network for network in self._trusted):
                break
        return found


def _end_of(value: str) -> str:
    """Return the last elements of a list: there are never more proxies in a row, and a client may write 16 KiB."""
    return value if len(value) <= _LONGEST else value[-_LONGEST:].partition(",")[2]


def _x_forwarded_for(value: str) -> Iterator[IPv4Address | IPv6Address | None]:
    """Return the addresses from right to left, some of which have a port; None for what is no address."""
    for item in reversed(value.split(",")):
        text = item.strip()
        yield _parse(text) or _node(text)


def _forwarded(value: str) -> Iterator[IPv4Address | IPv6Address | None]:
    """Return whom each element was forwarded for, from right to left; None where it does not say by address."""
    for element in _split_from_the_right(value, ","):
        named: dict[str, str] = {}
        for pair in _split_from_the_right(element, ";"):
            found = _PAIR.fullmatch(pair.strip(" \t"))
            if found is None or found["name"].lower() in named:
                yield None  # Who wrote this cannot be told from who wrote what stands left of it.
                return
            quoted = found["quoted"]
            named[found["name"].lower()] = found["token"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        client = named.get("for", "")
        yield _node(client) or _parse(client)


def _split_from_the_right(value: str, separator: str) -> Iterator[str]:
    """Split a list at separators outside quoted strings, its last part first.

    From the right, because a quotation mark that a client leaves open must not swallow what a proxy adds after it.
    """
    end, is_quoted = len(value), False
    for at in range(len(value) - 1, -1, -1):
        character = value[at]
        if character == '"':
            escapes = 0
            while is_quoted and at > escapes and value[at - escapes - 1] == "\\":
                escapes += 1
            if escapes % 2 == 0:
                is_quoted = not is_quoted
        elif character == separator and not is_quoted:
            yield value[at + 1 : end]
            end = at
    yield value[:end]


def _node(text: str) -> IPv4Address | IPv6Address | None:
    found = _NODE.fullmatch(text)
    return None if found is None else _parse(found["v4"] or found["v6"])


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
