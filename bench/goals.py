"""The goals for speed, held against what was measured. One that is not met stays in the table, with its gap."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from bench import reasons
from bench.figures import ratio
from bench.results import Results

DATABASES: Final = ("sqlite", "mariadb", "postgresql")
_READS: Final = ("own_posts", "one_post", "feed_new", "feed_top", "feed_hot")
_WRITES: Final = ("create", "vote")


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    goal: str
    found: str
    met: bool | None
    """None: not measured."""
    why: str = ""
    """Of one that is not met: the reason, in plain words."""


@dataclass(frozen=True, slots=True)
class Goal:
    """How many times faster than whom, at the least."""

    other: str
    least: float
    unit: str


def verdicts(results: Results) -> Iterator[Verdict]:
    yield from _ratios(results)
    for sort in ("new", "top", "hot"):
        for database in DATABASES:
            yield _deep_page(results, sort, database)
    for what in ("own posts", "one post"):
        for database in DATABASES:
            yield _database_time(results, what, database)
    for database in DATABASES:
        yield from _two_workers(results, database)
    for database in DATABASES:
        yield from _limits(results, database)


def _ratios(results: Results) -> Iterator[Verdict]:
    for workload in ("own_posts_hit", "own_posts_304"):
        for database in DATABASES:
            yield _at_least(results, workload, database, Goal("floor", 0.75, "of the floor"))
    for workload in _READS:
        yield from _to_fastapi(results, workload, 6)
        yield _at_least(results, workload, "sqlite", Goal("pocketbase", 1.5, "x PocketBase"))
    for workload in _WRITES:
        yield from _to_fastapi(results, workload, 4)
        # PocketBase does not wait for the disk, so neither does the one that is held against it.
        yield _at_least(results, workload, "sqlite-normal", Goal("pocketbase", 2, "x PocketBase, equal durability"))
        beside = _at_least(results, workload, "sqlite", Goal("pocketbase", 0, "x PocketBase"))
        yield replace(beside, goal="(at FULL, beside PocketBase's NORMAL)", met=None)
    # Equal work, too: a vote that is only stored shows nowhere.
    counted = Goal("pocketbase-counting", 2, "x PocketBase that counts votes, equal durability")
    yield _at_least(results, "vote", "sqlite-normal", counted)


def _to_fastapi(results: Results, workload: str, least: float) -> Iterator[Verdict]:
    for database in DATABASES:
        yield _at_least(results, workload, database, Goal(f"fastapi-{database}", least, "x FastAPI"))


def _database_time(results: Results, what: str, database: str) -> Verdict:
    """Hold the reader against the driver; on SQLite, where there are three ways to use it, against the fastest."""
    found = [each for each in results.drivers if (each["what"], each["database"]) == (what, database)]
    named = f"{what}, time in the database, {database}"
    if not found:
        return Verdict(named, "≤ 1.3 x the bare driver", "not measured", None)
    fastest = max(found, key=lambda each: float(each["ratio"]))
    shown = f"{fastest['ratio']:.2f} ({fastest['ratio_low']:.2f} to {fastest['ratio_high']:.2f})"
    why = reasons.beside_the_driver(fastest["ours_us"], fastest["bare_us"])
    return _judged(named, f"≤ 1.3 x {fastest['driver']}", shown, fastest["ratio"] <= 1.3, why)


def _two_workers(results: Results, database: str) -> Iterator[Verdict]:
    found = [each for each in results.workers if each["database"] == database]
    for each in found:
        shown = f"{each['scaling']:.2f} ({each['scaling_low']:.2f} to {each['scaling_high']:.2f}), computed"
        why = reasons.of_two_workers(results, each["what"])
        yield _judged(f"two workers, {each['what']}, {database}", "≥ 1.8 x one", shown, each["scaling"] >= 1.8, why)
    if not found:
        yield Verdict(f"two workers, {database}", "≥ 1.8 x one", "not measured", None)


def _deep_page(results: Results, sort: str, database: str) -> Verdict:
    name, most = f"postern-{database}", results.most_connections
    shallow = results.valid_rounds(f"feed_{sort}_shallow", name, most)
    deep = results.valid_rounds(f"feed_{sort}_deep", name, most)
    cost = ratio([each.requests_per_second for each in shallow], [each.requests_per_second for each in deep])
    what, goal = f"feed {sort}, deep pages to shallow ones, {database}", "≤ 1.2 x the cost"
    if cost is None:
        return Verdict(what, goal, "not measured", None)
    shown = f"{cost.median:.2f} ({cost.low:.2f} to {cost.high:.2f})"
    return _judged(what, goal, shown, cost.median <= 1.2, reasons.of_depth())


def _limits(results: Results, database: str) -> Iterator[Verdict]:
    name = f"postern-{database}"
    log_in = results.summary("log_in", name, results.most_connections)
    bare = results.bare_hashes_per_second
    cost = bare / log_in.requests_per_second.median if log_in and bare else None
    yield _bounded(f"log in to the bare hash, {database}", cost, 1.1, "x the time", reasons.of_a_log_in())
    calm = results.calm.get(name)
    waited = calm.reads.p99 / 1000 if calm else None
    yield _bounded(f"p99 of reads while 200 log in, {database}", waited, 50, "ms", reasons.of_reads_beside_log_ins())
    start = results.starts.get(name)
    ready = start.seconds_to_ready if start else None
    yield _bounded(f"start to ready, {database}", ready, 1.0, "s", reasons.of_the_start())
    memory = start.largest_process_mib * 1.048576 if start else None
    yield _bounded(f"idle memory of one worker, {database}", memory, 120, "MB", reasons.of_idle_memory())


def _at_least(results: Results, workload: str, database: str, goal: Goal) -> Verdict:
    found = results.ratio(workload, f"postern-{database}", goal.other, results.most_connections)
    what = f"{results.workloads.get(workload, workload)}, {database}"
    wanted = f"≥ {goal.least:g} {goal.unit}"
    if found is None:
        return Verdict(what, wanted, "not measured", None)
    shown = f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"
    return _judged(what, wanted, shown, found.median >= goal.least, _why(results, workload, database, goal))


def _why(results: Results, workload: str, database: str, goal: Goal) -> str:
    if goal.other == "floor":
        return reasons.beside_the_floor(results, workload, database)
    if goal.other.startswith("pocketbase"):
        return reasons.beside_pocketbase(results, workload, f"postern-{database}", goal.other)
    return reasons.beside_fastapi(results, workload, database)


def _judged(what: str, goal: str, found: str, met: bool, why: str) -> Verdict:
    return Verdict(what, goal, found, met, "" if met else why)


def _bounded(what: str, found: float | None, goal: float, unit: str, why: str) -> Verdict:
    limit = f"≤ {goal:g} {unit}"
    if found is None:
        return Verdict(what, limit, "not measured", None)
    return _judged(what, limit, f"{found:.2f}", found <= goal, why)
