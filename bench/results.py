"""What a run of the benchmark found: figures, and just as well what there is no figure of, and why."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Figure, Round, Summary, ratio, summary
from bench.openloop import OpenLoopFigures


@dataclass(frozen=True, slots=True)
class Start:
    seconds_to_ready: float
    idle_memory_mib: dict[str, float]
    """Resident memory by process, the largest first, before the first request."""

    @property
    def largest_process_mib(self) -> float:
        return next(iter(self.idle_memory_mib.values()))


@dataclass(frozen=True, slots=True)
class Calm:
    """Reads at a fixed rate while many log in."""

    logins_waiting: int
    log_ins_per_second: float
    reads: OpenLoopFigures


@dataclass(slots=True)
class Results:
    about: dict[str, Any]
    """When, on what, with which versions and parameters."""
    titles: dict[str, str] = field(default_factory=dict)
    """Of contenders and of workloads, by name, in the order of the report."""
    workloads: dict[str, str] = field(default_factory=dict)
    compared_with: dict[str, str] = field(default_factory=dict)
    connections: list[int] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Contenders that could not take part."""
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    """(workload, contender): what a contender does not offer."""
    void: dict[tuple[str, str], str] = field(default_factory=dict)
    """(workload, contender): a wrong answer, or a run that failed."""
    rounds: dict[tuple[str, str, int], list[Round]] = field(default_factory=dict)
    open_loop: dict[tuple[str, str, int], OpenLoopFigures] = field(default_factory=dict)
    """(workload, contender, requests a second)."""
    starts: dict[str, Start] = field(default_factory=dict)
    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    """When each section was measured, on which commit, and how busy the machine was before it began."""
    drivers: list[dict[str, Any]] = field(default_factory=list)
    """The time in the database, ours against the bare driver's (see `drivers.py`)."""
    growth: list[dict[str, Any]] = field(default_factory=list)
    """What things cost as there is more of them (see `growth.py`)."""
    workers: list[dict[str, Any]] = field(default_factory=list)
    """Two workers against one (see `workers.py`)."""
    machine: dict[str, Any] = field(default_factory=dict)
    """What two cores do at once (see `workers.py`)."""
    calm: dict[str, Calm] = field(default_factory=dict)
    bare_hashes_per_second: float | None = None

    def valid_rounds(self, workload: str, contender: str, connections: int) -> list[Round]:
        """Return the rounds of a figure that stands: none where a wrong answer voided it."""
        if (workload, contender) in self.void:
            return []
        return self.rounds.get((workload, contender, connections), [])

    def summary(self, workload: str, contender: str, connections: int) -> Summary | None:
        rounds = self.valid_rounds(workload, contender, connections)
        return summary(rounds) if rounds else None

    def ratio(self, workload: str, contender: str, other: str, connections: int) -> Figure | None:
        """Compare throughput round by round; with whatever stands in for a workload that the other does not have."""
        mine = self.valid_rounds(workload, contender, connections)
        theirs = self.valid_rounds(workload, other, connections)
        if not theirs and workload in self.compared_with:
            theirs = self.valid_rounds(self.compared_with[workload], other, connections)
        return ratio([each.requests_per_second for each in mine], [each.requests_per_second for each in theirs])

    @property
    def most_connections(self) -> int:
        return max(self.connections)

    def forget(self, workload: str, contenders: Collection[str]) -> None:
        """Drop what an earlier run found, before it is measured anew."""
        for found in (self.rounds, self.missing, self.void):
            for key in [key for key in found if key[0] == workload and key[1] in contenders]:
                del found[key]  # type: ignore[arg-type]  # keys of one are longer than those of the others

    def to_json(self) -> str:
        return json.dumps(
            {
                "about": self.about,
                "sections": self.sections,
                "contenders": self.titles,
                "workloads": self.workloads,
                "compared_with": self.compared_with,
                "connections": self.connections,
                "absent": self.absent,
                "missing": list(_named(self.missing)),
                "void": list(_named(self.void)),
                "closed_loop": [
                    {
                        "workload": workload,
                        "contender": contender,
                        "connections": connections,
                        "is_void": (workload, contender) in self.void,
                        "summary": asdict(summary(rounds)),
                        "rounds": [asdict(each) for each in rounds],
                    }
                    for (workload, contender, connections), rounds in self.rounds.items()
                    if rounds
                ],
                "open_loop": [
                    {"workload": workload, "contender": contender, "fault": each.fault(), **asdict(each)}
                    for (workload, contender, _), each in self.open_loop.items()
                ],
                "starts": {name: asdict(start) for name, start in self.starts.items()},
                "reads_while_logging_in": {name: asdict(calm) for name, calm in self.calm.items()},
                "bare_hashes_per_second": self.bare_hashes_per_second,
                "drivers": self.drivers,
                "growth": self.growth,
                "workers": self.workers,
                "machine": self.machine,
            },
            indent=1,
        )

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read what `write` wrote, to go on from there."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        results = cls(raw["about"], raw["contenders"], raw["workloads"], raw["compared_with"], raw["connections"])
        results.sections, results.absent = raw["sections"], raw["absent"]
        results.missing = {(each["workload"], each["contender"]): each["reason"] for each in raw["missing"]}
        results.void = {(each["workload"], each["contender"]): each["reason"] for each in raw["void"]}
        for each in raw["closed_loop"]:
            key = each["workload"], each["contender"], each["connections"]
            results.rounds[key] = [Round(**one) for one in each["rounds"]]
        for each in raw["open_loop"]:
            workload, contender, _ = each.pop("workload"), each.pop("contender"), each.pop("fault")
            figures = _open_loop_figures(each)
            results.open_loop[workload, contender, round(figures.rate)] = figures
        results.starts = {name: Start(**each) for name, each in raw["starts"].items()}
        for name, each in raw["reads_while_logging_in"].items():
            results.calm[name] = Calm(**{**each, "reads": _open_loop_figures(each["reads"])})
        results.bare_hashes_per_second = raw["bare_hashes_per_second"]
        results.drivers, results.growth, results.workers = raw["drivers"], raw["growth"], raw["workers"]
        results.machine = raw.get("machine", {})  # results of before it was measured have none
        return results

    def write(self, path: Path) -> None:
        path.write_text(self.to_json() + "\n", encoding="utf-8")


def _open_loop_figures(raw: dict[str, Any]) -> OpenLoopFigures:
    # JSON has no numbers for keys.
    return OpenLoopFigures(**{**raw, "statuses": {int(status): count for status, count in raw["statuses"].items()}})


def _named(reasons: dict[tuple[str, str], str]) -> Iterator[dict[str, str]]:
    for (workload, contender), reason in reasons.items():
        yield {"workload": workload, "contender": contender, "reason": reason}
