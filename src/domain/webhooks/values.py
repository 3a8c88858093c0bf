"""Value objects of webhooks."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from domain.shared.errors import FieldError, Invalid
from domain.shared.text import has_control_characters, require_visible

URL_MAX_LENGTH = 2048
DESCRIPTION_MAX_LENGTH = 500
EVENT_TYPES_MAX = 50
EVENT_TYPE_MAX_LENGTH = 64
EVENT_TYPE_PATTERN = r"^(\*|[a-z_]+\.(\*|[a-z_]+))$"
WEBHOOKS_MAX = 100
"""How many there may be: each has a connection of its own when it is sent something, so that none waits for another."""

TEST_EVENT = "webhook.test"
"""Sent on request, to one endpoint, whatever it is subscribed to."""

_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN.removesuffix("$"))
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?)"
    r"(:(?P<port>[0-9]{1,5}))?(?P<path>/[\x21\x24-\x3e\x40-\x5b\x5d-\x7e\x22]*)?(?P<query>\?[\x21\x22\x24-\x5b\x5d-\x7e]*)?",
    re.IGNORECASE | re.ASCII,
)
"""Of RFC 3986, what a delivery may use. One strict reading: two parsers that differ are how a check is got around."""
_STANDARD_PORTS = frozenset({80, 443})
_FIRST_UNPRIVILEGED_PORT = 1024
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    """Where deliveries go: an absolute http or https URL (RFC 3986) of at most 2048 visible ASCII characters.

    It names no user and no password, which would end up in logs, and no fragment, which is never sent. Its port is 80,
    443, or one from 1024 on: what listens below speaks other protocols. Where the host's addresses lie is checked when
    it is resolved, not here.
    """

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        fault = _fault_of(raw)
        if fault is not None:
            raise Invalid([FieldError("url", *fault)])
        return cls(raw)

    @property
    def is_encrypted(self) -> bool:
        return self._parts()["scheme"].lower() == "https"

    @property
    def host(self) -> str:
        """The host, in lower case; an IPv6 address without its brackets."""
        return self._parts()["host"].strip("[]").lower()

    @property
    def port(self) -> int:
        return _port(self._parts())

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own (RFC 9110, section 7.2)."""
        host = self._parts()["host"].lower()
        return host if self.port == (443 if self.is_encrypted else 80) else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query, as they stand in the request line."""
        parts = self._parts()
        return (parts["path"] or "/") + (parts["query"] or "")

    def _parts(self) -> re.Match[str]:
        found = _URL.fullmatch(self.value)
        if found is None:
            raise ValueError("not a URL for deliveries")
        return found


def _port(parts: re.Match[str]) -> int:
    return int(parts["port"] or (443 if parts["scheme"].lower() == "https" else 80))


def _fault_of(raw: str) -> tuple[str, str] | None:
    """Return why `raw` is no URL for deliveries, as a code and a message; None when it is one."""
    if not 1 <= len(raw) <= URL_MAX_LENGTH:
        return "length", f"takes 1 to {URL_MAX_LENGTH} characters"
    parts = _URL.fullmatch(raw)
    if parts is None:
        return "format", "is https://host/path in visible ASCII, with neither a user nor a password nor a fragment"
    port = _port(parts)
    if port > _LAST_PORT or (port < _FIRST_UNPRIVILEGED_PORT and port not in _STANDARD_PORTS):
        return "port", "has port 80, 443, or one from 1024 to 65535"
    return None


@dataclass(frozen=True, slots=True)
class EventTypes:
    """What an endpoint is told of: exact types, all of one subject (`post.*`), or everything (`*`).

    `post.*` holds for types that are added later too.
    """

    patterns: tuple[str, ...]

    @classmethod
    def parse(cls, raw: Iterable[str], *, known: frozenset[str]) -> Self:
        """Keep each pattern once, in their order. Raises `Invalid` for those that no known type matches."""
        patterns = tuple(dict.fromkeys(raw))
        if not 1 <= len(patterns) <= EVENT_TYPES_MAX:
            raise Invalid([FieldError("event_types", "length", f"takes 1 to {EVENT_TYPES_MAX} event types")])
        faults = [
            FieldError(f"event_types/{index}", "unknown", f"is none of the event types: {', '.join(sorted(known))}")
            for index, pattern in enumerate(patterns)
            if not _EVENT_TYPE.fullmatch(pattern) or not any(_matches(pattern, type_) for type_ in known)
        ]
        if faults:
            raise Invalid(faults)
        return cls(patterns)

    def match(self, type_: str) -> bool:
        return any(_matches(pattern, type_) for pattern in self.patterns)


def _matches(pattern: str, type_: str) -> bool:
    return pattern in {"*", type_} or (pattern.endswith(".*") and type_.startswith(pattern[:-1]))


@dataclass(frozen=True, slots=True)
class Description:
    """What the operator calls an endpoint: 1 to 500 characters after trimming, without control characters."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        value = raw.strip()
        if not 1 <= len(value) <= DESCRIPTION_MAX_LENGTH:
            raise Invalid([FieldError("description", "length", f"takes 1 to {DESCRIPTION_MAX_LENGTH} characters")])
        if has_control_characters(value):
            raise Invalid([FieldError("description", "format", "takes no control characters")])
        require_visible(value, field="description")
        return cls(value)
