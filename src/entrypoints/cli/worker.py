"""A worker: what it does before it serves, and how it ends.

It ends in steps, so that no request that was received stays without an answer. On SIGTERM:

1. `/health/ready` is 503, and each answer closes its connection. New connections are taken for DRAIN_SECONDS, for as
   long as load balancers may take to notice.
2. The kernel keeps new connections out. Those that wait are accepted, and what they ask is answered. Live streams end.
3. When a moment has passed in which nothing was asked, for a second at most, Granian is told to stop: it closes idle
   connections and waits for requests that are under way.
4. Connections that have asked nothing are hung up on, and the worker ends, or else its parent kills it.

RETIRE is the same but for new connections, which a successor at the same socket takes from then on. When the parent is
gone without a word, it is step 2 at once, and the kernel ends what is left after a moment.
"""

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, Final

from adapters.sql.sqlite_file import FileId
from adapters.system.listening import (
    SHARES_BY_KERNEL,
    close_silent_connections,
    drop_new_connections,
    listens,
    stop_accepting,
)
from entrypoints.cli.descriptors import connections_of
from entrypoints.cli.process_start import be_a_worker

METRICS_DIRECTORY: Final = "POSTERN_METRICS_DIRECTORY"
"""Where the workers of one server leave their numbers for each other. `postern serve` makes it and tells its workers
by this variable; it is no setting, since nobody else has a use for it."""
DATABASE_FILE: Final = "POSTERN_DATABASE_FILE"
"""Which file the SQLite database was when the server started, as `device:inode:path`, told in the same way: a worker
that replaces one that died must not take another file for it."""
RETIRE: Final = signal.SIGUSR1
"""Tells a worker to end because another one has taken its place."""
RETIRE_SECONDS: Final = 2.0
"""How long a worker that retires closes connections with their answers, before it closes those that ask nothing."""
ORPHAN_SECONDS: Final = 0.7
"""How long a worker may go on without its parent."""
QUIET_SECONDS: Final = 0.1
"""Nothing was asked for so long: whoever got an answer and had more to ask has asked it, or is told to come again."""
QUIET_WITHIN_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 0.25
"""How long connections that were accepted may take to ask something after that."""
_TICK_SECONDS: Final = 0.02

