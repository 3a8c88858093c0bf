"""Live events from real servers: through two workers on MariaDB, to readers who take nothing, and at the stop."""

import contextlib
import http.client
import json
import logging
import re
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.sql.schema.migrate import upgrade
from tests.backends import Databases, in_thread
from tests.integration.cli.conftest import Server, Shell, StartServer, eventually

pytestmark = pytest.mark.faults

PASSWORD = "a quiet harbour at dawn"
FAST = {"PASSWORD_HASH_MEMORY_KIB": "8192", "PASSWORD_HASH_ITERATIONS": "1"}


class Reader:
    """Reads a stream over a connection of its own, in a thread of its own."""

    def __init__(self, server: Server, headers: dict[str, str] | None = None, *, query: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._connection.request("GET", f"/api/v1/events{query}", headers=headers or {})
        self._socket = self._connection.sock
        self.response = self._connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.ended_at: float | None = None
        self.began_after: int | None = None
        self.events: list[dict[str, Any]] = []
        """With the position of each as `position`."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert eventually(lambda: self.began_after is not None)

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            while line := self.response.readline():
                if line.strip():
                    name, _, value = line.decode().rstrip("\n").partition(":")
                    fields[name] = value.strip()
                    continue
                if "data" in fields:
                    self.events.append({**json.loads(fields["data"]), "position": int(fields["id"])})
                elif self.began_after is None:
                    self.began_after = int(fields["id"])
                fields = {}
        self.ended_at = time.monotonic()

    @property
    def subjects(self) -> list[str]:
        return [event["subject"] for event in list(self.events)]

    def close(self) -> None:
        """Hang up, from this side if the server has not. Twice is once."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # It is gone already.
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self.response.close()
        self._connection.close()


OpenReader = Callable[..., Reader]


@pytest.fixture
def listen() -> Iterator[OpenReader]:
    opened: list[Reader] = []

    def listen_(server: Server, headers: dict[str, str] | None = None, *, query: str = "") -> Reader:
        opened.append(Reader(server, headers, query=query))
        return opened[-1]

    yield listen_
    for reader in opened:
        reader.close()


def signed_up(server: Server, name: str) -> dict[str, str]:
    body = {"email": f"{name}@example.org", "password": PASSWORD, "username": name}
    status, answer = server.request("POST", "/api/v1/auth/signup", body)
    assert status == 201, answer
    return {"Authorization": f"Bearer {answer['access_token']}"}


def publish(server: Server, author: dict[str, str], text: str = "Hello.") -> str:
    status, post = server.request("POST", "/api/v1/posts", {"text": text}, author)
    assert status == 201, post
    return str(post["id"])


@pytest.fixture
def two_workers(shell: Shell, start: StartServer, databases: Databases) -> Iterator[Server]:
    databases.url("mariadb")  # Skips, or fails in CI, without a server.
    url = databases.create("mariadb", "_live")
    in_thread(lambda: upgrade(url))
    server = start(DATABASE_URL=url, WORKERS="2", LIVE_MAX_STREAMS_PER_CALLER="100", **FAST)
    yield server
    server.stop()
    databases.drop("mariadb", url)


def streams_of(server: Server) -> dict[int, int]:
    """Return how many connections each worker has."""
    return {worker: _connections(worker, server.port) for worker in server.workers()}


def _connections(worker: int, port: int) -> int:
    sockets = set()
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(str(descriptor.readlink()))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    of_port = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    return len(sockets & of_port)


@pytest.mark.timeout(180)
def test_what_goes_through_one_worker_is_heard_through_the_other(two_workers: Server, listen: OpenReader) -> None:
    server = two_workers
    ada = signed_up(server, "ada")
    readers = [listen(server) for _ in range(6)]
    while Path("/proc/net/tcp").exists() and min(streams_of(server).values()) == 0:
        readers.append(listen(server))
    posts = [publish(server, ada, f"post {number}") for number in range(30)]

    for reader in readers:
        assert eventually(lambda reader=reader: len(reader.events) >= 30)  # type: ignore[misc]  # a default of a lambda
        assert reader.subjects == posts
        positions = [event["position"] for event in reader.events]
        assert positions == sorted(set(positions))
    assert len({tuple(event["position"] for event in reader.events) for reader in readers}) == 1


@pytest.mark.timeout(180)
def test_whoever_comes_back_in_the_middle_of_a_storm_misses_nothing(two_workers: Server, listen: OpenReader) -> None:
    server = two_workers
    ada = signed_up(server, "ada")
    witness = listen(server)
    done = threading.Event()
    published: list[str] = []

    def storm() -> None:
        while not done.is_set():
            published.append(publish(server, ada))

    storms = [threading.Thread(target=storm) for _ in range(3)]
    for thread in storms:
        thread.start()
    heard: list[list[dict[str, Any]]] = []
    try:
        for _ in range(4):
            parts: list[dict[str, Any]] = []
            last = witness.began_after
            for _ in range(3):  # Each time on a new connection, so through either worker.
                reader = listen(server, {"Last-Event-ID": str(last)})
                count = len(reader.events) + 20
                assert eventually(lambda reader=reader, count=count: len(reader.events) >= count)  # type: ignore[misc]  # as above
                reader.close()
                parts += reader.events
                last = parts[-1]["position"]
            heard.append(parts)
    finally:
        done.set()
        for thread in storms:
            thread.join()
    assert eventually(lambda: len(witness.events) >= len(published))

    assert sorted(witness.subjects) == sorted(published)
    for parts in heard:
        assert [event["id"] for event in parts] == [event["id"] for event in witness.events[: len(parts)]]
        assert len(parts) >= 60


@pytest.mark.timeout(180)
def test_a_session_that_is_closed_through_either_worker_ends_its_streams_within_a_second(
    two_workers: Server, listen: OpenReader
) -> None:
    server = two_workers
    bystander = listen(server, signed_up(server, "bob"))
    rounds: list[float] = []
    # A busy machine can only make the threads of this process notice later, so the best round tells what the server
    # does. In each of them every stream has to end.
    while len(rounds) < 3 and (len(rounds) < 2 or min(rounds) >= 1.0):
        author = signed_up(server, f"author-{len(rounds)}")
        readers = [listen(server, author) for _ in range(6)]
        status, _ = server.request("POST", "/api/v1/auth/logout", headers=author)
        assert status == 204
        acknowledged = time.monotonic()
        assert eventually(lambda readers=readers: all(reader.ended_at is not None for reader in readers))  # type: ignore[misc]  # as above
        rounds.append(max(reader.ended_at or 0.0 for reader in readers) - acknowledged)
    assert min(rounds) < 1.0, rounds
    assert bystander.ended_at is None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_ends_its_streams_at_once(
    server: Server, listen: OpenReader, stop: signal.Signals
) -> None:
    ada = signed_up(server, "ada")
    readers = [listen(server), listen(server, ada), listen(server, {"Last-Event-ID": "0"})]
    publish(server, ada)
    began = time.monotonic()
    status = server.stop(stop)
    took = time.monotonic() - began

    assert status == 0
    assert server.complaints() == [], "no worker had to be killed"
    assert eventually(lambda: all(reader.ended_at is not None for reader in readers))
    latest = max(reader.ended_at or 0.0 for reader in readers) - began
    logging.getLogger(__name__).warning("streams ended %.2f s after the signal, the server %.2f s", latest, took)
    assert latest < 2.0
    assert took < 7.5, "the server waits eight seconds for whoever is still being answered"
    for reader in readers:
        # In good order: the last chunk came, so a client does not take it for a fault.
        assert reader.response.isclosed()


def memory_of(process: int) -> int:
    """Return the bytes of physical memory that a process has."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert match
    return int(match[1]) * 1024


def flood(database: Path, count: int, size: int) -> None:
    """Log `count` more public events with data of `size` bytes, as copies of the newest."""
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(event_log)")]
        newest = connection.execute("SELECT * FROM event_log ORDER BY position DESC LIMIT 1").fetchone()
        row = dict(zip(names, newest, strict=True))
        data = json.dumps({"padding": "x" * (size - 14)}).encode()
        copies = [
            {**row, "position": row["position"] + number, "event_id": uuid4().bytes, "data": data}
            for number in range(1, count + 1)
        ]
        connection.executemany(f"INSERT INTO event_log VALUES ({', '.join(f':{name}' for name in names)})", copies)


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells what a process holds")
def test_readers_that_take_nothing_are_cut_and_cost_no_memory(
    shell: Shell, start: StartServer, listen: OpenReader
) -> None:
    """Twenty of them, for each of whom 20 MB happen: kept for them, it would be 400 MB."""
    shell.migrate()
    server = start(LIVE_MAX_STREAMS_PER_CALLER="100", **FAST)
    (worker,) = server.workers()
    publish(server, signed_up(server, "ada"))
    stuck = contextlib.ExitStack()
    for _ in range(20):
        peer = stuck.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        peer.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    quick = listen(server)
    assert eventually(lambda: _connections(worker, server.port) >= 21)
    before = most = memory_of(worker)
    # 400 KB at a time, which is less than what may wait for one stream: whoever takes it is not cut.
    for batch in range(1, 51):
        flood(shell.folder / ".postern" / "postern.db", 40, 10_000)
        assert eventually(lambda expected=batch * 40: len(quick.events) >= expected)  # type: ignore[misc]  # as above
        most = max(most, memory_of(worker))

    assert eventually(lambda: _connections(worker, server.port) <= 1), "those who took nothing were cut"
    assert quick.ended_at is None
    assert len(quick.events) == 2000
    assert most - before < 60 * 2**20, f"{(most - before) / 2**20:.0f} MiB more"
    stuck.close()
    logging.getLogger(__name__).warning("20 readers took nothing of 20 MB: %d KiB more", (most - before) // 1024)
    assert server.stop() == 0


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells what a process holds")
def test_a_reader_that_takes_nothing_of_its_past_does_not_hold_up_the_stop(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start(**FAST)
    (worker,) = server.workers()
    publish(server, signed_up(server, "ada"))
    for _ in range(20):
        flood(shell.folder / ".postern" / "postern.db", 100, 10_000)
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        peer.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: 1\r\n\r\n")
        time.sleep(2)
        before = memory_of(worker)
        began = time.monotonic()
        status = server.stop()

        assert status == 0
        assert time.monotonic() - began < 7.5
        assert server.complaints() == []
        assert before < 250 * 2**20
