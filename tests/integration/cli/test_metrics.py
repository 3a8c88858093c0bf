"""Metrics and the request log of a real server with several workers."""

import http.client
import json
import os
import re
import signal
import time

import pytest

from tests.integration.cli.conftest import Server, Shell, StartServer

pytestmark = pytest.mark.untraced


def scrape(server: Server) -> str:
    # A connection of its own each time, so that the kernel picks a worker anew.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/metrics")
    with connection.getresponse() as response:
        text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return text


def value(text: str, sample: str) -> float:
    match = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return 0.0 if match is None else float(match[1])


LIVENESS = 'http_requests_total{method="GET",route="/health/live",status="200"}'


def ask(server: Server, times: int) -> None:
    for _ in range(times):
        assert server.request("GET", "/health/live")[0] == 200


def settled(server: Server, total: float) -> None:
    """Wait until every scrape, wherever it goes, tells `total`."""
    deadline = time.monotonic() + 20
    while (found := {value(scrape(server), LIVENESS) for _ in range(8)}) != {total}:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_any_worker_tells_the_sum_of_all_and_a_dead_one_takes_nothing_along(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start(WORKERS="3")
    before = value(scrape(server), LIVENESS)
    ask(server, 60)
    settled(server, before + 60)

    told = []
    # Not a replacement, whose number may be the lowest once the kernel's have wrapped around: when it dies within
    # seconds, the server gives up.
    for victim in server.workers()[:2]:
        ask(server, 10)
        told.append(value(scrape(server), LIVENESS))
        os.kill(victim, signal.SIGKILL)
        server.await_workers(3, without=[victim])
        while len(told) % 7:
            told.append(value(scrape(server), LIVENESS))

    assert told == sorted(told)
    assert told[-1] > before + 60
    deadline = time.monotonic() + 20
    while value(scrape(server), "postern_workers") != 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert value(scrape(server), "process_resident_memory_bytes") > 1_000_000


def test_numbers_are_the_servers_own_and_gone_with_it(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    folder = shell.folder / "temporary"
    folder.mkdir()
    server = start(WORKERS="2", TMPDIR=str(folder))
    ask(server, 10)
    scrape(server)

    (directory,) = folder.glob("postern-metrics-*")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert server.stop() == 0
    assert list(folder.iterdir()) == []


def test_every_request_leaves_one_line_of_json_without_anything_secret(server: Server) -> None:
    account = {"email": "ada@example.com", "password": "a quiet harbour at dawn"}
    _, signed_up = server.request("POST", "/api/v1/auth/signup", account)
    token = signed_up["access_token"]
    auth = {"Authorization": f"Bearer {token}"}
    _, post = server.request("POST", "/api/v1/posts", {"text": "Nobody else's business"}, auth)
    server.request("GET", f"/api/v1/posts/{post['id']}", headers={**auth, "X-Request-Id": "find-me"})
    server.request("GET", "/api/v1/posts?q=private+thoughts", headers=auth)
    assert server.stop() == 0

    # Development logs its mails too, as what they are.
    log = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    lines = [json.loads(line) for line in log]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/api/v1/auth/signup", 201),
        ("POST", "/api/v1/posts", 201),
        ("GET", "/api/v1/posts/{post_id}", 200),
        ("GET", "/api/v1/posts", 200),
    ]
    assert lines[2]["request_id"] == "find-me"
    assert lines[2]["user_id"] == signed_up["user"]["id"]
    assert lines[2]["client"] == "127.0.0.1"
    for secret in (*account.values(), token, signed_up["refresh_token"], "business", "thoughts", post["id"]):
        assert not any(secret in line for line in log)


@pytest.mark.parametrize("environment", ["development", "production"])
def test_an_idle_server_on_sqlite_writes_nothing_that_would_end_the_cached_feed(
    shell: Shell, start: StartServer, environment: str
) -> None:
    shell.variables |= {"ENVIRONMENT": environment, "SECRET_KEY": "a" * 16 + os.urandom(16).hex(), "ALLOWED_HOSTS": "*"}
    shell.variables["DATABASE_URL"] = "sqlite:///posts.db"
    shell.migrate()
    server = start()
    account = {"email": "ada@example.com", "password": "a quiet harbour at dawn"}
    _, tokens = server.request("POST", "/api/v1/auth/signup", account)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    server.request("POST", "/api/v1/posts", {"text": "Hello"}, bearer)
    time.sleep(1)  # What comes after a write (a step of the fan-out in development) may end it once.
    assert server.request("GET", "/api/v1/posts", headers=bearer)[0] == 200
    missed = value(scrape(server), 'postern_cache_misses_total{cache="exact-feed"}')
    assert missed > 0
    # Twelve rests of the workers that look for work, and two of everything that is done each second.
    for _ in range(5):
        time.sleep(0.5)
        server.request("GET", "/api/v1/posts", headers=bearer)
    told = scrape(server)

    assert value(told, 'postern_cache_hits_total{cache="exact-feed"}') == 5
    assert value(told, 'postern_cache_misses_total{cache="exact-feed"}') == missed


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("with_redis", [False, True], ids=["no-redis", "redis"])
@pytest.mark.parametrize("with_broker", [False, True], ids=["no-broker", "broker"])
def test_every_worker_serves_the_metrics_with_and_without_redis_and_a_broker(
    shell: Shell,
    start: StartServer,
    request: pytest.FixtureRequest,
    *,
    workers: int,
    with_redis: bool,
    with_broker: bool,
) -> None:
    shell.migrate()
    variables = {"WORKERS": str(workers), "RATE_LIMIT_ENABLED": "true"}
    if with_redis:
        variables["REDIS_URL"] = request.getfixturevalue("redis_url")
    if with_broker:
        variables["BROKER_URL"] = request.getfixturevalue("rabbitmq_url")
    server = start(**variables)
    ask(server, 4)
    # Until each has written its numbers several times, and has read the others'.
    deadline = time.monotonic() + 20
    while value(text := scrape(server), LIVENESS) < 4 or value(text, "postern_workers") != workers:
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    for text in (scrape(server) for _ in range(8)):
        assert ("postern_outbox_pending" in text) == with_broker
        assert len(re.findall("^postern_redis_up{", text, re.MULTILINE)) == 2 * with_redis
        assert all(
            value(text, f'postern_metrics_lost_total{{what="{what}"}}') == 0 for what in ("source", "sample", "file")
        )
    assert server.stop() == 0
    assert server.complaints() == []
