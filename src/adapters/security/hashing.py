"""What hashing a password may cost, in a module of its own: the settings are read where nothing is hashed."""

import os
import sys
from dataclasses import dataclass


def available_cores() -> int:
    """Return how many cores this process may use, which in a container or under `taskset` are not all there are."""
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores


@dataclass(frozen=True, slots=True, kw_only=True)
class HashingSettings:
    """What one hash costs, and how many may wait for one.

    The defaults are OWASP's floor for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
    """

    memory_kib: int = 19 * 1024
    """KiB that one hash fills."""
    iterations: int = 2
    parallelism: int = 1
    threads: int | None = None
    """Hashes computed at once; None: one a core, less one that stays with the event loop."""
    queue: int = 512
    """How many may wait for a thread. At 20 ms a hash, the last of 512 waits some 10 s on a single thread."""

    def __post_init__(self) -> None:
        if (
            self.iterations < 1
            or self.parallelism < 1
            or self.queue < 0
            or (self.threads is not None and self.threads < 1)
        ):
            raise ValueError("iterations, parallelism and threads begin at 1, the queue at 0")
        if self.memory_kib < 8 * self.parallelism:
            raise ValueError("Argon2 takes 8 KiB a lane at the least")

    @property
    def threads_at_once(self) -> int:
        return self.threads or max(1, available_cores() - 1)
