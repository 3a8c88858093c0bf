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
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

_THREADS: Final = Path("/proc/self/task")
_SETTLE_SECONDS: Final = 0.1
_HANDLED: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""By the parent, in its own way."""


def fork_next_process() -> None:
    """Let the next process that `begin` starts be forked, if it may."""
    multiprocessing.set_start_method("fork" if is_alone() else "spawn", force=True)


def begin(process: BaseProcess) -> None:
    """Start a worker; those after it are spawned."""
    # What arrives before the child has handlers of its own would be lost on it; so it waits (see `be_a_worker`).
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED if multiprocessing.get_start_method() == "fork" else ())
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        multiprocessing.set_start_method("spawn", force=True)


def be_a_worker() -> None:
    """Take the signals as a new program does, and let Ctrl-C and the end of a terminal reach the parent alone.

    A terminal sends SIGINT to the whole group. A worker that followed it by itself would be gone before the parent
    asks for it, which the parent takes for a crash: it would log an error and replace it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT})


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
