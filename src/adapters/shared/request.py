"""The request that this task works for, as far as adapters have to do with it."""

from contextvars import ContextVar
from typing import Final, Protocol


class Request(Protocol):
    due: float
    """When it has to be answered, by `time.perf_counter`, which may be set late; 0: not yet."""
    has_committed: bool
    """Whether something was committed for it, so that it cannot be said any more that nothing was changed."""


current: Final[ContextVar[Request | None]] = ContextVar("postern_working_for", default=None)


def note_commit() -> None:
    """Remember that something was committed for the request."""
    request = current.get()
    if request is not None:
        request.has_committed = True
