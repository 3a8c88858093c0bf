"""Leaving out what coverage would count again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MEASURING: Final = frozenset({"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"})
"""By these variables coverage tells processes that are started to measure themselves."""

CHEAP_HASHES: Final = {"PASSWORD_HASH_MEMORY_KIB": "8192", "PASSWORD_HASH_ITERATIONS": "1"}
"""Settings of servers whose passwords guard nothing."""


@contextmanager
def untraced() -> Iterator[None]:
    """Measure no coverage meanwhile: where that would disturb, or where other tests run the same lines."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
