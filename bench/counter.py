"""Counts the instructions of Python's interpreter. It imports little, so that a process which counts starts fast."""

import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(frozen=True, slots=True)
class Count:
    """What one request costs."""

    instructions: int
    """Of the interpreter, in all threads."""
    calls: int
    """Of Python functions, and resumptions of coroutines and generators."""


class _Tally:
    """The tracer of one thread: each has its own, since `+=` of two threads on one number loses some."""

    __slots__ = ("calls", "instructions")

    def __init__(self) -> None:
        self.instructions = 0
        self.calls = 0

    def local(self, frame: FrameType, event: str, argument: object) -> Any:
        del frame, argument
        if event == "opcode":
            self.instructions += 1
        return self.local


class Counter:
    """Counts what every thread does that is started after it.

    By `sys.monitoring` from Python 3.12 on, which counts the same instructions: 3.12.1 crashes when they are traced.
    """

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}

    def install(self) -> None:
        if sys.version_info >= (3, 12):
            events = sys.monitoring.events
            sys.monitoring.use_tool_id(sys.monitoring.PROFILER_ID, "bench.counts")
            sys.monitoring.register_callback(sys.monitoring.PROFILER_ID, events.INSTRUCTION, self._on_instruction)
            for event in (events.PY_START, events.PY_RESUME):
                sys.monitoring.register_callback(sys.monitoring.PROFILER_ID, event, self._on_start)
            sys.monitoring.set_events(
                sys.monitoring.PROFILER_ID, events.INSTRUCTION | events.PY_START | events.PY_RESUME
            )
        else:
            threading.settrace(self._on_call)
            sys.settrace(self._on_call)

    @staticmethod
    def remove() -> None:
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
            sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)
        else:
            sys.settrace(None)
            threading.settrace(None)

    def so_far(self) -> Count:
        tallies = list(self._tallies.values())
        return Count(sum(each.instructions for each in tallies), sum(each.calls for each in tallies))

    def _mine(self) -> "_Tally":
        thread = threading.get_ident()
        tally = self._tallies.get(thread)
        return tally or self._tallies.setdefault(thread, _Tally())

    def _on_call(self, frame: FrameType, event: str, argument: object) -> Any:
        del event, argument
        tally = self._mine()
        tally.calls += 1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return tally.local

    def _on_instruction(self, code: object, offset: int) -> None:
        del code, offset
        self._mine().instructions += 1

    def _on_start(self, code: object, offset: int) -> None:
        del code, offset
        self._mine().calls += 1