_log = logging.getLogger("postern.worker")


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a worker has of its server."""

    listener: int
    """The descriptor of the socket where it takes connections."""
    backlog: int
    foreign: tuple[int, ...]
    """Descriptors that a forked worker has and that are none of its business."""
    ready: Connection
    """Where it says that it is ready."""
    is_successor: bool
    """Whether it is to take the place of a worker that serves."""

    def __reduce__(self) -> Any:
        # It is only ever pickled for a process that is being spawned, which is given these descriptors, and no others.
        return _link, (DupFd(self.listener), self.backlog, self.ready, self.is_successor)


def _link(listener: Any, backlog: int, ready: Connection, is_successor: bool) -> Link:
    return Link(listener=listener.detach(), backlog=backlog, foreign=(), ready=ready, is_successor=is_successor)


def serve_worker(worker_id: int, process_name: str | None, load: Any, _socket: Any, *rest: Any) -> None:
    """Run a worker: what Granian gives its own, with the socket that the parent keeps for it. `load` has the link."""
    be_a_worker()
    from granian._granian import SocketHolder  # noqa: PLC0415 - a worker's alone
    from granian.server.mp import MPServer  # noqa: PLC0415

    link: Link = load.args[0]
    of_linux = (link.backlog,) if SHARES_BY_KERNEL else ()
    holder = SocketHolder(link.listener, False, *of_linux)  # type: ignore[call-arg] # its constructor is not declared
    MPServer._spawn_asgi_lifespan_worker(  # noqa: SLF001 - there is no other way to name it
        worker_id, process_name, load, ((None, holder), None), *rest
    )


def load_app(link: Link) -> Any:
    """Build the ASGI application in a worker that was just started."""
    for descriptor in link.foreign:
        os.close(descriptor)
    end = _End(link)
    _end_with_the_parent(end)
    # Nothing of what is imported and built here is ever garbage: looking through it time and again as it grows takes
    # a fifth of the start, and later every full collection would look through all of it again.
    gc.disable()
    app = _build(link, end)
    gc.freeze()
    gc.enable()
    return app


def _build(link: Link, end: "_End") -> Any:
    # The parent process never needs the web framework.
    from adapters.system.server_state import ServerStateFile  # noqa: PLC0415
    from entrypoints.cli.failures import CommandFailed  # noqa: PLC0415
    from entrypoints.cli.loading import load_settings  # noqa: PLC0415
    from entrypoints.cli.schema import require_current_schema  # noqa: PLC0415
    from entrypoints.container import Container  # noqa: PLC0415
    from entrypoints.http.app import create_app  # noqa: PLC0415

    try:
        settings = load_settings(tells_misspelt=link.is_successor)
        if link.is_successor:  # Settings or code may have changed since the parent has looked.
            require_current_schema(settings)
    except CommandFailed as error:
        for line in error.message.splitlines():
            _log.error("a worker cannot start: %s", line)
        sys.exit(error.exit_code)
    most = connections_of(settings)
    # Where there are few connections, streams must leave some.
    settings = replace(settings, live_max_streams=min(settings.live_max_streams, max(most // 2, 1)))
    container = Container(settings=settings)
    # Whatever is built before these are known is built without them: they come before anything is asked for.
    directory = Path(os.environ[METRICS_DIRECTORY])
    container.metrics_directory.override(directory)
    if known := os.environ.get(DATABASE_FILE):
        device, inode, file = known.split(":", 2)
        if file == str(settings.sqlite_file):  # A reload may have brought another database.
            container.database_file.override(FileId(int(device), int(inode)))
    _guard_connections(container, link.listener, most)
    state = ServerStateFile(directory)
    container.notices().add_source(state.notices)
    container.metrics_board().add_source(state.samples)
    app = create_app(container)
    end.attend(container)
    return app


def _guard_connections(container: Any, listener: int, most: int) -> None:
    """Have connections looked after that no request tells of."""
    from adapters.system.connection_guard import ConnectionGuard, ConnectionLimits  # noqa: PLC0415
    from application.shared.rate_limit import client_network  # noqa: PLC0415
    from entrypoints.http.edge.addresses import is_within  # noqa: PLC0415

    settings = container.settings()
    guard = ConnectionGuard(
        listener,
        ConnectionLimits(
            most=most,
            per_address=settings.connections_per_address,
            answer_seconds=settings.answer_seconds,
            answer_rate=settings.answer_min_rate,
            stuck_per_address=settings.transfers_per_address,
            stuck_in_all=settings.transfers_max,
        ),
        network_of=client_network,
        is_exempt=lambda address: is_within(address, settings.trusted_proxies),
        streams=container.live_peers(),
    )
    container.connection_guard.override(guard)
    container.metrics_board().add_source(guard.samples)


class _End:
    """The end of a worker, see the module. It begins once; what asks for it again changes nothing."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._container: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def attend(self, container: Any) -> None:
        """Take over the signals as soon as the loop runs, and tell the parent once requests are answered.

        Granian has set its handlers by then. SIGINT, which is blocked (see `be_a_worker`), stays Granian's:
        that is how it is told to stop when all is prepared.
        """
        self._container = container
        loop = asyncio.get_event_loop()

        def take_over() -> None:
            self._loop = loop
            loop.add_signal_handler(signal.SIGTERM, self._begin, self._stop)
            loop.add_signal_handler(RETIRE, self._begin, self._retire)

        loop.call_soon(take_over)
        container.serving().on_start(lambda: loop.create_task(self._report_ready()))

    def orphaned(self) -> None:
        """Begin without the parent, from another thread. The process is gone soon, whatever comes of it."""
        if self._loop is None:
            os._exit(1)  # It has not begun anything yet.
        self._loop.call_soon_threadsafe(self._begin, partial(self._finish, keeps_out=True))
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    async def _report_ready(self) -> None:
        # Granian begins to listen right after the application has started, and there is nothing to wait for it with.
        while not listens(self._link.listener):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._link.ready.send_bytes(b".")
        self._link.ready.close()

    def _begin(self, steps: Any) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(steps(), name="ending the worker")
            self._task.add_done_callback(_log_failure)

    async def _stop(self) -> None:
        self._container.serving().drain()
        await asyncio.sleep(self._container.settings().effective_drain_seconds)
        await self._finish(keeps_out=True)

    async def _retire(self) -> None:
        stop_accepting(self._link.listener)
        self._container.serving().close_connections()
        await asyncio.sleep(RETIRE_SECONDS)
        await self._finish(keeps_out=False)

    async def _finish(self, *, keeps_out: bool) -> None:
        serving, metrics = self._container.serving(), self._container.request_metrics()
        serving.close_connections()
        if keeps_out:
            drop_new_connections(self._link.listener)
        self._container.live_hub().hang_up()
        await _wait_until_idle(metrics)
        _stop_granian()
        port = self._container.settings().port
        while True:
            await asyncio.sleep(SILENT_SECONDS)
            if metrics.in_flight == 0:
                close_silent_connections(port)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the worker stops without its preparations", exc_info=error)
        _stop_granian()


def _stop_granian() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.raise_signal(signal.SIGINT)


async def _wait_until_idle(metrics: Any) -> None:
    """Return when nothing was under way and nothing new was asked for a moment, after a second at most."""
    until = time.monotonic() + QUIET_WITHIN_SECONDS
    asked, since = metrics.answered(), time.monotonic()
    while time.monotonic() < min(until, since + QUIET_SECONDS):
        await asyncio.sleep(_TICK_SECONDS)
        answered = metrics.answered()
        if metrics.in_flight or answered != asked:
            asked, since = answered, time.monotonic()


def _end_with_the_parent(end: _End) -> None:
    """Stop serving when the parent is gone without saying so (SIGKILL, out of memory).

    Otherwise the worker would keep the port, and the next start would find it taken by nobody visible.
    """
    parent = parent_process()
    if parent is None:
        return

    def follow() -> None:
        wait([parent.sentinel])
        # The parent's to remove, had it ended by itself. Nothing reads what is written from now on.
        shutil.rmtree(os.environ[METRICS_DIRECTORY], ignore_errors=True)
        end.orphaned()

    threading.Thread(target=follow, name="parent-watch", daemon=True).start()
