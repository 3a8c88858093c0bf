"""How fast work grows with its input: instructions of the interpreter, and processor time of what C does inside them.

Instructions are counted as `bench.counts` does, so that neither the machine nor its load matters. What C does (regular
expressions, normalisation, JSON) is in no instruction, so processor time of this thread is measured beside them, which
waiting for other processes does not count towards; the least of some tries is what the work takes.
"""

import gc
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final, Self

RATIO_MAX: Final = 2.6
"""What twice the input may cost: twice, and something for what grows with the logarithm or by steps."""
FLOOR_INSTRUCTIONS: Final = 20_000
FLOOR_SECONDS: Final = 0.004
"""Below them it does not matter how they grow, and noise would tell."""


def seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


class _Counting:
    """Counts the interpreter's instructions of this thread while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before, self._collects = sys.gettrace(), gc.isenabled()
        gc.disable()
        sys.settrace(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        if self._collects:
            gc.enable()

    def _begin(self, frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._local

    def _local(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            self.count += 1
        return self._local


def instructions(work: Callable[[], object]) -> int:
    """Return how many of the interpreter's instructions `work` takes in this thread."""
    with _Counting() as counting:
        work()
    return counting.count


def grows_too_fast(work_of: Callable[[int], Callable[[], object]], size: int) -> str | None:
    """Compare the work of `size` with that of twice as much. Return what is wrong with it; None when it is linear."""
    once, twice = work_of(size), work_of(2 * size)
    counted = instructions(once), instructions(twice)
    if counted[1] > FLOOR_INSTRUCTIONS and counted[1] > RATIO_MAX * counted[0]:
        return f"{counted[0]:,} instructions become {counted[1]:,}"
    # What takes little time is not measured again; what takes a lot is, since a busy machine takes some of it.
    if seconds(twice) <= FLOOR_SECONDS:
        return None
    short = long = 0.0
    for _ in range(3):
        short, long = min(seconds(once) for _ in range(3)), min(seconds(twice) for _ in range(3))
        if long <= max(FLOOR_SECONDS, RATIO_MAX * short):
            return None
    return f"{short * 1_000:.1f} ms become {long * 1_000:.1f} ms"


async def awaited_instructions(work: Callable[[], Awaitable[object]]) -> int:
    """Return how many of the interpreter's instructions `work` takes in this thread, until it is done."""
    with _Counting() as counting:
        await work()
    return counting.count


async def awaited_seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.thread_time()
    await work()
    return time.thread_time() - began
