"""One run: everybody gets ready, takes turns, and is checked before and after."""

import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import openloop, wrk
from bench.contenders import Contender
from bench.figures import Round
from bench.http1 import MalformedAnswer
from bench.processes import Cores, ServerFailed
from bench.results import Calm, Results, Start
from bench.servers import Unavailable
from bench.workloads import NotOffered, Workload, WrongAnswer, size_fault

FAULTS: Final = (WrongAnswer, ServerFailed, MalformedAnswer, wrk.WrkFailed, OSError)
"""What voids a figure instead of ending the run."""
OPEN_LOOP: Final = ("own_posts_hit", "one_post", "mixed")
_OPEN_LOOP_SHARE: Final = 0.8
"""Of what a contender does in a closed loop: beyond it, a fixed rate only fills a queue."""
LOG_INS_WAITING: Final = 200
_CALM_RATE: Final = 200
_SETTLE_SECONDS: Final = 30
"""How long a server is waited for that still hashes for clients who have gone."""

_AT_ONCE: Final = 2
"""Databases that are filled at the same time."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything. Rounds are long and many where figures are compared: at the most connections."""

    rounds: int
    seconds: int
    brief_rounds: int
    """At fewer connections, and of workloads that are a side of another."""
    brief_seconds: int
    connections: Sequence[int]
    rates: Sequence[int]
    open_seconds: float
    warm_up_seconds: float

    def pace(self, workload: Workload, connections: int) -> tuple[int, float]:
        """Return how many rounds of how many seconds; no rounds where it is left out."""
        most = connections == max(self.connections)
        if workload.only_most_connections and not most:
            return 0, 0
        # What hashes takes its time, or a round would count many or none of the answers by chance.
        least = workload.least_seconds if most else min(workload.least_seconds, 3)
        if not most or workload.is_brief:
            rounds = max(self.brief_rounds, workload.least_rounds) if most else self.brief_rounds
            if least > self.brief_seconds and not most:
                rounds = 1
            return rounds, max(self.brief_seconds, least)
        return self.rounds, max(self.seconds, least)


