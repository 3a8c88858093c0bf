"""One deadline a request, over real sockets and on uvloop, whatever it waits for: a lock, a frozen server, a row."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.integration.cli.conftest import Server, Shell, StartServer, eventually
from tests.integration.faults.servers import SERVERS, DatabaseServer, open_folder

pytestmark = pytest.mark.untraced

DEADLINE = 2.0
AT_THE_LATEST = DEADLINE + 3.0
"""One second is what it takes; on a busy machine the client may take the rest. Without a deadline it was 31 to 102."""
LIMITS = {"REQUEST_DEADLINE_SECONDS": str(DEADLINE), "RATE_LIMIT_ENABLED": "false"}


class Answered(NamedTuple):
    status: int
    slug: str
    seconds: float


class Caller:
    def __init__(self, server: Server, database: str = "") -> None:
        self.server = server
        self.database = database
        status, body = server.request(
            "POST", "/api/v1/auth/signup", {"email": "a@example.com", "password": "a quiet harbour at dawn"}
        )
        assert status == 201, body
        self.headers = {"Authorization": f"Bearer {body['access_token']}"}
        status, post = server.request("POST", "/api/v1/posts", {"text": "first"}, self.headers)
        assert status == 201, post
        self.post = post["id"]

    def ask(self, method: str, path: str, body: Any = None) -> Answered:
        begun = time.monotonic()
        status, answer = self.server.request(method, f"/api/v1{path}", body, self.headers)
        slug = str((answer or {}).get("type", "")).rpartition("/")[2]
        return Answered(status, slug, time.monotonic() - begun)

    def write(self) -> Answered:
        return self.ask("POST", "/posts", {"text": "hello"})

    def vote(self) -> Answered:
        return self.ask("PUT", f"/posts/{self.post}/vote", {"dir": 1})

    def edit(self) -> Answered:
        return self.ask("PATCH", f"/posts/{self.post}", {"text": "changed"})

    def delete(self) -> Answered:
        return self.ask("DELETE", f"/posts/{self.post}")


def at_once(count: int, *asking: Callable[[], Answered]) -> list[Answered]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda number: asking[number % len(asking)](), range(count)))


def test_a_lock_that_another_process_holds(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start(**LIMITS)
    caller = Caller(server)
    path = shell.folder / server_file(shell)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        alone = caller.write()
        sixty = at_once(
            60, caller.write, caller.vote, caller.edit, lambda: caller.ask("DELETE", f"/posts/{caller.post}")
        )
        reads = at_once(4, lambda: caller.ask("GET", f"/posts/{caller.post}"))
        ready = server.request("GET", "/health/ready")[0]
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert alone.status == 503
    assert alone.seconds < AT_THE_LATEST
    assert {answer.status for answer in sixty} == {503}
    assert max(answer.seconds for answer in sixty) < AT_THE_LATEST
    assert {answer.status for answer in reads} == {200}
    assert ready == 503
    assert caller.write().status == 201
    assert eventually(lambda: server.request("GET", "/health/ready")[0] == 200)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


def server_file(shell: Shell) -> str:
    (found,) = shell.folder.rglob("*.db")
    return str(found.relative_to(shell.folder))


@pytest.fixture(scope="module", params=sorted(SERVERS))
def database(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    with open_folder() as folder:
        server: DatabaseServer = SERVERS[request.param](folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def served(database: DatabaseServer, shell: Shell, start: StartServer) -> Caller:
    name = f"postern_{time.monotonic_ns()}"
    url = database.database(name)
    shell.variables["DATABASE_URL"] = url
    shell.migrate()
    return Caller(start(**LIMITS), name)


def test_a_database_server_that_is_frozen(database: DatabaseServer, served: Caller) -> None:
    reads = [
        lambda: served.ask("GET", f"/posts/{served.post}"),
        lambda: served.ask("GET", "/posts"),
        lambda: served.ask("GET", "/users/me"),
        lambda: served.ask("GET", "/posts?q=first"),
    ]
    database.freeze()
    try:
        answered = at_once(40, served.write, served.vote, served.edit, *reads)
        again = at_once(12, served.write, *reads)
    finally:
        database.thaw()

    failed = [answer for answer in (*answered, *again) if answer.status != 200]
    assert {answer.status for answer in failed} == {503}
    assert {answer.slug for answer in failed} <= {"deadline-exceeded", "storage-unavailable", "outcome-unknown"}
    assert max(answer.seconds for answer in (*answered, *again)) < AT_THE_LATEST
    assert eventually(lambda: served.write().status == 201)
    assert eventually(lambda: served.server.request("GET", "/health/ready")[0] == 200)


def test_a_row_that_somebody_else_has_locked(database: DatabaseServer, served: Caller) -> None:
    sleep = "SLEEP(6)" if database.name == "mariadb" else "pg_sleep(6)"
    holding = threading.Thread(
        target=database.say,
        args=(f"BEGIN; SELECT version FROM posts FOR UPDATE; SELECT {sleep}; COMMIT",),
        kwargs={"database": served.database},
    )
    holding.start()
    try:
        time.sleep(1)  # Nothing tells when it has begun.
        answered = at_once(20, served.vote, served.edit)
    finally:
        holding.join()

    assert {answer.status for answer in answered} == {503}
    assert max(answer.seconds for answer in answered) < AT_THE_LATEST
    assert served.vote().status == 200
