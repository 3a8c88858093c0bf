"""Where the request that is being worked on came from: for the record, never for a decision."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Origin:
    """What the edge knew of a request; empty texts for work that no request asked for (the command line)."""

    address: str = ""
    """The peer's, at most 45 characters: an IPv6 address with an embedded IPv4 one."""
    user_agent: str = ""
    """As the client says; printable, cut to 255 characters."""
    request_id: str = ""
    """At most 128 characters; the same as in the logs and in the answer."""


class OriginReader(Protocol):
    def current(self) -> Origin:
        """Return the origin of the work that this very call belongs to."""
        ...
