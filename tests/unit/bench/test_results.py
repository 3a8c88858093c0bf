"""Results that go on from an earlier run, and what becomes of them."""

import json
from pathlib import Path

import pytest

from bench.figures import Round
from bench.goals import verdicts
from bench.openloop import OpenLoopFigures
from bench.report import markdown
from bench.results import Calm, Results, Start
from bench.runner import Plan
from bench.sections import NAMES, SECTIONS, sections_of
from bench.workloads import ALL, FeedTop, LogIn, OnePost, OwnPostsOfLargeAuthor

OPEN = OpenLoopFigures(250.0, 500, 500, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, {200: 500})
SUMMARY = {
    "rounds": 2,
    **{
        name: {"median": value, "low": value, "high": value}
        for name, value in {
            "requests_per_second": 900.0, "p50": 1_000.0, "p99": 2_000.0, "cpu_per_request": 70.0,
            "peak_memory_mib": 88.0,
        }.items()
    },
}  # fmt: skip


@pytest.fixture
def results() -> Results:
    found = Results({"shown": {"date": "today"}, "versions": {"postern": "1"}, "sizes": {"posts": 1_000_000}})
    found.titles = {"postern-sqlite": "Postern, SQLite", "pocketbase": "PocketBase, SQLite"}
    found.workloads = {"one_post": "one post", "vote": "vote"}
    found.compared_with = {"own_posts_hit": "own_posts"}
    found.connections = [16]
    found.absent = {"floor": "no room"}
    found.missing = {("vote", "pocketbase"): "there is no vote"}
    found.void = {("vote", "postern-sqlite"): "a wrong answer"}
    found.rounds = {("one_post", "postern-sqlite", 16): [Round(10.0, 1.0, 2.0, 3.0, 4.0, 5.0)]}
    found.open_loop = {("one_post", "postern-sqlite", 250): OPEN}
    found.starts = {"postern-sqlite": Start(0.7, {"worker 1": 80.0})}
    found.calm = {"postern-sqlite": Calm(200, 50.0, OPEN)}
    found.bare_hashes_per_second = 51.0
    found.sections = {"one-post": dict.fromkeys(("date", "commit", "load", "seconds", "contenders"), "1")}
    found.drivers = [
        {
            "database": "sqlite", "what": "one post", "driver": "sqlite3", "ours_us": 30.0, "bare_us": 20.0,
            "ratio": 1.5, "ratio_low": 1.4, "ratio_high": 1.6,
        }
    ]  # fmt: skip
    found.workers = [
        {
            "database": "sqlite", "what": "one post", "one_rate": 1.0, "two_rate": 2.0, "one_us": 50.0, "two_us": 52.0,
            "idle": 0.01, "scaling": 1.9, "scaling_low": 1.8, "scaling_high": 2.0,
        }
    ]  # fmt: skip
    found.machine = {"cores": [1, 0], "physical_cores": 2, "loops": 1.5}
    found.growth = [
        {"database": "sqlite", "what": "one post", "posts": 10_000, "summary": SUMMARY},
        {"database": "sqlite", "what": "one post", "bytes": 100, "fault": "another text"},
    ]
    return found


def test_what_is_written_is_read_again_in_every_part(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "day.json")
    again = Results.read(tmp_path / "day.json")
    assert again == results
    assert json.loads(again.to_json()) == json.loads(results.to_json())


def test_results_of_before_the_machine_was_measured_are_gone_on_from(results: Results, tmp_path: Path) -> None:
    old = json.loads(results.to_json())
    del old["machine"]
    (tmp_path / "day.json").write_text(json.dumps(old), encoding="utf-8")
    assert Results.read(tmp_path / "day.json").machine == {}


def test_measuring_anew_forgets_what_was_found_of_those_alone(results: Results) -> None:
    results.rounds["one_post", "pocketbase", 16] = []
    results.forget("one_post", {"postern-sqlite"})
    assert list(results.rounds) == [("one_post", "pocketbase", 16)]
    results.forget("vote", {"postern-sqlite"})
    assert results.void == {}
    assert results.missing


def test_the_report_has_every_part(results: Results) -> None:
    told = markdown(results)
    assert "| one post | sqlite | sqlite3 | 30 | 20 | 1.50 (1.40 to 1.60) |" in told
    assert "| one post | sqlite | 1 | 2 | 50 | 52 | 1% | 1.90 (1.80 to 2.00) |" in told
    assert "| one post | sqlite | 900 · 2.0 · 88 | 10 · 0.0 · 4 |" in told
    assert "another text" in told
    assert "did 1.50 times as much at once as one alone" in told


def test_goals_beyond_throughput_are_judged(results: Results) -> None:
    found = {each.what: each for each in verdicts(results)}
    assert found["one post, time in the database, sqlite"].met is False
    assert found["one post, time in the database, mariadb"].met is None
    assert found["two workers, one post, sqlite"].met is True
    assert found["start to ready, sqlite"].met is True


def test_the_goal_for_the_database_is_held_against_the_fastest_way_to_use_the_driver(results: Results) -> None:
    results.drivers.append({**results.drivers[0], "driver": "aiosqlite", "ratio": 1.1})
    found = {each.what: each for each in verdicts(results)}["one post, time in the database, sqlite"]
    assert (found.goal, found.met) == ("≤ 1.3 x sqlite3", False)


def test_a_goal_that_is_missed_says_why_in_the_figures_of_the_run(results: Results) -> None:
    results.workers[0]["scaling"] = 1.5
    results.workers.append({**results.workers[0], "database": "floor", "scaling": 1.6})
    results.rounds["one_post", "fastapi-sqlite", 16] = [Round(5.0, 1.0, 2.0, 9.0, 4.0, 5.0)]
    found = {each.what: each for each in verdicts(results) if each.met is False}
    assert found["one post, sqlite"].why == "3 µs of CPU to its 9"
    assert found["one post, time in the database, sqlite"].why.startswith("10 µs a query on top of 20: ")
    assert found["two workers, one post, sqlite"].why.startswith(
        "the floor comes to 1.60 on this machine, and two plain loops to 1.50: its second core"
    )
    assert all(each.why for each in found.values())


def test_a_goal_that_is_met_needs_no_reason(results: Results) -> None:
    assert {each.why for each in verdicts(results) if each.met is not False} == {""}


def test_rounds_are_long_where_figures_are_compared_and_brief_elsewhere() -> None:
    plan = Plan(
        rounds=5, seconds=3, brief_rounds=2, brief_seconds=1, connections=(1, 64), rates=(), open_seconds=1,
        warm_up_seconds=0,
    )  # fmt: skip
    assert plan.pace(OnePost(), 64) == (5, 3)
    assert plan.pace(OnePost(), 1) == (2, 1)
    assert plan.pace(FeedTop(), 64) == (2, 1)
    assert plan.pace(OwnPostsOfLargeAuthor(), 1) == (0, 0)
    # As many seconds as 64 hashes at once need to be told apart.
    assert plan.pace(LogIn(), 64) == (2, LogIn.least_seconds)


def test_every_workload_belongs_to_one_section() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(workload.name for workload in ALL)
    assert set(SECTIONS) < set(NAMES)
    assert sections_of(["vote", "one_post"]) == ["one-post", "writes"]
