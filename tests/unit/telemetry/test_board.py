"""Metrics of several workers: added up, never stepping back, and without those who are gone where that matters."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from adapters.telemetry.board import MetricsBoard, Sample
from adapters.telemetry.exposition import expose
from adapters.telemetry.metrics import BUCKETS, RequestMetrics

KEY = ("GET", "/api/v1/posts", 200)


def a_board(directory: Path | None, *, requests: int = 0, entries: float = 0, hits: float = 0) -> MetricsBoard:
    metrics = RequestMetrics()
    for _ in range(requests):
        metrics.observe(*KEY, 0.002)
    cache = (("cache", "own-posts"),)
    samples: list[Sample] = [
        ("postern_cache_entries", cache, entries),
        ("postern_cache_hits_total", cache, hits),
    ]
    return MetricsBoard(metrics, [lambda: samples], directory=directory)


def text(board: MetricsBoard) -> str:
    return expose(board, version="1", accept="", gauges={})[0].decode()


def test_a_worker_alone_tells_of_itself() -> None:
    told = text(a_board(None, requests=3, hits=2))

    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 3.0' in told
    assert 'http_request_duration_seconds_bucket{le="0.001",method="GET",route="/api/v1/posts"} 0.0' in told
    assert 'http_request_duration_seconds_bucket{le="0.0025",method="GET",route="/api/v1/posts"} 3.0' in told
    assert 'postern_cache_hits_total{cache="own-posts"} 2.0' in told
    assert "postern_workers 1.0" in told


def test_what_has_no_duration_is_counted_and_nothing_else() -> None:
    metrics = RequestMetrics()
    metrics.observe("GET", "/api/v1/events", 200, None)
    metrics.observe("GET", "/api/v1/posts", 200, 0.002)
    metrics.observe("GET", "/api/v1/posts", 200, None)
    told = text(MetricsBoard(metrics, []))

    assert 'http_requests_total{method="GET",route="/api/v1/events",status="200"} 1.0' in told
    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 2.0' in told
    assert 'http_request_duration_seconds_count{method="GET",route="/api/v1/posts"} 1.0' in told
    assert 'route="/api/v1/events"}' not in told


def test_each_worker_tells_the_sum_of_what_all_have_written(tmp_path: Path) -> None:
    boards = [a_board(tmp_path, requests=n, entries=10, hits=n) for n in (1, 2, 4)]
    for board in boards:
        board.write()

    for board in boards:
        told = text(board)
        assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 7.0' in told
        assert 'postern_cache_hits_total{cache="own-posts"} 7.0' in told
        assert 'postern_cache_entries{cache="own-posts"} 30.0' in told
        assert "postern_workers 3.0" in told
    for board in boards:
        board.close()


def test_the_counters_of_a_worker_that_is_gone_stay_and_its_gauges_go(tmp_path: Path) -> None:
    gone, left = a_board(tmp_path, requests=5, entries=10, hits=5), a_board(tmp_path, requests=1, entries=1, hits=1)
    told = text(gone)  # so it has been told, and must never be untold
    assert " 5.0" in told
    gone.close()

    told = text(left)
    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 6.0' in told
    assert 'postern_cache_hits_total{cache="own-posts"} 6.0' in told
    assert 'postern_cache_entries{cache="own-posts"} 1.0' in told
    assert "postern_workers 1.0" in told
    left.close()


def test_numbers_that_were_not_written_again_are_those_of_the_last_time(tmp_path: Path) -> None:
    metrics = RequestMetrics()
    busy, idle = MetricsBoard(metrics, [], directory=tmp_path), a_board(tmp_path)
    metrics.observe(*KEY, 0.1)
    busy.write()
    metrics.observe(*KEY, 0.1)

    assert 'status="200"} 1.0' in text(idle)
    assert 'status="200"} 2.0' in text(busy)
    assert 'status="200"} 2.0' in text(idle)
    busy.close()
    idle.close()


@pytest.mark.parametrize("seconds", [0, BUCKETS[0], 0.003, BUCKETS[-1], 1e6])
def test_a_duration_falls_into_the_first_bucket_that_holds_it(seconds: float) -> None:
    metrics = RequestMetrics()
    metrics.observe(*KEY, seconds)
    ((_, (total, *counts)),) = metrics.series()

    expected = next((n for n, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
    assert (total, counts.index(1), sum(counts)) == (seconds, expected, 1)


def test_methods_that_nobody_knows_are_one() -> None:
    metrics = RequestMetrics()
    for n in range(100):
        metrics.observe(f"METHOD{n}", "unmatched", 405, 0.001)

    assert [(key, sum(numbers[1:])) for key, numbers in metrics.series()] == [(("other", "unmatched", 405), 100)]


def test_a_notice_is_1_however_many_workers_tell_of_it(tmp_path: Path) -> None:
    notice: list[Sample] = [("postern_notice", (("code", "clock-skew"),), 1)]
    boards = [MetricsBoard(RequestMetrics(), [lambda: notice], directory=tmp_path) for _ in range(2)]
    boards[0].write()
    assert 'postern_notice{code="clock-skew"} 1.0' in text(boards[1])


def lost(told: str, what: str) -> float:
    (line,) = [line for line in told.splitlines() if line.startswith(f'postern_metrics_lost_total{{what="{what}"}}')]
    return float(line.split()[-1])


@pytest.mark.parametrize(
    "value", [True, "many", None, float("nan"), float("inf"), 10**400, [1]], ids=lambda value: str(value)[:8]
)
def test_a_value_that_is_no_number_costs_its_own_sample(tmp_path: Path, value: Any) -> None:
    def samples() -> Iterable[Any]:
        yield "postern_redis_up", (("connection", "cache"),), value
        yield "postern_live_streams", (), 7

    odd, other = MetricsBoard(RequestMetrics(), [samples], directory=tmp_path), a_board(tmp_path, requests=1)
    for board in (odd, other):
        board.write()
    for board in (odd, other):
        told = text(board)
        assert "postern_live_streams 7.0" in told
        assert ('postern_redis_up{connection="cache"} 1.0' in told) == (value is True)
        assert (lost(told, "sample") > 0) == (value is not True)
        assert "postern_workers 2.0" in told


def test_a_source_that_fails_costs_what_it_would_have_told(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Iterable[Sample]:
        yield "postern_cache_entries", (("cache", "own-posts"),), 5
        raise RuntimeError("the pool is gone")

    board = MetricsBoard(RequestMetrics(), [failing, lambda: [("postern_live_streams", (), 7)]])
    for count in (1, 2):
        told = text(board)
        assert "postern_live_streams 7.0" in told
        assert lost(told, "source") == count
    assert len(caplog.records) == 1  # a minute


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"requests":7,"samples":[]}',
        b'{"requests":[],"samples":[["postern_live_streams",[],"seven"]]}',
        b'{"requests":[["GET","/x",200,[1,2,3]]],"samples":[]}',
        b'{"requests":[["GET","/x"]],"samples":[["postern_live_streams"]]}',
        b'{"samples":[["postern_live_streams",[],true]]}',
        None,
    ],
)
def test_what_another_worker_wrote_and_cannot_be_read_costs_itself(tmp_path: Path, content: bytes | None) -> None:
    broken, sound = a_board(tmp_path), a_board(tmp_path, requests=3, hits=2)
    broken.write()
    (written,) = tmp_path.glob("*.json")
    if content is None:
        written.unlink()
        written.mkdir()
    else:
        written.write_bytes(content)

    told = text(sound)
    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 3.0' in told
    assert 'postern_cache_hits_total{cache="own-posts"} 2.0' in told
    broken.close()


def test_one_bad_sample_of_another_worker_takes_none_of_its_others_along(tmp_path: Path) -> None:
    other, board = a_board(tmp_path, requests=3, entries=4, hits=2), a_board(tmp_path)
    other.write()
    (written,) = tmp_path.glob("*.json")
    content = json.loads(written.read_bytes())
    content["samples"].insert(0, ["postern_redis_up", [["connection", "cache"]], True])
    written.write_text(json.dumps(content))

    told = text(board)
    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 3.0' in told
    assert 'postern_cache_entries{cache="own-posts"} 4.0' in told
    text(board)
    assert lost(text(board), "sample") == 2
    other.close()


def test_a_directory_that_is_gone_leaves_a_worker_its_own_numbers(tmp_path: Path) -> None:
    board = a_board(tmp_path / "never", requests=3)
    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 3.0' in text(board)
    assert lost(text(board), "file") == 1


def test_workers_that_are_gone_leave_few_files_and_all_that_they_counted(tmp_path: Path) -> None:
    left = a_board(tmp_path, requests=1)
    for number in range(1, 101):
        gone = a_board(tmp_path, requests=1, entries=10, hits=2)
        gone.write()
        gone.close()
        told = text(left)
        assert f'http_requests_total{{method="GET",route="/api/v1/posts",status="200"}} {number + 1}.0' in told
        assert f'postern_cache_hits_total{{cache="own-posts"}} {number * 2}.0' in told
        assert 'postern_cache_entries{cache="own-posts"} 0.0' in told
        assert "postern_workers 1.0" in told
    assert len(list(tmp_path.iterdir())) < 50


def test_files_whose_numbers_are_in_another_one_do_not_count_again(tmp_path: Path) -> None:
    # As a worker leaves them that is killed between writing the sums and removing what they are the sums of.
    left = a_board(tmp_path)
    for _ in range(16):
        gone = a_board(tmp_path, requests=1)
        gone.write()
        gone.close()
    kept = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
    last = a_board(tmp_path, requests=1)
    last.write()
    last.close()
    text(left)
    assert not any(path.exists() for path in kept)
    for path, content in kept.items():
        path.write_bytes(content)
    assert 'http_requests_total{method="GET",route="/api/v1/posts",status="200"} 17.0' in text(left)
