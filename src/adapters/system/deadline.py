"""The deadline of the request that this task works on."""

import math
import time
from contextvars import ContextVar
from typing import Protocol

from application.shared.deadline import Deadline


class Bounded(Protocol):
    """Has to end at a moment by `time.perf_counter`, which may be set late; 0: not yet."""

    due: float


_bounded: ContextVar[Bounded | None] = ContextVar("postern_deadline", default=None)


class ContextDeadline(Deadline):
    def begin(self, bounded: Bounded) -> None:
        """Remember, for the rest of this task, by what its time is bounded."""
        _bounded.set(bounded)

    def seconds_left(self) -> float:
        bounded = _bounded.get()
        if bounded is None or not bounded.due:
            return math.inf
        return bounded.due - time.perf_counter()
