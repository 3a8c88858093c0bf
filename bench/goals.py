"""The goals for speed, held against what was measured. One that is not met stays in the table, with its gap."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.figures import summary
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
    for workloads, to_fastapi, to_pocketbase in ((_READS, 6, 1.5), (_WRITES, 4, 2)):
        for workload in workloads:
            for database in DATABASES:
                yield _at_least(results, workload, database, Goal(f"fastapi-{database}", to_fastapi, "x FastAPI"))
            yield _at_least(results, workload, "sqlite", Goal("pocketbase", to_pocketbase, "x PocketBase"))


def _database_time(results: Results, what: str, database: str) -> Verdict:
    """Hold the reader against the driver; on SQLite, where there are three ways to use it, against the fastest."""
    found = [each for each in results.drivers if (each["what"], each["database"]) == (what, database)]
    named = f"{what}, time in the database, {database}"
    if not found:
        return Verdict(named, "≤ 1.3 x the bare driver", "not measured", None)
    fastest = max(found, key=lambda each: float(each["ratio"]))
    shown = f"{fastest['ratio']:.2f} ({fastest['ratio_low']:.2f} to {fastest['ratio_high']:.2f})"
    return Verdict(named, f"≤ 1.3 x {fastest['driver']}", shown, fastest["ratio"] <= 1.3)


def _two_workers(results: Results, database: str) -> Iterator[Verdict]:
    found = [each for each in results.workers if each["database"] == database]
    for each in found:
        shown = f"{each['scaling']:.2f} ({each['scaling_low']:.2f} to {each['scaling_high']:.2f}), computed"
        yield Verdict(f"two workers, {each['what']}, {database}", "≥ 1.8 x one", shown, each["scaling"] >= 1.8)
    if not found:
        yield Verdict(f"two workers, {database}", "≥ 1.8 x one", "not measured", None)


def _deep_page(results: Results, sort: str, database: str) -> Verdict:
    name, most = f"postern-{database}", results.most_connections
    first = results.valid_rounds(f"feed_{sort}", name, most)
    deep = results.valid_rounds(f"feed_{sort}_deep", name, most)
    # Not ratio(), which is of neighbouring rounds: these two were measured one after the other.
    cost = (
        summary(first).requests_per_second.median / summary(deep).requests_per_second.median if first and deep else None
    )
    return _bounded(f"feed {sort}, deep page to first page, {database}", cost, 1.2, "x the cost")


def _limits(results: Results, database: str) -> Iterator[Verdict]:
    name = f"postern-{database}"
    log_in = results.summary("log_in", name, results.most_connections)
    bare = results.bare_hashes_per_second
    cost = bare / log_in.requests_per_second.median if log_in and bare else None
    yield _bounded(f"log in to the bare hash, {database}", cost, 1.1, "x the time")
    calm = results.calm.get(name)
    waited = calm.reads.p99 / 1000 if calm else None
    yield _bounded(f"p99 of reads while 200 log in, {database}", waited, 50, "ms")
    start = results.starts.get(name)
    yield _bounded(f"start to ready, {database}", start.seconds_to_ready if start else None, 1.0, "s")
    memory = start.largest_process_mib * 1.048576 if start else None
    yield _bounded(f"idle memory of one worker, {database}", memory, 120, "MB")


def _at_least(results: Results, workload: str, database: str, goal: Goal) -> Verdict:
    found = results.ratio(workload, f"postern-{database}", goal.other, results.most_connections)
    what = f"{results.workloads.get(workload, workload)}, {database}"
    wanted = f"≥ {goal.least:g} {goal.unit}"
    if found is None:
        return Verdict(what, wanted, "not measured", None)
    shown = f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"
    return Verdict(what, wanted, shown, found.median >= goal.least)


def _bounded(what: str, found: float | None, goal: float, unit: str) -> Verdict:
    limit = f"≤ {goal:g} {unit}"
    return Verdict(what, limit, "not measured", None) if found is None else Verdict(
        what, limit, f"{found:.2f}", found <= goal
    )  # fmt: skip
