"""Server-Sent Events (HTML Living Standard, section 9.2): how a stream is written.

A block is `field: value` lines and a blank line. One without `data` sets the reader's last event id and nothing else:
that is how a stream says where it begins, and how far it has come while nothing was for this reader.
"""

from collections.abc import Callable
from typing import Final

from adapters.live.hub import EventFormat
from application.shared.event_log import LoggedEvent

RETRY_MILLISECONDS: Final = 2_000
"""How long a reader waits before it comes back."""


def event_format(envelope: Callable[[LoggedEvent], bytes]) -> EventFormat:
    """Return how events are said; `envelope` makes one line of JSON."""

    def event(event: LoggedEvent) -> bytes:
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.type.encode("ascii"), envelope(event))

    return EventFormat(
        event=event,
        heartbeat=lambda position: b":\nid: %d\n\n" % position,
        greeting=lambda position: b"retry: %d\nid: %d\n\n" % (RETRY_MILLISECONDS, position),
        reset=lambda position: b'id: %d\nevent: reset\ndata: {"position":"%d"}\n\n' % (position, position),
    )
