"""What the system says of this process."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.telemetry.board import Sample

_STATM = Path("/proc/self/statm")
_DESCRIPTORS = Path("/proc/self/fd")


def process_samples() -> Iterator[Sample]:
    """Yield processor time, and on Linux memory and open files."""
    yield "process_cpu_seconds_total", (), time.process_time()
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        descriptors = len(os.listdir(_DESCRIPTORS))  # noqa: PTH208 - names are all it takes
    except OSError:
        return
    yield "process_resident_memory_bytes", (), pages * resource.getpagesize()
    yield "process_open_fds", (), descriptors
