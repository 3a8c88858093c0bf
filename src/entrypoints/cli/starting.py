"""How worker processes begin: the first is forked where that is safe, and all others are spawned.

A forked worker has what its parent has imported, and on a database server that includes the database toolkit: that is a
third of a start. A fork also copies locks, held or not, of threads that the child does not have; so it is only done
while there is one thread. What the parent starts later (the other workers, the replacement of one that died, and the
successors of all at a reload, which are to have the code that is there by then) is spawned.

Only one process is ever forked, and the parent serves nothing and connects to nothing afterwards. So no two workers
share the state of a random generator, a connection or a file by it.
"""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

_THREADS: Final = Path("/proc/self/task")
_SETTLE_SECONDS: Final = 0.1
_HANDLED: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""By the parent, in its own way."""


def fork_the_first() -> None:
    """Let multiprocessing fork the next process that it starts, if it may, and spawn those after it. Once."""
    if not is_alone():
        multiprocessing.set_start_method("spawn", force=True)
        return
    is_first = True
    mask: set[int] = set()

    def before() -> None:
        nonlocal mask
        if is_first:
            # What arrived before the child has handlers of its own would be lost on it; so it waits.
            mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED))

    def in_parent() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            multiprocessing.set_start_method("spawn", force=True)

    def in_child() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            # What a new program has: no handlers.
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
            # Ctrl-C is the parent's to follow (see `entrypoints.cli.worker`), from the first moment on.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask | {signal.SIGINT})

    multiprocessing.set_start_method("fork", force=True)
    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def is_alone() -> bool:
    """Tell whether this process has one thread, and forking it is sound.

    Threads of libraries count, so the kernel is asked, which only Linux answers; elsewhere the answer is no. (On macOS
    the system's own libraries do not survive a fork.) A thread that was just joined may take a moment to be gone.
    """
    if sys.platform != "linux":
        return False
    deadline = time.monotonic() + _SETTLE_SECONDS
    while len(os.listdir(_THREADS)) > 1:  # noqa: PTH208 - names are all it takes
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True