class Runner:
    def __init__(
        self, contenders: Sequence[Contender], workloads: Sequence[Workload], plan: Plan, results: Results, *,
        cores: Cores, directory: Path, say: Say,
    ) -> None:  # fmt: skip
        self._contenders = list(contenders)
        self._workloads = workloads
        self._plan = plan
        self._results = results
        self._cores = cores
        self._directory = directory
        self._say = say
        self._sizes: dict[tuple[str, str], float] = {}
        results.connections = sorted({*results.connections, *plan.connections})

    @contextmanager
    def everybody_ready(self) -> Iterator[list[Contender]]:
        """Get everybody ready; whatever happens then, every server that was started is ended."""
        everybody = list(self._contenders)
        before = os.sched_getaffinity(0)
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                ready = list(pool.map(self._make_ready, everybody))
            for contender, is_ready in zip(everybody, ready, strict=True):
                if is_ready:
                    self._start(contender)
            self._contenders = [each for each in everybody if each.servers]
            # From here on this process, and what it starts, keeps off the servers' core.
            os.sched_setaffinity(0, {self._cores.load})
            self._prepare()
            yield self._contenders
        finally:
            os.sched_setaffinity(0, before)
            for contender in reversed(everybody):
                contender.tear_down()

    def measure(self, workloads: Sequence[Workload]) -> None:
        """Measure these in the closed loop, everybody in turns."""
        for _, together in itertools.groupby(workloads, key=lambda each: each.turns or each.name):
            self._closed_loop(list(together))

    def accounts(self, workloads: Sequence[Workload]) -> None:
        """Measure what hashes, and the bare hash before, between and after it, for it to be held against."""
        bare = [bare_hashes_per_second(self._cores.server)]
        for workload in workloads:
            self.measure([workload])
            bare.append(bare_hashes_per_second(self._cores.server))
        self._results.bare_hashes_per_second = statistics.median(bare)
        self._say(f"the bare hash: {statistics.median(bare):.1f} a second")

    def _make_ready(self, contender: Contender) -> bool:
        begun = time.monotonic()
        try:
            contender.prepare()
        except (Unavailable, *FAULTS) as error:
            self._absent(contender, error)
            return False
        self._say(f"{contender.title}: the data is there after {time.monotonic() - begun:.0f} s")
        return True

    def _absent(self, contender: Contender, error: Exception) -> None:
        self._results.absent[contender.name] = str(error)
        self._say(f"{contender.title} does not take part: {error}")

    def _start(self, contender: Contender) -> None:
        try:
            contender.start()
        except (Unavailable, *FAULTS) as error:
            self._absent(contender, error)
            return
        self._results.absent.pop(contender.name, None)
        server = contender.servers[False]
        self._results.starts[contender.name] = Start(server.seconds_to_ready, server.memory_mib())

    def _prepare(self) -> None:
        for workload in self._workloads:
            self._results.forget(workload.name, {contender.name for contender in self._contenders})
        for workload, contender in itertools.product(self._workloads, self._contenders):
            if contender.takes_part_in(workload):
                self._guarded(_prepare, workload, contender)

    def _guarded(self, step: Callable[..., None], workload: Workload, contender: Contender, *arguments: object) -> None:
        """Do something of which the failure belongs to one workload and contender."""
        key = (workload.name, contender.name)
        try:
            step(workload, contender, *arguments)
        except NotOffered as reason:
            self._results.missing[key] = str(reason)
        except FAULTS as error:
            self._void(key, f"{error}" or type(error).__name__)

    def _void(self, key: tuple[str, str], reason: str) -> None:
        self._results.void.setdefault(key, reason)
        self._say(f"  VOID {key[1]}, {key[0]}: {reason}")

    def _entrants(self, workload: Workload) -> list[Contender]:
        results = self._results
        return [
            contender
            for contender in self._contenders
            if contender.takes_part_in(workload)
            and (workload.name, contender.name) not in results.missing
            and (workload.name, contender.name) not in results.void
        ]

    def _closed_loop(self, together: Sequence[Workload]) -> None:
        """Measure one workload, or some that are compared with one another: theirs are the same rounds."""
        files: dict[tuple[str, str], Path] = {}
        for workload in together:
            for contender in self._entrants(workload):
                self._guarded(self._check_before, workload, contender)
            for contender in self._entrants(workload):
                self._guarded(self._keep_file, workload, contender, files)
        for connections in self._plan.connections:
            rounds, seconds = self._plan.pace(together[0], connections)
            for number in range(rounds):
                for workload, contender in self._turns(together, number):
                    if contender in self._entrants(workload):
                        self._guarded(self._round, workload, contender, files, connections, seconds)
        for workload in together:
            for contender in self._entrants(workload):
                self._guarded(_verify, workload, contender)
            self._tell(workload)

    def _turns(self, together: Sequence[Workload], number: int) -> list[tuple[Workload, Contender]]:
        """Return who is asked for what in this round: beginning with another one each time."""
        first = number % len(self._contenders) if self._contenders else 0
        # Of what is compared, too, the first comes last the next time: neither always finds the other's cold caches.
        ordered = list(together) if number % 2 == 0 else list(reversed(together))
        everybody = (*self._contenders[first:], *self._contenders[:first])
        return [(workload, contender) for contender in everybody for workload in ordered]

    def _keep_file(self, workload: Workload, contender: Contender, files: dict[tuple[str, str], Path]) -> None:
        files[workload.name, contender.name] = self._file(workload, contender)

    def _check_before(self, workload: Workload, contender: Contender) -> None:
        contender.verify(workload)
        session = contender.session_for(workload)
        samples = workload.size_check(workload.requests(session, 1))
        if samples:
            answers = [session.ask(request, 200, 201, 304) for request in samples]
            self._sizes[workload.name, contender.name] = sum(answer.size for answer in answers) / len(answers)
        # What hashes is not slow for being cold, and may answer nobody in a second.
        if self._plan.warm_up_seconds and not workload.least_seconds:
            file = self._file(workload, contender, self._plan.warm_up_seconds)
            self._drive(workload, contender, file, max(self._plan.connections), self._plan.warm_up_seconds)

    def _file(self, workload: Workload, contender: Contender, seconds: float | None = None) -> Path:
        session = contender.session_for(workload)
        host = contender.server_for(workload).host
        requests = workload.requests(session, max(1, workload.least_seconds) if seconds is None else seconds)
        # One name a contender and workload: the runs before are over, and their files of no use.
        path = self._directory / f"{workload.name}-{contender.name}.requests"
        wrk.write_requests(path, (request.raw(host) for request in requests))
        return path

    def _drive(
        self, workload: Workload, contender: Contender, file: Path, connections: int, seconds: float
    ) -> wrk.WrkFigures:
        server = contender.server_for(workload)
        server.check_alive()
        figures = wrk.run(file, host=server.host, connections=connections, seconds=seconds, cores=[self._cores.load])
        server.check_alive()
        if fault := figures.fault():
            raise WrongAnswer(fault)
        expected = self._sizes.get((workload.name, contender.name))
        if expected is not None and (fault := size_fault(expected, figures.mean_answer_bytes)):
            raise WrongAnswer(fault)
        return figures

    def _round(
        self, workload: Workload, contender: Contender, files: dict[tuple[str, str], Path], connections: int,
        seconds: float,
    ) -> None:  # fmt: skip
        kept = files[workload.name, contender.name]
        file = self._file(workload, contender, seconds) if workload.is_used_up else kept
        server = contender.server_for(workload)
        server.forget_memory_peak()
        before = server.cpu_seconds()
        figures = self._drive(workload, contender, file, connections, seconds)
        worked = server.cpu_seconds() - before
        found = Round(
            requests_per_second=figures.requests_per_second,
            p50=figures.p50,
            p99=figures.p99,
            cpu_per_request=worked / figures.requests * 1e6,
            peak_memory_mib=server.memory_peak_mib(),
            mean_answer_bytes=figures.mean_answer_bytes,
        )
        self._results.rounds.setdefault((workload.name, contender.name, connections), []).append(found)
        if workload.least_seconds:
            server.settle(_SETTLE_SECONDS)  # Or it would take the core from whoever is next.

    def _tell(self, workload: Workload) -> None:
        most = self._results.most_connections
        found = {each.name: self._results.summary(workload.name, each.name, most) for each in self._contenders}
        rates = ", ".join(f"{name} {each.requests_per_second.median:,.0f}" for name, each in found.items() if each)
        self._say(f"{workload.title}, {most} connections, requests/s: {rates or 'nobody'}")

    def open_loops(self) -> None:
        """Ask at fixed rates, as far as what is known of the closed loop allows."""
        for workload in self._workloads:
            if workload.name not in OPEN_LOOP:
                continue
            for rate, contender in itertools.product(self._plan.rates, self._entrants(workload)):
                closed = self._results.summary(workload.name, contender.name, self._results.most_connections)
                if closed is None or rate > _OPEN_LOOP_SHARE * closed.requests_per_second.median:
                    continue
                self._guarded(self._open_loop, workload, contender, rate)

    def _open_loop(self, workload: Workload, contender: Contender, rate: int) -> None:
        host = contender.server_for(workload).host
        requests = workload.requests(contender.session_for(workload), self._plan.open_seconds)
        raw = [request.raw(host) for request in requests]
        figures = openloop.run(raw, host=host, rate=rate, seconds=self._plan.open_seconds)
        self._results.open_loop[workload.name, contender.name, rate] = figures
        fault = figures.fault()
        told = f"p50 {figures.p50 / 1000:.2f} ms, p99 {figures.p99 / 1000:.2f} ms" if fault is None else fault
        self._say(f"{workload.title}, {rate}/s, {contender.name}: {told}")

    def log_ins(self) -> None:
        """Read at a fixed rate while 200 wait to be logged in, and see what hashing alone can do."""
        by_name = {workload.name: workload for workload in self._workloads}
        if not {"log_in", "one_post"} <= set(by_name):
            return
        if self._results.bare_hashes_per_second is None:
            self._results.bare_hashes_per_second = bare_hashes_per_second(self._cores.server)
        log_in, one_post = by_name["log_in"], by_name["one_post"]
        both = {each.name for each in self._entrants(log_in)} & {each.name for each in self._entrants(one_post)}
        both -= {"floor"}
        for contender in self._contenders:
            if contender.name in both:
                self._guarded(self._calm, one_post, contender, log_in)

    def _calm(self, one_post: Workload, contender: Contender, log_in: Workload) -> None:
        seconds = max(3.0, min(5.0, self._plan.open_seconds))
        file = self._file(log_in, contender)
        host = contender.server_for(one_post).host
        raw = [request.raw(host) for request in one_post.requests(contender.session_for(one_post), seconds)]
        outcome: list[wrk.WrkFigures | Exception] = []

        def log_many_in() -> None:
            try:
                outcome.append(
                    wrk.run(file, host=host, connections=LOG_INS_WAITING, seconds=seconds + 2, cores=[self._cores.load])
                )
            except (wrk.WrkFailed, OSError) as error:
                outcome.append(error)

        logging_in = threading.Thread(target=log_many_in)
        logging_in.start()
        try:
            time.sleep(1)  # until all of them wait
            reads = openloop.run(raw, host=host, rate=_CALM_RATE, seconds=seconds, connections=16)
        finally:
            logging_in.join()
        figures = outcome[0]
        if isinstance(figures, Exception):
            raise figures
        if fault := figures.fault() or reads.fault():
            # The figures of reading alone still stand; this one does not.
            self._say(f"reads while 200 log in, {contender.name}: {fault}")
            return
        self._results.calm[contender.name] = Calm(LOG_INS_WAITING, figures.requests_per_second, reads)
        self._say(f"reads while 200 log in, {contender.name}: p99 {reads.p99 / 1000:.1f} ms")


def _prepare(workload: Workload, contender: Contender) -> None:
    if workload.needs_crowd:
        contender.sign_in_crowd()
    workload.prepare(contender.session_for(workload))


def _verify(workload: Workload, contender: Contender) -> None:
    contender.verify(workload)


def bare_hashes_per_second(core: int, seconds: float = 2.0) -> float:
    """Verify passwords on one core, with the product's parameters and nothing around it."""
    program = (
        "import sys, time; from argon2 import PasswordHasher\n"
        "hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1); stored = hasher.hash('x' * 20)\n"
        "begun = time.perf_counter(); done = 0\n"
        f"while time.perf_counter() - begun < {seconds}: hasher.verify(stored, 'x' * 20); done += 1\n"
        "print(done / (time.perf_counter() - begun))"
    )
    command = ["taskset", "--cpu-list", str(core), sys.executable, "-c", program]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
