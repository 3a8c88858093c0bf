"""wrk, a load generator with keep-alive connections: how it is called, and what its output says."""

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_MARK = "figures "
_PATIENCE_SECONDS = 30


class WrkFailed(Exception):
    """wrk is missing, or ended without figures."""


@dataclass(frozen=True, slots=True)
class WrkFigures:
    """What one run of wrk counted. Latencies are in microseconds.

    They are those of a closed loop: a connection sends when it has its answer, so a server that stalls is asked less.
    wrk fills in what it would have sent (its correction for coordinated omission), which is an estimate; the open-loop
    runs measure it.
    """

    requests: int
    seconds: float
    bytes: int
    p50: float
    p99: float
    maximum: float
    errors: dict[str, int]
    """Those that occurred, by kind: connect, read, write, status (400 and above), timeout."""

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def mean_answer_bytes(self) -> float:
        return self.bytes / self.requests

    def fault(self) -> str | None:
        """Say why the run counts for nothing; None when every answer was one that was wanted."""
        if self.errors:
            return "wrk counted " + ", ".join(f"{count} {kind} errors" for kind, count in self.errors.items())
        return None if self.requests else "no answers at all"


def find_wrk() -> str:
    """Raises `WrkFailed` with what to do."""
    found = shutil.which("wrk")
    if found is None:
        raise WrkFailed("wrk is missing (Debian and Ubuntu: apt install wrk; macOS cannot pin cores, use Linux)")
    return found


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    with path.open("wb") as stream:
        for request in requests:
            stream.write(b"%d\n" % len(request) + request)


def run(requests: Path, *, host: str, connections: int, seconds: float, cores: Collection[int]) -> WrkFigures:
    """Drive `host` with prepared requests. Raises `WrkFailed`."""
    command = [
        *(find_wrk(), "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{max(1, round(seconds))}s", "--timeout", f"{_PATIENCE_SECONDS}s"),
        *("--script", str(SCRIPT), f"http://{host}", "--", str(requests)),
    ]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))  # Inherited: wrk is pinned from its first instruction.
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 2 * _PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise WrkFailed("wrk did not end") from None
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise WrkFailed((done.stderr or done.stdout).strip())
    return parse(done.stdout)


def parse(output: str) -> WrkFigures:
    """Read what `wrk.lua` printed at the end. Raises `WrkFailed` when it is not there."""
    line = next((line for line in reversed(output.splitlines()) if line.startswith(_MARK)), None)
    if line is None:
        raise WrkFailed(f"wrk printed no figures:\n{output.strip()}")
    counted: dict[str, int] = json.loads(line.removeprefix(_MARK))
    kinds = ("connect", "read", "write", "status", "timeout")
    if counted["microseconds"] <= 0:
        raise WrkFailed("wrk ran for no time at all")
    return WrkFigures(
        requests=counted["requests"],
        seconds=counted["microseconds"] / 1e6,
        bytes=counted["bytes"],
        p50=counted["p50"],
        p99=counted["p99"],
        maximum=counted["max"],
        errors={kind: counted[kind] for kind in kinds if counted[kind]},
    )
