"""Two workers on two cores against one on one: what of a second core arrives.

There are two cores, and the load generator needs some of them, so this is arithmetic on what was counted, not a plain
measurement, and it is said as such:

- One worker has a core of its own, the generator the other, as everywhere in this benchmark.
- Two workers, the generator and the database server then share both cores. The processes' own accounts say how much
  processor time a request took the workers (contention between them included: locks, caches, the kernel's socket), and
  /proc/stat how much of both cores lay idle while something waited.
- If the generator were elsewhere, the workers would have what it took, and waiting would idle as it did: they would
  answer (2 cores less idle) / time per request. That, divided by the same for one worker on one core, is the figure.
"""

import os
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from bench import wrk
from bench.contenders import Postern, Surroundings
from bench.processes import Server
from bench.results import Results
from bench.workloads import OnePost, OwnPostsCached, Workload, WrongAnswer

CONNECTIONS: Final = 64
_ROUNDS: Final = 3
_SECONDS: Final = 2
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def measure(
    contenders: Sequence[Postern], results: Results, *, around: Surroundings, say: Callable[[str], None]
) -> None:
    for contender in contenders:
        both = [around.cores.load, around.cores.server]
        two = contender.serve(log="two-workers", more={"WORKERS": "2"}, cores=both)
        try:
            for workload in (OwnPostsCached(), OnePost()):
                found = _scaling(contender, two, workload, around)
                known = {"database": contender.database, "what": workload.title}
                results.workers = [each for each in results.workers if not known.items() <= each.items()]
                results.workers.append({**known, **found})
                say(
                    f"two workers, {workload.title}, {contender.database}: {found['scaling']:.2f} times one "
                    f"({found['two_us']:.0f} µs a request against {found['one_us']:.0f}, {found['idle']:.0%} idle)"
                )
        finally:
            two.stop()


def _scaling(contender: Postern, two: Server, workload: Workload, around: Surroundings) -> dict[str, Any]:
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
