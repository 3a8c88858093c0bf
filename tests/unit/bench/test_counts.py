import json
import threading
from pathlib import Path

import pytest

from bench.counts import COMMITTED, PATHS, TOLERANCE, Count, Counter, judge, read_committed, write_committed

COMMITTED_FIGURE = {"one_post": Count(1_000, 40)}


def work(times: int) -> int:
    return sum(number * number for number in range(times))


def counted(times: int) -> Count:
    counter = Counter()
    thread = threading.Thread(target=work, args=(times,))
    before = counter.so_far()
    threading.settrace(counter.on_call)
    try:
        thread.start()
        thread.join()
    finally:
        threading.settrace(None)
    after = counter.so_far()
    return Count(after.instructions - before.instructions, after.calls - before.calls)


def test_the_same_work_costs_the_same_instructions_every_time() -> None:
    assert counted(50) == counted(50)
    assert counted(50).instructions > 100


def test_more_work_costs_more() -> None:
    one, twice = counted(100), counted(200)
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
