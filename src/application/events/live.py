"""Who sees which event live, and as what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.shared.event_log import LoggedEvent
from domain.shared.errors import PosternError
from domain.shared.ids import UserId

_NOT_FOR_ALL: Final[Mapping[str, Sequence[str]]] = {"vote.cast": ("voter_id",)}
"""Members of `data` that only the event's owner sees, by type. That somebody voted is public, who did is not."""


class TooManyStreams(PosternError):
    slug = "too-many-streams"
    title = "Too many live streams at once"

    retry_after_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who listens: who, if signed in, and to which types; None: to all."""

    user_id: UserId | None = None
    types: frozenset[str] | None = None

    def view(self, event: LoggedEvent) -> LoggedEvent | None:
        """Return the event as this reader may see it, the very same if that is in full; None: not at all."""
        if self.types is not None and event.type not in self.types:
            return None
        if self.user_id is not None and event.owner_id == self.user_id:
            return event
        return public_view(event)


def public_view(event: LoggedEvent) -> LoggedEvent | None:
    """Return the public side of an event; None: it has none."""
    if not event.public:
        return None
    withheld = _NOT_FOR_ALL.get(event.type)
    if withheld is None:
        return event
    shown = {name: value for name, value in json.loads(event.data).items() if name not in withheld}
    return replace(event, data=json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode())
