"""How fast work grows with its input: instructions of the interpreter, and processor time of what C does inside them.

Instructions are counted as `bench.counts` does, so that neither the machine nor its load matters. What C does (regular
expressions, normalisation, JSON) is in no instruction, so processor time of this thread is measured beside them, which
waiting for other processes does not count towards; the least of some tries is what the work takes.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

RATIO_MAX: Final = 2.6
"""What twice the input may cost: twice, and something for what grows with the logarithm or by steps."""
FLOOR_INSTRUCTIONS: Final = 20_000
FLOOR_SECONDS: Final = 0.004
"""Below them it does not matter how they grow, and noise would tell."""


@dataclass(frozen=True, slots=True)
class Cost:
    instructions: int
    seconds: float
    """Of the processor."""


def cost(work: Callable[[], object], *, tries: int = 3) -> Cost:
    """Return what `work` costs."""
    seconds = min(_seconds(work) for _ in range(tries))
    return Cost(instructions(work), seconds)


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def instructions(work: Callable[[], object]) -> int:
    """Return how many of the interpreter's instructions `work` takes in this thread."""
    count = 0

    def local(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if event == "opcode":
            count += 1
        return local

    def begin(frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return local

    before = sys.gettrace()
    collects = gc.isenabled()
    gc.disable()
    sys.settrace(begin)
    try:
        work()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count


def grows_too_fast(work_of: Callable[[int], Callable[[], object]], size: int) -> str | None:
    """Compare the work of `size` with that of twice as much. Return what is wrong with it; None when it is linear."""
    once, twice = work_of(size), work_of(2 * size)
    counted = instructions(once), instructions(twice)
    if counted[1] > FLOOR_INSTRUCTIONS and counted[1] > RATIO_MAX * counted[0]:
        return f"{counted[0]:,} instructions become {counted[1]:,}"
    # What takes little time is not measured again; what takes a lot is, since a busy machine takes some of it.
    if _seconds(twice) <= FLOOR_SECONDS:
        return None
    for _ in range(3):
        seconds = min(_seconds(once) for _ in range(3)), min(_seconds(twice) for _ in range(3))
        if seconds[1] <= max(FLOOR_SECONDS, RATIO_MAX * seconds[0]):
            return None
    return f"{seconds[0] * 1_000:.1f} ms become {seconds[1] * 1_000:.1f} ms"
