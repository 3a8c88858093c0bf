"""What a server process does before it serves."""

import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any


def load_app() -> Any:
    """Build the ASGI application in a worker that Granian has just started."""
    _leave_the_terminal_to_the_parent()
    _end_with_the_parent()
    from entrypoints.http.asgi import create  # noqa: PLC0415 - the parent process never needs the web framework

    return create()


def _leave_the_terminal_to_the_parent() -> None:
    """Let Ctrl-C reach the parent alone, which then ends its workers in order.

    A terminal sends SIGINT to the whole group. A worker that followed it by itself would be gone before the parent
    asks for it, which the parent takes for a crash: it would log an error and exit with 1 after a clean Ctrl-C.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _end_with_the_parent() -> None:
    """Stop serving when the parent is gone without saying so (SIGKILL, out of memory).

    Otherwise the worker would keep the port, and the next start would find it taken by nobody visible.
    """
    parent = parent_process()
    if parent is None:
        return

    def follow() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="parent-watch", daemon=True).start()
