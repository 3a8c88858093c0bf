"""The time by which a request must be answered, for what may wait long or begin again."""

from typing import Protocol


class Deadline(Protocol):
    """Of the request that is being worked on."""

    def seconds_left(self) -> float:
        """Return how long may still be waited; without end where nobody waits for an answer, as in the background."""
        ...
