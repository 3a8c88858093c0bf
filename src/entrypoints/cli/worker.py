"""What a server process does before it serves."""

import asyncio
import gc
import os
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

from adapters.sql.sqlite.guard import FileId

METRICS_DIRECTORY: Final = "POSTERN_METRICS_DIRECTORY"
"""Where the workers of one server leave their numbers for each other. `postern serve` makes it and tells its workers
by this variable; it is no setting, since nobody else has a use for it."""
DATABASE_FILE: Final = "POSTERN_DATABASE_FILE"
"""Which file the SQLite database was when the server started, as `device:inode`, told in the same way: a worker that
replaces one that died must not take another file for it."""
OPEN_FILES: Final = 256
"""Besides connections of callers: to the database, files, and what the runtime needs."""


def load_app() -> Any:
    """Build the ASGI application in a worker that Granian has just started."""
    _leave_the_terminal_to_the_parent()
    _end_with_the_parent()
    # Nothing of what is imported and built here is ever garbage: looking through it time and again as it grows takes
    # a fifth of the start, and later every full collection would look through all of it again.
    gc.disable()
    app = _build()
    gc.freeze()
    gc.enable()
    return app


def _build() -> Any:
    # The parent process never needs the web framework.
    from entrypoints.container import Container  # noqa: PLC0415
    from entrypoints.http.app import create_app  # noqa: PLC0415
    from entrypoints.settings import Settings  # noqa: PLC0415

    container = Container(settings=Settings.load())
    container.metrics_directory.override(Path(os.environ[METRICS_DIRECTORY]))
    if known := os.environ.get(DATABASE_FILE):
        device, _, inode = known.partition(":")
        container.database_file.override(FileId(int(device), int(inode)))
    _hang_up_first(container.live_hub().hang_up)
    return create_app(container)


def allow_connections(connections: int) -> None:
    """Let this process and those that it starts open as many files as so many connections take, as far as it may.

    The usual soft limit of 1024 is for programs that use `select`; services are meant to raise it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OPEN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _hang_up_first(hang_up: Callable[[], None]) -> None:
    """End live streams as soon as the worker is told to stop, since the server waits for whoever is being answered.

    The server listens to SIGTERM by a handler of its event loop, and tells the application only when it has nothing
    left to do. A handler of Python's own besides takes nothing from it: the loop is woken by the byte that every
    signal writes (`signal.set_wakeup_fd`). It is set when the loop begins to run, after the server has set its own.
    """
    loop = asyncio.get_event_loop()

    def attend() -> None:
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(hang_up))

    loop.call_soon(attend)


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
