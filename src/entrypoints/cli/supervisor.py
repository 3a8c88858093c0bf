"""The parent of the workers: starts them, replaces those that die, reloads them one by one, and ends them.

Granian has a parent of its own, of which this keeps the configuration and how a worker is made. What it does otherwise:
Granian ends when a worker dies twice within seconds, may lose one of two that die together, closes a worker's socket
with the worker, and at a reload stops each worker a fixed time after it has started the next, ready or not.

One thread does everything: it waits for the end of a worker, for word that one is ready, for a signal, or for the time
of what is due, whatever comes first. The parent serves nothing and never touches the database.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from granian.server.mp import MPServer, WorkerProcess

from adapters.system.listening import SHARES_BY_KERNEL, bind, renewed
from adapters.system.server_state import ServerState, ServerStateFile
from entrypoints.cli.process_start import begin
from entrypoints.cli.worker import RETIRE, Link

_log = logging.getLogger("postern.server")

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Between the end of a worker that keeps dying and its replacement: nothing the first time, then 1 s, and twofold. Nor
is there a pause after one that has served while no other is there."""
STEADY_SECONDS: Final = 60.0
"""A worker that has lived for so long is not one that keeps dying."""
READY_SECONDS: Final = 60.0
"""How long the successor of a worker may take to start at a reload."""
RETIRE_SECONDS: Final = 10.0
"""How long a worker that has a successor may take to finish what it has begun."""


@dataclass(eq=False)
class _Worker:
    process: Any
    word: Connection | None
    """Where it says that it is ready, once; None when there is nothing more to hear."""
    is_ready: bool = False
    ready_by: float | None = None
    """When a successor is given up that is not ready."""
    gone_by: float | None = None
    """When one that was told to end is killed."""

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def has_ended(self) -> bool:
        return self.process.exitcode is not None

    def how(self) -> str:
        code = self.process.exitcode
        return f"with exit code {code}" if code >= 0 else f"of {signal.Signals(-code).name}"


@dataclass(eq=False)
class _Slot:
    """What one of the workers listens at, and who does."""

    index: int
    listener: socket.socket
    worker: _Worker | None = None
    successor: _Worker | None = None
    died: list[float] = field(default_factory=list)
    """When each worker of a row of deaths ended."""
    due: float | None = None
    """When the next worker is to be started."""


