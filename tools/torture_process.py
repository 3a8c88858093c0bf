"""Servers that are stopped, killed and reloaded under load: `python -m tools.torture_process [PART …] [--times 20]`.

Clients ask as fast as they are answered: on kept-alive connections, on a new connection for each request, with slow
log-ins, and with posts whose every attempt has the same idempotency key. One has a live stream open. What is done
meanwhile, by part:

- `stops`: the server is told to stop, at a random moment. Every connection that it has taken is answered, it ends with
  0 and within its time. Half of the times with DRAIN_SECONDS, when `/health/ready` is 503 at once.
- `reloads`: SIGHUP. Not one request is dropped or refused, and every worker is a new one.
- `kills`: a random worker is killed with -9, five times in the life of one server. Every post that was acknowledged
  is there, once; the server goes on.
- `parents`: the parent is killed with -9, as it starts or as it serves idle connections, streams and half a request.
  No process of it is left after a second.

It fails when any of that does not hold. The database is SQLite in a temporary folder.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

PARTS: Final = ("stops", "reloads", "kills", "parents")
PASSWORD: Final = "a quiet harbour at dawn"  # noqa: S105 - of accounts that live for seconds
DRAIN_SECONDS: Final = 1.0
STOP_SECONDS: Final = 9.0
"""What a server has for its end, with a second of draining: see `entrypoints.cli.serve`."""
ORPHAN_SECONDS: Final = 1.0
START_SECONDS: Final = 60.0
KILLS_OF_ONE: Final = 5
"""Of the same server: pauses grow with each."""
_chance: Final = random.Random()  # noqa: S311 - nothing here is a secret
_ROOT: Final = Path(__file__).parent.parent
_POSTERN: Final = "from entrypoints.cli.main import main; main()"
_HEADERS: Final = "Host: localhost\r\nContent-Type: application/json\r\n"


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Return when `condition` holds: of other processes, which do not tell. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


class Broken(Exception):
    """The connection was taken, and closed before it had a whole answer."""


class Closed(Exception):
    """The connection cannot be opened: nobody listens."""


@dataclass
class Tally:
    """What the clients saw."""

    answered: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    broken: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    """The texts of posts that were answered with 201."""

    @property
    def total(self) -> int:
        return sum(self.answered.values())


ANSWER_SECONDS = 20
"""More than a server takes for any answer; a connection that is silent for longer is a failure."""


class Connection:
    """A connection of HTTP/1.1 that tells an answer from a connection that ended without one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Raises `Closed`."""
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as error:
            raise Closed from error

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Return status and content; open a connection before, if there is none, and close it if the answer says so.

        Raises `Closed` and `Broken`.
        """
        if self._writer is None or self._reader is None:
            await self.open()
        assert self._writer is not None and self._reader is not None  # noqa: PT018 - for the type checker
        content = b"" if body is None else json.dumps(body).encode()
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\n{_HEADERS}{fields}Content-Length: {len(content)}\r\n\r\n"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._writer.write(head.encode() + content)
                await self._writer.drain()
                answer_head = await self._reader.readuntil(b"\r\n\r\n")
                status, fields_ = _read_head(answer_head)
                answer = await self._reader.readexactly(int(fields_.get("content-length", "0")))
        except TimeoutError:  # Neither an answer nor an end: what nobody may meet, killed workers or not.
            raise AssertionError(f"{method} {path}: silent for {ANSWER_SECONDS} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Broken(f"{method} {path}: {error!r}") from error
        if fields_.get("connection", "").lower() == "close":
            self.close()
        return status, answer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    fields = (line.split(":", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, value in fields}


class Load:
    """Clients that ask until they are told to stop, or nobody listens any more."""

    def __init__(self, port: int, *, survives_breaks: bool = False, clients: int = 4) -> None:
        """With `survives_breaks`, a connection that breaks is what is to be expected, and clients try again."""
        self.tally = Tally()
        self._port = port
        self._survives = survives_breaks
        self._clients = clients
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self._connections: list[Connection] = []
        self.token = ""

    async def __aenter__(self) -> Self:
        connection = Connection(self._port)
        email = f"load-{_chance.getrandbits(48):x}@example.com"
        status, answer = await connection.ask("POST", "/api/v1/auth/signup", {"email": email, "password": PASSWORD})
        assert status == 201, answer
        self.token = json.loads(answer)["access_token"]
        connection.close()
        login = {"email": email, "password": PASSWORD}
        kinds: list[Callable[[], AsyncIterator[None]]] = []
        for _ in range(self._clients):
            kinds += [self._keeping_alive, self._anew, self._posting]
        kinds += [lambda: self._logging_in(login)]
        self._tasks = [asyncio.create_task(self._run(kind)) for kind in kinds]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(*self._tasks)
        finally:
            for connection in self._connections:
                connection.close()

    async def ends(self) -> None:
        """Return when every client has found that nobody listens."""
        await asyncio.gather(*self._tasks)

    async def _run(self, kind: Callable[[], AsyncIterator[None]]) -> None:
        try:
            async for _ in kind():
                if self._stopped:
                    return
                await asyncio.sleep(0)
        except Closed:
            self.tally.refused += 1

    async def _ask(self, connection: Connection, method: str, path: str, body: object = None, **headers: str) -> int:
        """Ask, note the outcome, and return the status; 0 for none."""
        try:
            status, _ = await connection.ask(method, path, body, **headers)
        except Broken as broken:
            if not self._survives:
                self.tally.broken.append(str(broken))
            return 0
        except Closed:
            if not self._survives:
                raise
            self.tally.refused += 1
            await asyncio.sleep(0.05)
            return 0
        self.tally.answered[status] += 1
        return status

    def _connection(self) -> Connection:
        connection = Connection(self._port)
        self._connections.append(connection)
        return connection

    async def _keeping_alive(self) -> AsyncIterator[None]:
        connection = self._connection()
        while True:
            await self._ask(connection, "GET", "/api/v1/posts?limit=2")
            yield

    async def _anew(self) -> AsyncIterator[None]:
        while True:
            connection = Connection(self._port)
            await self._ask(connection, "GET", "/health/live")
            connection.close()
            yield

    async def _logging_in(self, login: dict[str, str]) -> AsyncIterator[None]:
        connection = self._connection()
        while True:
            await self._ask(connection, "POST", "/api/v1/auth/login", login)
            yield

    async def _posting(self) -> AsyncIterator[None]:
        connection, name, number = self._connection(), f"{_chance.getrandbits(48):x}", 0
        while True:
            number += 1
            text = f"{name}-{number}"
            status = 0
            while status == 0:
                headers = {"Authorization": f"Bearer {self.token}", "Idempotency_Key": text}
                status = await self._ask(connection, "POST", "/api/v1/posts", {"text": text}, **headers)
                if status == 201:
                    self.tally.acknowledged.add(text)
                yield  # Whether it is to stop is for its caller to look at, between two attempts.
                if not self._survives:
                    break


class Running:
    """`postern serve` in a folder of its own, in a process group of its own."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = _chance.randrange(20_000, 32_000)
        self._log: IO[bytes] = (folder / f"server-{self.port}.log").open("wb")
        inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}}
        ours = {"PORT": str(self.port), "RATE_LIMIT_ENABLED": "false", "REQUEST_LOG": "false"}
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", _POSTERN, "serve", "--migrate"],
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(_ROOT / "src")} | ours | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
        )

    async def ready(self) -> None:
        async with asyncio.timeout(START_SECONDS):
            while self.process.poll() is None:
                connection = Connection(self.port)
                try:
                    async with asyncio.timeout(5):
                        if (await connection.ask("GET", "/health/ready"))[0] == 200:
                            return
                except (Closed, Broken, TimeoutError):
                    await asyncio.sleep(0.05)
                finally:
                    connection.close()
        raise AssertionError(f"the server did not start: {self.log()}")

    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def reloads(self) -> int:
        return self.log().count("postern.server reloaded")

    def workers(self) -> list[int]:
        """Return the process ids of the workers, by the order in which they began."""
        return [number for number, _ in sorted(self._children().items(), key=lambda child: child[1])]

    def group(self) -> list[int]:
        """Return every process of the server that lives, whoever its parent is by now."""
        return [number for number, (_, group, _) in _processes().items() if group == self.process.pid]

    def _children(self) -> dict[int, float]:
        found = {}
        for number, (parent, _, began) in _processes().items():
            if parent == self.process.pid:
                with suppress(OSError):
                    command = Path(f"/proc/{number}/cmdline").read_bytes()
                    if b"spawn_main" in command or b"serve" in command:
                        found[number] = began
        return found

    async def end(self, seconds: float) -> int:
        """Wait for the end of the process, and return how it ended."""
        await until(lambda: self.process.poll() is not None, seconds)
        return int(self.process.returncode)

    def kill(self) -> None:
        """Leave nothing behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


def _processes() -> dict[int, tuple[int, int, float]]:
    """Return parent, group and start of each process that is no zombie."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, group, *rest = (folder / "stat").read_text().rpartition(")")[2].split()
            if state not in "ZX":
                found[int(folder.name)] = int(parent), int(group), float(rest[16])
    return found


@asynccontextmanager
async def running(folder: Path, **variables: str) -> AsyncIterator[Running]:
    server = Running(folder, **variables)
    try:
        await server.ready()
        yield server
    finally:
        server.kill()


async def _stream(port: int) -> asyncio.StreamWriter:
    """Open a live stream, and return its connection once it has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    return writer


async def stops(folder: Path, times: int) -> None:
    total, longest = 0, 0.0
    for time_ in range(times):
        drain = DRAIN_SECONDS if time_ % 2 else 0.0
        async with running(folder, WORKERS="2", DRAIN_SECONDS=str(drain)) as server:
            load = Load(server.port)
            async with load:
                stream = await _stream(server.port)
                await asyncio.sleep(_chance.uniform(0.3, 1.0))
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                if drain:
                    await _not_ready(server.port)
                code = await server.end(STOP_SECONDS + 3)
                took = time.monotonic() - began
                await asyncio.wait_for(load.ends(), 10)
            stream.close()
            assert code == 0, f"it ended with {code}: {server.log()}"
            assert took < STOP_SECONDS, f"it took {took:.1f} s"
            assert not load.tally.broken, load.tally.broken
            assert "is killed" not in server.log(), server.log()
        total, longest = total + load.tally.total, max(longest, took)
    print(f"stops: {times}, {total} answered, 0 unanswered; the longest took {longest:.2f} s")  # noqa: T201


async def _not_ready(port: int) -> None:
    """Return when the server says that it is about to stop, which is at once."""
    async with asyncio.timeout(DRAIN_SECONDS / 2):
        while True:
            connection = Connection(port)
            status, answer = await connection.ask("GET", "/health/ready")
            connection.close()
            if status == 503:
                assert b"about to stop" in answer, answer
                return


async def reloads(folder: Path, times: int) -> None:
    async with running(folder, WORKERS="2") as server:
        load = Load(server.port)
        async with load:
            for time_ in range(times):
                before = set(server.workers())
                server.process.send_signal(signal.SIGHUP)
                await until(lambda: server.reloads() == time_ + 1, 120)  # noqa: B023 - waited for here
                after = set(server.workers())
                assert len(after) == 2, after
                assert not before & after, (before, after)
        tally = load.tally
        assert not tally.broken, tally.broken
        assert not tally.refused, tally
        assert " ERROR " not in server.log(), server.log()
        server.process.send_signal(signal.SIGTERM)
        assert await server.end(STOP_SECONDS) == 0
    print(f"reloads: {times}, {tally.total} answered, 0 unanswered, 0 refused")  # noqa: T201


async def kills(folder: Path, times: int) -> None:
    answered = posts = 0
    for first in range(0, times, KILLS_OF_ONE):
        tally = await _killed(folder, min(KILLS_OF_ONE, times - first))
        answered, posts = answered + tally.total, posts + len(tally.acknowledged)
    print(f"kills: {times}, {answered} answered, {posts} posts, 0 lost, 0 twice")  # noqa: T201


async def _killed(folder: Path, times: int) -> Tally:
    """Kill workers of one server: every third as soon as there is one again, the others in the midst of writes."""
    async with running(folder, WORKERS="2") as server:
        load = Load(server.port, survives_breaks=True)
        async with load:
            for number in range(times):
                if number % 3 < 2:
                    known = len(load.tally.acknowledged)
                    await until(lambda: len(load.tally.acknowledged) > known + 10, 120)  # noqa: B023 - waited for here
                await until(lambda: bool(server.workers()), 120)
                os.kill(_chance.choice(server.workers()), signal.SIGKILL)
            await until(lambda: len(server.workers()) == 2, 120)
            await server.ready()
        assert server.process.poll() is None, server.log()
        there = Counter(await _texts(server.port, load.token))
        lost = load.tally.acknowledged - there.keys()
        twice = [text for text, number in there.items() if number > 1]
        assert not lost, f"{len(lost)} lost: {sorted(lost)[:5]}"
        assert not twice, f"{len(twice)} twice: {twice[:5]}"
        assert server.log().count("is replaced") == times, server.log()
        server.process.send_signal(signal.SIGTERM)
        assert await server.end(STOP_SECONDS) == 0
    return load.tally


async def _texts(port: int, token: str) -> list[str]:
    connection, found, path = Connection(port), [], "/api/v1/users/me/posts?limit=100"
    after = ""
    while True:
        _, answer = await connection.ask("GET", path + after, Authorization=f"Bearer {token}")
        page = json.loads(answer)
        found += [post["text"] for post in page["items"]]
        if not page.get("next_cursor"):
            connection.close()
            return found
        after = f"&cursor={page['next_cursor']}"


async def parents(folder: Path, times: int) -> None:
    longest = 0.0
    temporary = folder / "temporary"
    temporary.mkdir()
    for time_ in range(times):
        server = Running(folder, WORKERS="2", TMPDIR=str(temporary))
        held: list[asyncio.StreamWriter] = []
        try:
            if time_ % 2:
                await asyncio.sleep(_chance.uniform(0.0, 2.5))
            else:
                await server.ready()
                held = await _holding(server.port)
            server.process.kill()
            began = time.monotonic()
            await until(lambda: not server.group(), 30)  # noqa: B023 - waited for here
            took = time.monotonic() - began
            assert took < ORPHAN_SECONDS, f"its workers lived for {took:.2f} s"
            longest = max(longest, took)
            # Killed before it had any worker, it has nobody to clear up after it.
            assert not held or not (left := list(temporary.glob("postern-metrics-*"))), f"it left {left}"
            for remains in temporary.iterdir():
                shutil.rmtree(remains)
        finally:
            for writer in held:
                writer.close()
            server.kill()
    print(f"parents: {times} killed, the last worker was gone after {longest:.2f} s at most")  # noqa: T201


async def _holding(port: int) -> list[asyncio.StreamWriter]:
    """Open what would keep a worker: idle connections, streams, half a head and half a body."""
    held = [await _stream(port) for _ in range(2)]
    half_body = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    for bytes_ in (b"", b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HT", half_body):
        for _ in range(4):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes_)
            await writer.drain()
            held.append(writer)
    return held


async def torture(parts: list[str], times: int) -> None:
    """Run parts, each so many times. Raises `AssertionError` when something does not hold."""
    run = {"stops": stops, "reloads": reloads, "kills": kills, "parents": parents}
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="postern-torture-") as folder:
            await run[part](Path(folder), times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to do; all of it unless given")
    parser.add_argument("--times", type=int, default=20, help="how often each")
    given = parser.parse_args()
    asyncio.run(torture(given.parts or list(PARTS), given.times))


if __name__ == "__main__":
    main()
