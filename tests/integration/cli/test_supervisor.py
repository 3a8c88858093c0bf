"""The parent of the workers: what it does when they die, and when it is told to reload or to stop."""

import http.client
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from entrypoints.cli.supervisor import LONGEST_PAUSE_SECONDS, pause_before
from tests.integration.cli.conftest import Server, Shell, StartServer, eventually, free_port
from tests.integration.cli.test_metrics import scrape, value

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all workers have one socket"),
    pytest.mark.timeout(300),
]


def _notices(server: Server) -> list[str]:
    status, ready = server.request("GET", "/health/ready")
    assert status == 200, ready
    return [notice["code"] for notice in ready["notices"]]


def test_pauses_grow_from_none_to_half_a_minute() -> None:
    assert [pause_before(death) for death in (0, 1, 2, 3, 4, 5)] == [0, 0, 1, 2, 4, 8]
    assert pause_before(7) == pause_before(10_000) == LONGEST_PAUSE_SECONDS


def test_two_workers_that_die_at_once_again_and_again_are_both_replaced_and_that_is_told(
    shell: Shell, start: StartServer
) -> None:
    shell.migrate()
    server = start(WORKERS="2")
    assert _notices(server) == []
    for _ in range(2):
        victims = server.workers()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        server.await_workers(2, without=victims)

    assert _notices(server) == ["workers-die"]
    assert eventually(lambda: value(scrape(server), "postern_worker_deaths_total") == 4)
    metrics = scrape(server)
    assert value(metrics, 'postern_notice{code="workers-die"}') == 1
    assert value(metrics, "postern_workers_wanted") == 2
    # The first time both are, and the second time the one that leaves nobody who serves.
    assert server.log.read_text().count("ended of SIGKILL and is replaced at once") == 3
    assert server.log.read_text().count("ended of SIGKILL and is replaced in 1 s") == 1
    assert server.stop() == 0


def test_every_connection_of_a_worker_that_is_killed_ends_accepted_or_not(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start(WORKERS="2")
    victim, _ = server.workers()
    with ExitStack() as stack:
        connections = [stack.enter_context(_asking(server)) for _ in range(20)]
        for connection in connections:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 "), "each is some worker's"
        os.kill(victim, signal.SIGSTOP)
        assert eventually(lambda: Path(f"/proc/{victim}/stat").read_text().rpartition(") ")[2].startswith("T"))
        connections += [stack.enter_context(_asking(server)) for _ in range(20)]
        for connection in connections:
            connection.sendall(ASK)
        os.kill(victim, signal.SIGKILL)
        is_answered = [_is_answered(connection) for connection in connections]

    # It had some in its hands, and some in its backlog.
    assert not all(is_answered[:20])
    assert not all(is_answered[20:])
    assert any(is_answered)
    server.await_workers(2, without=[victim])
    assert server.stop() == 0


ASK: Final = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _asking(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(ASK)
    return connection


def _is_answered(connection: socket.socket) -> bool:
    """Tell whether an answer comes, or else the end of the connection. Raises `TimeoutError` for neither."""
    try:
        return connection.recv(4096) != b""
    except ConnectionResetError:
        return False


def test_what_is_asked_while_the_only_worker_is_replaced_waits_for_the_next(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start()
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)

    assert server.request("GET", "/health/live")[0] == 200
    assert server.workers() != [worker]
    assert server.stop() == 0


@pytest.mark.measured
def test_a_reload_takes_new_settings_and_one_that_cannot_leaves_everything_as_it_was(
    shell: Shell, start: StartServer
) -> None:
    shell.migrate()
    settings = shell.folder / ".env"
    settings.write_text("ALOWED_HOSTS=api.example.org\n")
    server = start(WORKERS="2")
    before = server.workers()
    assert server.log.read_text().count("did you mean ALLOWED_HOSTS?") == 1
    assert _allowed(server, "api.example.org") == 400

    settings.write_text("ALLOWED_HOSTS=api.example.org\nDATABASE_POOL_SIZE=none\n")
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: "the reload is abandoned" in server.log.read_text(), 60)
    assert "DATABASE_POOL_SIZE" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    assert server.workers() == before
    assert _notices(server) == ["reload-abandoned"]
    assert _allowed(server, "api.example.org") == 400

    settings.write_text("ALLOWED_HOSTS=api.example.org\nDATABASE_POOL_SISE=5\n")
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: "reloaded" in server.log.read_text(), 120)
    assert "did you mean DATABASE_POOL_SIZE?" in server.log.read_text()
    server.await_workers(2, without=before)
    assert _notices(server) == []
    assert _allowed(server, "api.example.org") == 200
    metrics = scrape(server)
    assert value(metrics, 'postern_reloads_total{result="done"}') == 1
    assert value(metrics, 'postern_reloads_total{result="abandoned"}') == 1
    assert value(metrics, "postern_worker_deaths_total") == 0
    assert server.stop() == 0


def _allowed(server: Server, host: str) -> int:
    return server.request("GET", "/problems", headers={"Host": host})[0]


def test_a_database_in_memory_is_not_lost_by_a_reload(start: StartServer) -> None:
    server = start(DATABASE_URL="memory://", ENVIRONMENT="testing")
    before = server.workers()
    server.process.send_signal(signal.SIGHUP)

    assert eventually(lambda: "SIGHUP is ignored" in server.log.read_text())
    assert server.workers() == before
    assert server.request("GET", "/health/ready")[0] == 200
    assert server.stop() == 0


@pytest.mark.measured
def test_a_server_that_drains_is_not_ready_takes_connections_and_closes_each(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start(WORKERS="2", DRAIN_SECONDS="3")
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    assert _answer(kept, "/health/live") == (200, None)
    server.process.send_signal(signal.SIGTERM)

    assert eventually(lambda: server.request("GET", "/health/ready")[0] == 503, 2)
    _, problem = server.request("GET", "/health/ready")
    assert problem["detail"] == "The server is about to stop."
    for _ in range(10):  # whichever worker it is
        fresh = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        assert _answer(fresh, "/health/live") == (200, "close")
        fresh.close()
    assert _answer(kept, "/api/v1/posts") == (200, "close")
    kept.close()
    assert server.process.wait(20) == 0


def _answer(connection: http.client.HTTPConnection, path: str) -> tuple[int, Any]:
    connection.request("GET", path)
    with connection.getresponse() as response:
        response.read()
        return response.status, response.getheader("Connection")


def test_a_connection_that_asks_nothing_holds_up_a_stop_for_a_moment_only(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start()
    silent = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    silent.connect()
    assert server.request("GET", "/health/live")[0] == 200
    began = time.monotonic()

    assert server.stop() == 0
    assert time.monotonic() - began < 6  # The server would wait for 8 seconds, and then kill its worker.
    assert "is killed" not in server.log.read_text()
    silent.close()


def test_a_port_of_workers_that_keep_dying_is_free_when_the_server_ends(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start()
    for _ in range(3):
        victims = server.workers()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        assert eventually(lambda: bool(server.workers()) and server.workers() != victims)  # noqa: B023 - called here
    assert server.stop() == 0
    done = shell.run("serve", "--port", str(free_port()), "--workers", "0")
    assert done.returncode == 3
