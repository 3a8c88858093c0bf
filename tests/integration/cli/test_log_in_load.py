"""Two hundred log-ins at once on a real server: others are hardly held up, and the excess is told so at once."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.cli.conftest import Server, Shell, StartServer

LOG_INS = 200
BODY = {"email": "ada@example.com", "password": "a quiet harbour at dawn"}
ATTEMPTS = 3
"""The machine may be busy with something else; one calm round in three is enough to show what the server does."""


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def log_in(server: Server) -> tuple[int, str | None, float]:
    """Return status, `Retry-After`, and how long it took."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    began = time.perf_counter()
    connection.request("POST", "/api/v1/auth/login", json.dumps(BODY), {"Content-Type": "application/json"})
    with connection.getresponse() as response:
        response.read()
        took = time.perf_counter() - began
        retry_after = response.headers["Retry-After"]
    connection.close()
    return response.status, retry_after, took


def ping(server: Server, stop: threading.Event, times: list[float]) -> None:
    """Ask for liveness over one connection, again and again: what it waits for is the event loop."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    while not stop.is_set():
        began = time.perf_counter()
        connection.request("GET", "/health/live")
        with connection.getresponse() as response:
            response.read()
        times.append(time.perf_counter() - began)
        time.sleep(0.002)
    connection.close()


@pytest.mark.timeout(300)
def test_two_hundred_log_ins_hold_nobody_up_and_the_excess_is_refused_at_once(shell: Shell, start: StartServer) -> None:
    assert shell.run("migrate").returncode == 0
    server = start(PASSWORD_HASH_QUEUE="60", PASSWORD_HASH_THREADS="1")
    assert server.request("POST", "/api/v1/auth/signup", BODY)[0] == 201
    rounds = []
    for _ in range(ATTEMPTS):
        lag: list[float] = []
        stop = threading.Event()
        pinging = threading.Thread(target=ping, args=(server, stop, lag))
        pinging.start()
        with ThreadPoolExecutor(LOG_INS) as pool:
            answers = list(pool.map(lambda _: log_in(server), range(LOG_INS)))
        stop.set()
        pinging.join()
        served = [answer for answer in answers if answer[0] == 200]
        refused = [answer for answer in answers if answer[0] == 503]
        assert len(served) + len(refused) == LOG_INS
        assert served
        assert refused
        assert all(retry_after is not None and int(retry_after) >= 1 for _, retry_after, _ in refused)
        rounds.append((percentile(lag, 0.99), max(took for _, _, took in refused), len(refused)))
        print(f"p99 of others {rounds[-1][0] * 1000:.1f} ms; slowest refusal {rounds[-1][1] * 1000:.0f} ms")  # noqa: T201
        if rounds[-1][0] < 0.05 and rounds[-1][1] < 1:
            return
    pytest.fail(f"p99 of others, slowest refusal, refusals: {rounds}")
