"""Two workers on two cores against one on one: what of a second core arrives.

There are two cores, and the load generator needs some of them, so this is arithmetic on what was counted, not a plain
measurement, and it is said as such:

- One worker has a core of its own, the generator the other, as everywhere in this benchmark.
- Two workers, the generator and the database server then share both cores. The processes' own accounts say how much
  processor time a request took the workers (contention between them included: locks, caches, the kernel's socket), and
  /proc/stat how much of both cores lay idle while something waited.
- The floor is measured in the same way, and is what this machine makes possible: two processors that are threads of one
  physical core, or share its caches, do not do twice as much.
- If the generator were elsewhere, the workers would have what it took, and waiting would idle as it did: they would
  answer (2 cores less idle) / time per request. That, divided by the same for one worker on one core, is the figure.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from bench import wrk
from bench.contenders import Floor, Postern, Surroundings
from bench.processes import Server
from bench.results import Results
from bench.runner import FAULTS
from bench.workloads import OnePost, OwnPostsCached, Workload, WrongAnswer

CONNECTIONS: Final = 64
_ROUNDS: Final = 3
_SECONDS: Final = 2
_TOPOLOGY: Final = Path("/sys/devices/system/cpu")
_PLACE: Final = ("physical_package_id", "core_id")
"""What two threads of one physical core have in common."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def measure(
    contenders: Sequence[Postern | Floor], results: Results, *, around: Surroundings, say: Callable[[str], None]
) -> None:
    """Measure each of them, and what the two cores are to each other."""
    results.machine = _machine((around.cores.server, around.cores.load))
    say(f"two loops at once: {results.machine['loops']:.2f} times one")
    for contender in contenders:
        try:
            _measure(contender, results, around, say)
        except FAULTS as error:
            say(f"two workers, {contender.name}: {error}")


def _measure(contender: Postern | Floor, results: Results, around: Surroundings, say: Callable[[str], None]) -> None:
    whose = contender.database or "floor"
    results.workers = [each for each in results.workers if each["database"] != whose]
    both = [around.cores.load, around.cores.server]
    two = contender.serve(log="two-workers", more={"WORKERS": "2"}, cores=both)
    try:
        for workload in (OwnPostsCached(), OnePost()):
            found = _scaling(contender, two, workload, around)
            results.workers.append({"database": whose, "what": workload.title, **found})
            say(
                f"two workers, {workload.title}, {whose}: {found['scaling']:.2f} times one "
                f"({found['two_us']:.0f} µs a request against {found['one_us']:.0f}, {found['idle']:.0%} idle)"
            )
    finally:
        two.stop()


def _machine(cores: tuple[int, int]) -> dict[str, Any]:
    """Say how many threads share a physical core, as far as the kernel knows, and what two cores do at once.

    A virtual machine may not be told that its cores are two threads of one. A loop that touches no memory to speak of
    tells it: on two cores of their own, two do twice as much as one.
    """
    known = {tuple((_TOPOLOGY / f"cpu{core}" / "topology" / name).read_text() for name in _PLACE) for core in cores}
    pairs: list[float] = []
    for _ in range(_ROUNDS):
        [alone] = _loops(cores[:1])
        pairs.append(sum(_loops(cores)) / alone)
    return {"cores": list(cores), "physical_cores": len(known), "loops": statistics.median(pairs)}


def _loops(cores: Sequence[int]) -> list[float]:
    """Return how many turns a loop makes on each of these cores, all at once."""
    program = (
        "import time; begun = time.perf_counter(); turns = 0\n"
        "while time.perf_counter() - begun < 0.5:\n    for _ in range(10_000): pass\n    turns += 1\nprint(turns)"
    )
    commands = [["taskset", "--cpu-list", str(core), sys.executable, "-c", program] for core in cores]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    return [float(each.communicate()[0]) for each in running]


def _scaling(contender: Postern | Floor, two: Server, workload: Workload, around: Surroundings) -> dict[str, Any]:
    """Let one worker and two answer in turns."""
    session, one = contender.session_for(workload), contender.server_for(workload)
    prepared = workload.requests(session, _SECONDS)
    files: list[Path] = []
    for number, server in enumerate((one, two)):
        # The same database and the same key: what one has signed the other takes.
        file = around.directory / f"workers-{number}.requests"
        wrk.write_requests(file, (request.raw(server.host) for request in prepared))
        files.append(file)
    both = [around.cores.load, around.cores.server]
    rounds: list[dict[str, float]] = []
    for number in range(_ROUNDS + 1):
        alone = _round(one, files[0], [around.cores.load], [around.cores.server])
        shared = _round(two, files[1], both, both)
        if number:  # The first is for warming up.
            scaling = 2 * (1 - shared["idle"]) / shared["us"] / ((1 - alone["idle"]) / alone["us"])
            rounds.append(
                {
                    "scaling": scaling, "one_rate": alone["rate"], "two_rate": shared["rate"],
                    "one_us": alone["us"], "two_us": shared["us"], "idle": shared["idle"],
                }
            )  # fmt: skip
    found = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    scalings = [each["scaling"] for each in rounds]
    return {**found, "scaling_low": min(scalings), "scaling_high": max(scalings)}


def _round(server: Server, file: Path, cores: Sequence[int], watched: Sequence[int]) -> dict[str, float]:
    """Return answers a second, microseconds of the workers' processors each, and the idle share of what is watched.

    Raises `WrongAnswer`.
    """
    worked, idle, begun = server.cpu_seconds(), _idle_seconds(watched), time.perf_counter()
    figures = wrk.run(file, host=server.host, connections=CONNECTIONS, seconds=_SECONDS, cores=cores)
    if fault := figures.fault():
        raise WrongAnswer(fault)
    elapsed = time.perf_counter() - begun
    worked, idle = server.cpu_seconds() - worked, _idle_seconds(watched) - idle
    # wrk takes a moment to start and to end, in which nobody has anything to do.
    idle = max(0.0, idle - len(watched) * (elapsed - figures.seconds))
    return {
        "rate": figures.requests_per_second,
        "us": worked / figures.requests * 1e6,
        "idle": min(1.0, idle / (len(watched) * figures.seconds)),
    }


def _idle_seconds(cores: Collection[int]) -> float:
    """Return how long these cores have been idle, waiting for disks included."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines if line.startswith("cpu")]
    return sum(int(each[4]) + int(each[5]) for each in fields if each[0] in {f"cpu{core}" for core in cores}) / _TICKS
