"""Whether anything at all was committed since."""

from typing import Protocol


class CommitCounter(Protocol):
    """Tells one state of storage from another, for almost nothing: what was read is still true while its mark is."""

    def current(self) -> int | None:
        """Return a number that is another after each commit, by any process, that was acknowledged before the call.

        To whoever hears of it by way of the event loop, that is: all who ask in one turn of it may be told the same.
        None when that cannot be told just now.
        """
        ...