class Supervisor(MPServer):
    """See the module. Takes what Granian's server does, with the interface ASGI."""

    def __init__(
        self,
        *arguments: Any,
        state: ServerStateFile,
        stop_seconds: float,
        reloads: bool,
        on_ready: Callable[[], None],
        **options: Any,
    ) -> None:
        """`stop_seconds` is how long workers may take to end; `on_ready` is called when the first is ready, once."""
        super().__init__(*arguments, **options)
        self._state_file = state
        self._stop_seconds = stop_seconds
        self._reloads = reloads
        self._on_ready = on_ready
        self._slots: list[_Slot] = []
        self._retiring: list[_Worker] = []
        self._to_reload: list[_Slot] = []
        self._is_reloading = False
        self._was_ready = False
        self._deaths = 0
        self._done_reloads = 0
        self._abandoned_reloads = 0
        self._is_last_reload_abandoned = False
        self._told: ServerState | None = None
        self._wake_here, self._wake_there = socket.socketpair()
        for end in (self._wake_here, self._wake_there):
            end.setblocking(False)

    # What Granian calls

    def signal_handler_interrupt(self, *_: Any) -> None:
        self.interrupt_signal = True
        self._wake()

    def signal_handler_reload(self, *_: Any) -> None:
        self.reload_signal = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._wake_there.send(b".")
        except BlockingIOError:  # It is being woken already.
            return

    def _init_shared_socket(self) -> None:
        self._sso = None
        listeners = bind(self.bind_addr, self.bind_port, self.workers)
        self._slots = [_Slot(index, listener) for index, listener in enumerate(listeners)]

    def _drop_shared_socket(self) -> None:
        for slot in self._slots:
            slot.listener.close()

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        self._target, self._loader = spawn_target, target_loader
        for slot in self._slots:
            slot.worker = self._start(slot)
        self._write_state()

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:  # noqa: ARG002 - kept from the start
        while not self.interrupt_signal and not self.interrupt_children:
            wait([self._wake_here, *self._awaited()], self._patience())
            self._drain_wakeups()
            self._run_due_actions()

    def _stop_workers(self) -> None:
        """Tell all to end, and kill those that have not after a time. They end within it; see `worker`."""
        left = [worker for worker in self._all() if not worker.has_ended()]
        for worker in left:
            worker.process.terminate()
        deadline = time.monotonic() + self._stop_seconds
        while left and (patience := deadline - time.monotonic()) > 0:
            wait([worker.process.sentinel for worker in left], patience)
            left = [worker for worker in left if not worker.has_ended()]
        for worker in left:
            _log.warning("a worker (process %d) did not end within %g s and is killed", worker.pid, self._stop_seconds)
            worker.process.kill()
            worker.process.join()

    # The workers

    def _start(self, slot: _Slot, *, is_successor: bool = False) -> _Worker:
        here, there = Pipe(duplex=False)
        others = [other.listener.fileno() for other in self._slots if other.listener is not slot.listener]
        link = Link(
            listener=slot.listener.fileno(),
            backlog=self.backlog,
            foreign=(*others, here.fileno(), self._wake_here.fileno(), self._wake_there.fileno()),
            ready=there,
            is_successor=is_successor,
        )
        made: WorkerProcess = self._spawn_worker(slot.index, self._target, partial(self._loader, link))
        begin(made.inner)
        there.close()
        return _Worker(made.inner, here, ready_by=time.monotonic() + READY_SECONDS if is_successor else None)

    def _all(self) -> Iterator[_Worker]:
        yield from self._retiring
        for slot in self._slots:
            yield from (worker for worker in (slot.worker, slot.successor) if worker is not None)

    def _awaited(self) -> Iterator[Any]:
        for worker in self._all():
            yield worker.process.sentinel
            if worker.word is not None:
                yield worker.word

    def _patience(self) -> float | None:
        """Return the seconds until something is due; None: nothing is."""
        times = [worker.gone_by for worker in self._retiring]
        for slot in self._slots:
            times.append(slot.due)
            times.append(None if slot.successor is None else slot.successor.ready_by)
            times.append(slot.died[-1] + STEADY_SECONDS if slot.died and slot.due is None else None)
        known = [timestamp for timestamp in times if timestamp is not None]
        return max(min(known) - time.monotonic(), 0.0) if known else None

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_here.recv(64):
                pass
        except BlockingIOError:
            return

    def _run_due_actions(self) -> None:
        now = time.monotonic()
        for worker in self._all():
            if worker.word is not None and worker.word.poll():
                self._handle_message(worker, worker.word)
        for slot in self._slots:
            self._run_due_action(slot, now)
        for worker in list(self._retiring):
            if worker.has_ended():
                self._retiring.remove(worker)
            elif worker.gone_by is not None and now >= worker.gone_by:
                _log.warning("a worker (process %d) that was replaced did not end and is killed", worker.pid)
                worker.gone_by = None
                worker.process.kill()
        if self.reload_signal:
            self.reload_signal = False
            self._begin_reload()
        self._go_on_with_reload()
        self._write_state()

    def _handle_message(self, worker: _Worker, word: Connection) -> None:
        worker.word = None
        with word:
            try:
                word.recv_bytes()
            except (EOFError, OSError):  # It ended instead.
                return
        worker.is_ready = True
        if not self._was_ready:
            self._was_ready = True
            self._on_ready()

    def _run_due_action(self, slot: _Slot, now: float) -> None:
        if slot.worker is not None and slot.worker.has_ended():
            self._record_death(slot, slot.worker, now)
        if slot.died and slot.due is None and now - slot.died[-1] >= STEADY_SECONDS:
            slot.died.clear()
        if slot.due is not None and now >= slot.due:
            self._replace(slot, now)
        successor = slot.successor
        if successor is None:
            return
        if successor.has_ended():
            self._abandon_reload(slot, successor, f"the new worker ended {successor.how()}")
        elif successor.is_ready:
            old, slot.worker, slot.successor = slot.worker, successor, None
            slot.died.clear()
            if old is not None:
                self._retire(old, now)
        elif successor.ready_by is not None and now >= successor.ready_by:
            self._abandon_reload(slot, successor, f"the new worker was not ready after {READY_SECONDS:g} s")

    def _record_death(self, slot: _Slot, worker: _Worker, now: float) -> None:
        """Note the death of a worker that was not told to end, and decide when it is replaced."""
        slot.worker = None
        self._deaths += 1
        if not self._was_ready:
            # What fails before any has ever been ready would fail again.
            _log.error("a worker ended %s before it was ready", worker.how())
            self.interrupt_children.append(slot.index)
            return
        if slot.died and now - slot.died[-1] >= STEADY_SECONDS:
            slot.died.clear()
        slot.died.append(now)
        pause = 0.0
        if slot.successor is None:
            # When nothing is left that serves, a pause would spare nobody; one that never served would fail again.
            is_last = worker.is_ready and all(other.has_ended() for other in self._all())
            pause = 0.0 if is_last else pause_before(len(slot.died))
            self._plan(slot, now, pause)
        _log.error(
            "a worker (process %d) ended %s and is replaced %s",
            worker.pid,
            worker.how(),
            f"in {pause:g} s" if pause else "at once",
        )

    def _plan(self, slot: _Slot, now: float, pause: float) -> None:
        """Have the next worker of a place that has none start after `pause`."""
        slot.due = now + pause
        # Connections at its socket are answered by that one, unless others can take them sooner.
        if SHARES_BY_KERNEL and (len(self._slots) > 1 or pause > FIRST_PAUSE_SECONDS):
            try:
                slot.listener = renewed(slot.listener)
            except OSError as error:  # No descriptors, say.
                _log.error("connections wait for the next worker, since their socket cannot be replaced: %s", error)

    def _replace(self, slot: _Slot, now: float) -> None:
        slot.due = None
        try:
            slot.worker = self._start(slot)
        except OSError as error:  # No memory, or too many processes: as if it had died at once.
            slot.died.append(now)
            pause = max(pause_before(len(slot.died)), FIRST_PAUSE_SECONDS)
            _log.error("a worker cannot be started, and will be in %g s: %s", pause, error)
            self._plan(slot, now, pause)

    def _retire(self, worker: _Worker, now: float) -> None:
        worker.gone_by = now + RETIRE_SECONDS
        self._retiring.append(worker)
        os.kill(worker.pid, RETIRE)

    # Reloading

    def _begin_reload(self) -> None:
        if not self._reloads:
            _log.warning("SIGHUP is ignored: what a database in memory keeps would be lost with its worker")
            return
        _log.warning("reloading: each worker is replaced by a new one")
        self._to_reload = list(self._slots)
        self._is_reloading = True

    def _go_on_with_reload(self) -> None:
        if not self._is_reloading or self._retiring or any(slot.successor is not None for slot in self._slots):
            return
        if self._to_reload:
            slot = self._to_reload.pop(0)
            slot.due = None  # A worker that is dead or dying has a successor at once, too.
            try:
                slot.successor = self._start(slot, is_successor=True)
            except OSError as error:
                self._abandon_reload(slot, None, f"a worker cannot be started: {error}")
            return
        self._is_reloading = self._is_last_reload_abandoned = False
        self._done_reloads += 1
        _log.warning("reloaded")

    def _abandon_reload(self, slot: _Slot, successor: _Worker | None, reason: str) -> None:
        slot.successor = None
        if successor is not None and not successor.has_ended():
            successor.process.kill()
            self._retiring.append(successor)
        if slot.worker is None:
            self._plan(slot, time.monotonic(), pause_before(len(slot.died)))
        self._to_reload.clear()
        self._is_reloading = False
        self._abandoned_reloads += 1
        self._is_last_reload_abandoned = True
        _log.error("the reload is abandoned: %s; the workers from before it go on", reason)

    def _write_state(self) -> None:
        dying = max((len(slot.died) for slot in self._slots), default=0)
        state = ServerState(
            wanted=self.workers,
            deaths=self._deaths,
            dying=dying,
            pause_seconds=pause_before(dying + 1) if dying else 0.0,
            reloads=self._done_reloads,
            abandoned_reloads=self._abandoned_reloads,
            is_last_reload_abandoned=self._is_last_reload_abandoned,
        )
        if state != self._told:
            self._told = state
            try:
                self._state_file.write(state)
            except OSError as error:
                _log.warning("cannot tell the workers how they are: %s", error)


def pause_before(death: int) -> float:
    """Return the seconds that pass before the replacement that follows the `death`-th death of a row."""
    if death <= 1:
        return 0.0
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(death - 2, 20), LONGEST_PAUSE_SECONDS))
