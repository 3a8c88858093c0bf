"""Metrics of several workers: added up, never stepping back, and without those who are gone where that matters."""

from pathlib import Path

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
