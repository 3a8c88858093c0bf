"""The server as a process: starting, stopping, and what happens to it in between."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from entrypoints.cli.serve import first_steps
from tests.backends import Databases, missing
from tests.integration.cli.conftest import Server, Shell, StartServer, eventually, free_port

PASSWORD = "a quiet harbour at dawn"


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _sign_up(server: Server, email: str) -> dict[str, str]:
    status, body = server.request("POST", "/api/v1/auth/signup", {"email": email, "password": PASSWORD})
    assert status == 201, body
    return {"Authorization": f"Bearer {body['access_token']}"}


def test_the_commands_of_the_first_screen_work_when_pasted(server: Server, shell: Shell) -> None:
    assert f"http://127.0.0.1:{server.port}/docs" in server.screen
    commands = [line for line in server.screen.splitlines() if line.startswith(("TOKEN=", "curl "))]
    assert len(commands) == 3
    if shutil.which("curl") is None:
        missing("no curl")

    for _ in range(2):  # Whoever pastes them again gets the same.
        done = subprocess.run(
            ["bash", "-c", "\n".join(commands)],
            cwd=shell.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        published, listed = (json.loads(line) for line in done.stdout.splitlines())

        assert done.stderr == ""
        assert published["text"] == "Hello from Postern"
        assert listed["items"] == [published]


def test_the_readme_gives_the_commands_of_the_first_screen() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()

    assert "\n".join(first_steps("http://127.0.0.1:8000")) in readme


@pytest.mark.measured
def test_the_port_being_taken_is_one_line_even_by_a_server_that_shares_ports(shell: Shell) -> None:
    shell.migrate()
    for share in (False, True):
        with socket.socket() as other:
            if share:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            done = shell.run("serve", "--port", str(port))

        assert done.returncode == 6
        assert done.stderr == (
            f"postern: cannot listen on 127.0.0.1 port {port}: another program already does; "
            "choose another with PORT or --port\n"
        )


@pytest.mark.parametrize(
    ("host", "reason"),
    [("no-such-host.invalid", "the host is unknown"), ("192.0.2.1", "this machine has no such address")],
)
def test_an_address_that_is_not_ours_is_one_line(shell: Shell, host: str, reason: str) -> None:
    done = shell.run("serve", "--host", host, "--port", str(free_port()))

    assert done.returncode == 6
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr


def test_a_request_in_flight_is_finished_before_the_server_stops(server: Server) -> None:
    body = json.dumps({"email": "ada@example.com", "password": PASSWORD})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/api/v1/auth/signup")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:20].encode())
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    connection.send(body[20:].encode())
    response = connection.getresponse()

    assert response.status == 201
    assert json.loads(response.read())["user"]["email"] == "ada@example.com"
    connection.close()
    assert server.process.wait(15) == 0


def test_a_connection_that_is_left_open_does_not_hold_up_the_stop(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as idle:
        idle.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        began = time.monotonic()
        status = server.stop()

    assert time.monotonic() - began < 12
    assert status == 0


def test_ctrl_c_in_a_terminal_is_a_clean_end(server: Server) -> None:
    # A terminal sends the signal to the parent and its workers alike, and people press it more than once.
    os.killpg(server.process.pid, signal.SIGINT)
    time.sleep(0.05)
    os.killpg(server.process.pid, signal.SIGINT)

    assert server.process.wait(20) == 0
    assert server.complaints() == []
    assert _refuses(server.port)


@pytest.mark.measured
def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)

    assert eventually(lambda: server.workers() not in ([], [worker]))
    assert eventually(lambda: not _refuses(server.port))
    assert server.request("GET", "/health/ready")[0] == 200
    assert eventually(lambda: len(server.workers()) == 1)
    assert server.stop() == 0


def test_workers_end_with_a_parent_that_is_killed(server: Server) -> None:
    (worker,) = server.workers()
    server.process.kill()
    server.process.wait(10)

    assert eventually(lambda: _refuses(server.port))
    assert eventually(lambda: not _is_alive(worker))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_head_without_end_is_refused(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/health", headers={"X-Padding": "x" * 200_000})

    assert connection.getresponse().status == 431


def test_an_administrator_logs_in_with_the_role(server: Server, shell: Shell) -> None:
    arguments = ("create-admin", "--email", "ops@example.com", "--username", "ops")
    assert shell.run(*arguments, ADMIN_PASSWORD=PASSWORD).returncode == 0
    credentials = {"email": "ops@example.com", "password": PASSWORD}
    _, tokens = server.request("POST", "/api/v1/auth/login", credentials)
    status, me = server.request(
        "GET", "/api/v1/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )

    assert (status, me["role"]) == (200, "admin")


def test_outside_of_development_the_first_screen_is_one_line(shell: Shell, start: StartServer) -> None:
    variables = {"ENVIRONMENT": "production", "DATABASE_URL": "sqlite:///posts.db", "SECRET_KEY": os.urandom(32).hex()}
    shell.variables |= variables
    shell.migrate()
    server = start()

    assert server.screen == f"Postern is ready at http://127.0.0.1:{server.port} (production, 1 worker).\n"
    assert server.stop() == 0


def test_serve_can_migrate_first(shell: Shell, start: StartServer) -> None:
    server = start("--migrate")

    assert server.screen.startswith("The schema of sqlite+aiosqlite:///.postern/postern.db is now at ")
    assert server.request("GET", "/health/ready")[0] == 200
    assert server.stop() == 0
    assert start("--migrate").screen.startswith("Postern is ready")


def test_a_worker_that_cannot_start_stops_everything_with_one_more_line(shell: Shell, tmp_path: Path) -> None:
    shell.migrate()
    # A module of that name in front of the real one, as a broken installation would have it.
    broken = tmp_path / "broken" / "litestar"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this installation is broken')\n")
    # Which fails when it goes on trying.
    done = shell.run("serve", "--port", str(free_port()), PYTHONPATH=str(broken.parent))

    assert done.returncode == 1
    assert "this installation is broken" in done.stderr
    assert done.stderr.splitlines()[-1] == "postern: the workers do not keep running; the reason is above"


@pytest.mark.parametrize("backend", ["sqlite", "mariadb", "postgresql"])
@pytest.mark.parametrize("with_redis", [False, True], ids=["no-redis", "redis"])
def test_two_workers_show_a_caller_their_own_writes_at_once(
    shell: Shell,
    start: StartServer,
    databases: Databases,
    request: pytest.FixtureRequest,
    backend: str,
    *,
    with_redis: bool,
) -> None:
    if with_redis and backend == "sqlite":
        pytest.skip("SQLite tells its readers of every commit by itself, so Redis is left out")
    url = databases.create(backend, "_cli")
    shell.variables["DATABASE_URL"] = url
    if with_redis:
        shell.variables["REDIS_URL"] = request.getfixturevalue("redis_url")
    try:
        shell.migrate()
        server = start("--workers", "2")
        assert len(server.workers()) == 2
        token = _sign_up(server, "ada@example.com")
        texts: list[str] = []
        for number in range(40):
            # Each request on a connection of its own, so that either worker may get it.
            texts.insert(0, f"post {number}")
            status, _ = server.request("POST", "/api/v1/posts", {"text": texts[0]}, token)
            assert status == 201
            for _ in range(2):
                _, mine = server.request("GET", "/api/v1/users/me/posts?limit=100", headers=token)
                assert [post["text"] for post in mine["items"]] == texts
        assert server.stop() == 0
        assert server.complaints() == []
    finally:
        databases.drop(backend, url)


@pytest.mark.parametrize("backend", ["sqlite", "mariadb", "postgresql"])
def test_the_plain_engine_serves_too(shell: Shell, start: StartServer, databases: Databases, backend: str) -> None:
    shell.variables["DATABASE_URL"] = url = databases.create(backend, "_plain")
    shell.variables["DATABASE_ENGINE"] = "plain"
    try:
        shell.migrate()
        server = start("--workers", "2")
        ada, bob = _sign_up(server, "ada@example.com"), _sign_up(server, "bob@example.com")
        status, post = server.request("POST", "/api/v1/posts", {"text": "of a walrus"}, ada)
        assert status == 201
        assert server.request("PUT", f"/api/v1/posts/{post['id']}/vote", {"dir": 1}, bob)[0] == 200

        _, mine = server.request("GET", "/api/v1/users/me/posts", headers=ada)
        assert [(found["id"], found["score"]) for found in mine["items"]] == [(post["id"], 1)]
        _, found = server.request("GET", "/api/v1/posts?q=walrus")
        assert [hit["id"] for hit in found["items"]] == [post["id"]]
        assert server.request("DELETE", "/api/v1/users/me", {"password": PASSWORD}, bob)[0] == 204
        _, left = server.request("GET", f"/api/v1/posts/{post['id']}")
        assert left["score"] == 0
        assert server.stop() == 0
        assert server.complaints() == []
    finally:
        databases.drop(backend, url)
