import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.counter import Count
from bench.counts import (
    COMMITTED,
    PATHS,
    ROOT,
    TOLERANCE,
    Uncounted,
    collected,
    judge,
    read_committed,
    write_committed,
)

COMMITTED_FIGURE = {"one_post": Count(1_000, 40)}


Counted = tuple[dict[str, Count], dict[str, Count]]

WORK = {
    "small": "work(500)",
    "one": "work(1_000)",
    "twice": "work(2_000)",
    "in a thread": "in_a_thread(1_000)",
}
PROGRAM = """
import json
import threading
from bench.counter import Counter

def work(times):
    return sum(number * number for number in range(times))

def in_a_thread(times):
    thread = threading.Thread(target=work, args=(times,))
    thread.start()
    thread.join()

found = {}
"""


@pytest.fixture(scope="module")
def counted() -> Counted:
    """What each work costs in one process and in another: not in this one, where coverage may be what traces."""
    program = PROGRAM + "".join(
        f"counter = Counter()\ncounter.install()\n{line}\ncounter.remove()\ncount = counter.so_far()\n"
        f"found[{name!r}] = count.instructions, count.calls\n"
        for name, line in WORK.items()
    )
    environment = {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
    }

    def run() -> dict[str, Count]:
        done = subprocess.run(
            [sys.executable, "-c", program + "print(json.dumps(found))"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return {name: Count(*count) for name, count in json.loads(done.stdout).items()}

    return run(), run()


@pytest.mark.slow
def test_the_same_work_costs_the_same_instructions_every_time(counted: Counted) -> None:
    first, second = counted
    assert [first[name] for name in ("small", "one", "twice")] == [second[name] for name in ("small", "one", "twice")]
    assert first["small"].instructions > 1_000


@pytest.mark.slow
def test_work_in_other_threads_is_counted(counted: Counted) -> None:
    # Not to the instruction: starting a thread waits for it, or finds it running already.
    assert counted[0]["in a thread"].instructions > counted[0]["one"].instructions


@pytest.mark.slow
def test_more_work_costs_more(counted: Counted) -> None:
    one, twice = counted[0]["one"], counted[0]["twice"]
    assert 1.5 < twice.instructions / one.instructions < 2.5
    assert twice.calls > one.calls


@pytest.mark.parametrize(
    ("found", "fails"), [(1_000, False), (1_099, False), (1_101, True), (5_000, True), (500, False)]
)
def test_a_tenth_more_fails_and_less_does_not(found: int, fails: bool) -> None:
    (verdict,) = judge({"one_post": Count(found, 40)}, COMMITTED_FIGURE)
    assert TOLERANCE == 0.10
    assert verdict.failed is fails


def test_a_tenth_less_asks_to_be_held() -> None:
    (verdict,) = judge({"one_post": Count(899, 40)}, COMMITTED_FIGURE)
    assert "--write" in verdict.advice


def test_a_path_without_a_figure_fails_and_so_does_a_figure_without_a_path() -> None:
    verdicts = judge({"vote": Count(10, 1)}, COMMITTED_FIGURE)
    assert [(each.path, each.failed) for each in verdicts] == [("vote", True), ("one_post", True)]


def test_a_version_of_python_without_figures_is_only_told() -> None:
    assert [each.failed for each in judge(COMMITTED_FIGURE, None)] == [False]


def test_figures_are_kept_by_version(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    assert read_committed(file, "3.11") is None
    write_committed(file, "3.11", COMMITTED_FIGURE)
    write_committed(file, "3.12", {"one_post": Count(900, 40)})
    assert read_committed(file, "3.11") == COMMITTED_FIGURE
    assert read_committed(file, "3.12") == {"one_post": Count(900, 40)}
    assert read_committed(file, "3.13") is None


def test_every_hot_path_has_a_committed_figure() -> None:
    known = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert known
    for version, figures in known.items():
        assert set(figures) == set(PATHS), version


def test_what_callgrind_collected_is_read_from_what_it_told() -> None:
    told = "==7== Events    : Ir\n==7== Collected : 1683456\n==7== \n==7== I   refs:      1,683,456\n"
    assert collected(told) == 1_683_456


@pytest.mark.parametrize("told", ["==7== Collected : 0\n", "valgrind: failed to start\n"])
def test_a_count_of_nothing_is_not_a_figure(told: str) -> None:
    with pytest.raises(Uncounted):
        collected(told)
