import os
import shutil
from pathlib import Path

import pytest

from bench import wrk
from bench.http1 import Request
from tests.unit.bench.server import serving

OUTPUT = """Running 1s test @ http://127.0.0.1:8000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.21ms  402.00us   9.87ms   93.10%
    Req/Sec    53.11k     1.95k   55.30k    90.00%
  105934 requests in 2.00s, 214.30MB read
Requests/sec:  52967.00
Transfer/sec:    107.15MB
figures {"requests":105934,"microseconds":2000000,"bytes":224711000,"p50":1190,"p99":2410,"max":9870,\
"connect":0,"read":0,"write":0,"status":0,"timeout":0}
"""


def test_figures_are_read_from_the_line_that_the_script_printed() -> None:
    figures = wrk.parse(OUTPUT)
    assert figures.requests_per_second == 52_967
    assert (figures.p50, figures.p99, figures.maximum) == (1_190, 2_410, 9_870)
    assert round(figures.mean_answer_bytes) == 2_121
    assert figures.fault() is None


def test_output_without_figures_is_a_failure_that_shows_it() -> None:
    with pytest.raises(wrk.WrkFailed, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_one_error_status_makes_a_run_count_for_nothing() -> None:
    fault = wrk.parse(OUTPUT.replace('"status":0', '"status":1')).fault()
    assert fault == "wrk counted 1 status errors"


def test_a_run_without_answers_counts_for_nothing() -> None:
    assert wrk.parse(OUTPUT.replace('"requests":105934', '"requests":0')).fault() == "no answers at all"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_prepared_requests_are_sent_in_their_order_and_all_of_them(tmp_path: Path) -> None:
    seen: list[str] = []

    def respond(target: str) -> tuple[int, bytes]:
        seen.append(target)
        return 200, b"{}"

    file = tmp_path / "requests"
    with serving(respond) as host:
        wrk.write_requests(file, [Request("GET", f"/{number}").raw(host) for number in range(7)])
        figures = wrk.run(file, host=host, connections=1, seconds=1, cores=[min(os.sched_getaffinity(0))])
    assert figures.fault() is None
    # The first is also what wrk tries the connection with.
    assert seen[:15] in (
        [f"/{number % 7}" for number in range(15)],
        ["/0", *(f"/{number % 7}" for number in range(14))],
        [f"/{(number + 1) % 7}" for number in range(15)],
    )
    assert set(seen) == {f"/{number}" for number in range(7)}
    assert len(seen) >= figures.requests > 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_error_answers_of_a_real_run_are_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    with serving(lambda _: (500, b"no")) as host:
        wrk.write_requests(file, [Request("GET", "/").raw(host)])
        figures = wrk.run(file, host=host, connections=2, seconds=1, cores=[min(os.sched_getaffinity(0))])
    assert (figures.fault() or "").endswith("status errors")
