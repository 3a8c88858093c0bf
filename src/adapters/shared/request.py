"""The request that this task works for, as far as adapters have to do with it."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Protocol


class Request(Protocol):
    request_id: str
    address: str
    """The client's; empty where it is not known."""
    due: float
    """When it has to be answered, by `time.perf_counter`, which may be set late; 0: not yet."""
    has_committed: bool
    """Whether something was committed for it, so that it cannot be said any more that nothing was changed."""

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """The header fields."""
        ...


current: Final[ContextVar[Request | None]] = ContextVar("postern_working_for", default=None)


def note_commit() -> None:
    """Remember that something was committed for the request."""
    request = current.get()
    if request is not None:
        request.has_committed = True
