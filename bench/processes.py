"""Servers as processes: pinned to a core, measured from /proc, ended in order. Linux only."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 15
_READY_SECONDS = 60
_SETTLE_STEP = 0.3


class ServerFailed(Exception):
    """A contender's server did not start, or died; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the server has, and which the load generator. A database server of the machine runs where it likes."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The last core for the server, since interrupts go to the first. Raises `ServerFailed` with fewer than two."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise ServerFailed("the server and the load generator need a core each, and there is one")
        return cls(server=usable[-1], load=usable[0])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server on a core of its own, from start to end."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        cores: Sequence[int],
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
        ready: str | None = None,
    ) -> None:
        """`ready` is a path that answers 200 when it serves; without one, taking a connection is ready enough."""
        taskset = shutil.which("taskset")
        if taskset is None:
            raise ServerFailed("taskset is missing (Debian: apt install util-linux)")
        # When the harness is killed, so is what it started; not everywhere, but where there is setpriv.
        setpriv = shutil.which("setpriv")
        leash = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        self.port = port
        self._log = log
        self._known: set[int] = set()
        begun = time.monotonic()
        with log.open("ab") as stream:
            # A session of its own: Ctrl-C reaches the harness alone, which then ends its servers.
            self._process = subprocess.Popen(
                [*leash, taskset, "--cpu-list", ",".join(map(str, cores)), *command],
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self._await_port(ready)
        self.seconds_to_ready = time.monotonic() - begun

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _await_port(self, ready: str | None) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerFailed(f"ended with {self._process.returncode}:\n{self.log_end()}")
            if self._answers(ready):
                return
            time.sleep(0.01)
        self.stop()
        raise ServerFailed(f"takes no connections after {_READY_SECONDS} s:\n{self.log_end()}")

    def _answers(self, ready: str | None) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                if ready is None:
                    return True
                connection.sendall(f"GET {ready} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode())
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def log_end(self) -> str:
        return self._log.read_bytes()[-2_000:].decode(errors="replace")

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise ServerFailed(f"died with {self._process.returncode}:\n{self.log_end()}")

    def processes(self) -> list[int]:
        """Return all that are alive. What was ever found is remembered: the kernel's list of children may miss one."""
        self._known |= set(process_tree(self._process.pid))
        self._known = {pid for pid in self._known if Path(f"/proc/{pid}").exists()}
        return sorted(self._known)

    def cpu_seconds(self) -> float:
        """User and system time of all its living processes; its grain is one clock tick, 10 ms as a rule."""
        return sum(cpu_seconds(pid) for pid in self.processes())

    def settle(self, most_seconds: float) -> None:
        """Wait until its processes take next to no CPU time, `most_seconds` at the most."""
        deadline = time.monotonic() + most_seconds
        idle, before = 0, self.cpu_seconds()
        # Twice in a row, and asleep: on a busy machine it may have work to do and not be let.
        while idle < 2 and time.monotonic() < deadline:
            time.sleep(_SETTLE_STEP)
            now = self.cpu_seconds()
            is_idle = now - before < _SETTLE_STEP / 10 and not any(map(_is_runnable, self.processes()))
            idle = idle + 1 if is_idle else 0
            before = now

    def forget_memory_peak(self) -> None:
        for pid in self.processes():
            # 5: reset the peak resident set size (proc_pid_clear_refs(5)).
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def memory_peak_mib(self) -> float:
        """Peak resident memory since it was last forgotten, added up over processes: shared pages count in each."""
        return sum(_status_kib(pid, "VmHWM") for pid in self.processes()) / 1024

    def memory_mib(self) -> dict[str, float]:
        """Resident memory now, by process, largest first."""
        resident = {f"{_name(pid)} {pid}": _status_kib(pid, "VmRSS") / 1024 for pid in self.processes()}
        return dict(sorted(resident.items(), key=lambda item: -item[1]))

    def stop(self) -> None:
        """Ask it to end, and insist after 15 seconds."""
        for number, patience in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            if number is signal.SIGTERM:
                break


def process_tree(root: int) -> list[int]:
    """Return `root` and everything below it that is alive."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = list(Path(f"/proc/{pid}/task").iterdir())
            children = [(thread / "children").read_text(encoding="ascii") for thread in threads]
        except OSError:  # It ended while we looked.
            continue
        found.append(pid)
        waiting += [int(child) for line in children for child in line.split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, all threads; 0 when it is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = line.rpartition(")")[2].split()  # A name in parentheses comes first, and may hold anything.
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _is_runnable(pid: int) -> bool:
    """Tell whether a thread of a process runs or waits for a processor (state R, proc_pid_stat(5))."""
    states = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # It has just ended.
            states.append(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0])
    return "R" in states


def _status_kib(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "gone"
