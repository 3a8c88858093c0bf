"""Which posts several votes want to change at once, as far as this process has noticed."""

import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

CONTENDED_SECONDS: Final = 1.0
"""For how long a post counts as contended after a vote came too late to change it."""
_MOST: Final = 1024


class ContentionTracker:
    """Notes the posts of votes that came too late, so that the next ones lock at once. Forgets by time, and the oldest
    when there are many.

    It decides what is tried first, never what is right.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[UUID, float] = {}

    def note(self, id: UUID) -> None:
        """Note that a vote came too late to change this post."""
        self._until.pop(id, None)
        self._until[id] = self._clock() + CONTENDED_SECONDS
        if len(self._until) > _MOST:
            del self._until[next(iter(self._until))]

    def __contains__(self, id: UUID) -> bool:
        until = self._until.get(id)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._until[id]
        return False
