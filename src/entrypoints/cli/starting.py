"""How worker processes begin: the first is forked where that is safe, and all others are spawned.

A forked worker has what its parent has imported, and on a database server that includes the database toolkit: that is a
third of a start. A fork also copies locks, held or not, of threads that the child does not have; so it is only done
while there is one thread. From then on the parent has more, and what it starts later (the other workers, and the
replacement of one that died) is spawned.

Only one process is ever forked, and the parent serves nothing and connects to nothing afterwards. So no two workers
share the state of a random generator, a connection or a file by it.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import popen_fork
from pathlib import Path
from typing import Any, Final

_THREADS: Final = Path("/proc/self/task")
_SETTLE_SECONDS: Final = 0.1
_NOTE_SECONDS: Final = 1.0
_STOPPING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def fork_the_first(then: Callable[[], None]) -> None:
    """Let multiprocessing fork the next process that it starts, if it may, and spawn those after it.

    `then` is called in this process once the first is there: what starts threads belongs in it. To be called once.
    """
    if not is_alone():
        multiprocessing.set_start_method("spawn", force=True)
        then()
        return
    is_first = True
    mask: set[int] = set()

    def before() -> None:
        nonlocal mask
        if is_first:
            # What arrived before the child has handlers of its own would be lost on it; so it waits.
            mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING))

    def in_parent() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            multiprocessing.set_start_method("spawn", force=True)
            then()

    def in_child() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            # What a new program has: no handlers.
            for number in _STOPPING:
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


def share_the_end_of_workers() -> None:
    """Have every thread that waits for the end of a process learn of it.

    Granian waits for each worker in two threads, and the kernel tells one. What the other asks in the meantime is
    answered by multiprocessing as if the process still ran; Granian then warns that it had to kill a worker that has
    ended well. Here the other waits until the first has noted the end. For good, in this process.
    """
    poll = popen_fork.Popen.poll
    if getattr(poll, "shares", False):
        return

    def shared(process: Any, flag: int = os.WNOHANG) -> int | None:
        code: int | None = poll(process, flag)
        if code is None and flag == 0:
            # It was waited for, and there is nothing to wait for: somebody else was told.
            deadline = time.monotonic() + _NOTE_SECONDS
            while process.returncode is None and time.monotonic() < deadline:
                time.sleep(0.001)
            code = process.returncode
        return code

    shared.shares = True  # type: ignore[attr-defined] # so that it is done once
    popen_fork.Popen.poll = shared  # type: ignore[method-assign, assignment] # spawned ones have it from there, too
