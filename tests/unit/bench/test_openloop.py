import threading
import time

import pytest

from bench import openloop
from bench.http1 import Request
from tests.unit.bench.server import serving

GRACE_SECONDS = 0.5


@pytest.mark.slow
def test_every_request_of_the_timetable_is_answered_and_counted() -> None:
    with serving(lambda _: (200, b"{}")) as host:
        figures = openloop.run([Request("GET", "/").raw(host)], host=host, rate=100, seconds=0.5, connections=4)
    assert (figures.planned, figures.answered, figures.statuses) == (50, 50, {200: 50})
    assert 0 < figures.p50 <= figures.p99 <= figures.maximum


@pytest.mark.slow
def test_a_stall_counts_for_all_who_would_have_come_meanwhile() -> None:
    """One answer takes 400 ms. A closed loop would count one slow request; here some forty were due in that time."""
    lock, answered = threading.Lock(), 0

    def respond(_: str) -> tuple[int, bytes]:
        nonlocal answered
        with lock:
            answered += 1
            if answered == 10:
                time.sleep(0.4)
        return 200, b"{}"

    with serving(respond) as host:
        figures = openloop.run([Request("GET", "/").raw(host)], host=host, rate=100, seconds=1, connections=2)
    assert figures.answered == 100
    assert figures.maximum > 350_000
    # A tenth waited for at least half of the stall, where a closed loop with two connections would see two requests.
    assert figures.p90 > 150_000


def test_error_answers_are_a_fault() -> None:
    with serving(lambda _: (503, b"")) as host:
        figures = openloop.run([Request("GET", "/").raw(host)], host=host, rate=50, seconds=0.2, connections=2)
    assert figures.fault() == "answers with 10 of 503"


def test_a_generator_that_is_late_by_itself_is_a_fault() -> None:
    late = openloop.OpenLoopFigures(100, 10, 10, 1, 1, 1, 1, 1, openloop.LAG_LIMIT_US + 1, {200: 10})
    assert late.fault() == "the generator itself was 2.0 ms late"


def test_requests_without_an_answer_count_as_having_waited_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openloop, "GRACE_SECONDS", GRACE_SECONDS)
    release = threading.Event()

    def respond(target: str) -> tuple[int, bytes]:
        if target == "/never":
            release.wait(30)
        return 200, b"{}"

    with serving(respond) as host:
        requests = [Request("GET", target).raw(host) for target in ("/", "/never", "/", "/")]
        try:
            figures = openloop.run(requests, host=host, rate=40, seconds=0.1, connections=4)
        finally:
            release.set()
    assert (figures.planned, figures.answered) == (4, 3)
    assert figures.maximum >= GRACE_SECONDS * 1e6
