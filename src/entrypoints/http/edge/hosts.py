"""Which `Host` values are answered (HTTP's own guard against DNS rebinding and poisoned links)."""

import re
from collections.abc import Iterable

from entrypoints.http.edge.exchange import Exchange
from entrypoints.http.problems.errors import BadRequest, UnknownHost

_PROBES = "/health", "/metrics"
"""What is asked by address: an orchestrator and Prometheus do not know under which names the service answers."""
_WITHOUT_HOST = frozenset({"1", "1.0"})
"""Granian writes HTTP/1.0 as 1."""
_HOST = re.compile(rb"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?")


class HostPolicy:
    """Which `Host` values are answered: exact names, `*.example.com` for all names below one, `*` for any."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = {name.lower().rstrip(".") for name in allowed}
        self._any = "*" in names
        self._exact = {name for name in names if not name.startswith("*")}
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self.passed: set[bytes | None] = set()
        """Values that were found good; whoever has one of them need not `check` it again."""

    def check(self, exchange: Exchange, path: str, version: str) -> None:
        """Raise `BadRequest` without exactly one well-formed host (RFC 9112, section 3.2), `UnknownHost` for others.

        Health and metrics are served under every well-formed host. HTTP/1.0 knows no host, so none is asked for there:
        what the check guards against are browsers, which all speak a later version.
        """
        host = exchange.fields.get(b"host")
        if not host:  # Granian makes an empty one of none.
            if version in _WITHOUT_HOST:
                return
            raise BadRequest("The Host header is missing.")
        match = _HOST.fullmatch(host)
        if match is None or b"host" in exchange.repeated:
            raise BadRequest("The Host header is not one host name.")
        name = match[1].decode("ascii").lower().rstrip(".")
        if not (self._any or name in self._exact or name.endswith(self._suffixes or ("\0",))):
            if path in _PROBES or path.startswith("/health/"):
                return
            raise UnknownHost(f"{name!r} is not among the names in ALLOWED_HOSTS, which the operator sets.")
        if len(self.passed) < 1_000:  # A client can make up ports without end.
            self.passed.add(host)
