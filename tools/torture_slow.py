"""Clients that are slow on purpose, all from one address: `python -m tools.torture_slow [--seconds 120]`.

1,800 connections drip a body, a byte a second; 300 ask for a page of 4 MiB and do not read it; 1,000 ask nothing. Each
comes back some seconds after it was ended. Meanwhile an honest client of the same address and one of another read and
publish, over a connection that they keep and over new ones, as before when it was quiet.

It fails unless every honest request was answered, the 99th percentile of its time stayed under three times the quiet
one, and the workers' memory grew by less than 150 MB. Linux, and loopback alone.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

SLOW_ADDRESS: Final = "127.0.0.1"
OTHER_ADDRESS: Final = "127.0.0.2"
QUIET_SECONDS: Final = 20.0
REQUESTS_A_SECOND: Final = 20
MOST_TIMES: Final = 3.0
MOST_MEMORY_MB: Final = 150.0
LARGE_PAGE: Final = "/api/v1/posts?limit=100"
LARGE_POSTS: Final = 5
COMES_BACK_AFTER: Final = 10.0
_PASSWORD: Final = "a quiet harbour at dawn"  # noqa: S105 - of accounts that live for minutes
_ESTABLISHED: Final = 1


@dataclass(frozen=True, slots=True)
class SlowClientGroup:
    """How many are slow, and in which way."""

    dripping: int = 1_800
    unread: int = 300
    idle: int = 1_000

    @property
    def size(self) -> int:
        return self.dripping + self.unread + self.idle


@dataclass(slots=True)
class Honest:
    """What an honest client was answered, and how long it took."""

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def p99(self) -> float:
        return quantiles(self.seconds, n=100)[98] if len(self.seconds) > 1 else 0.0


@dataclass(slots=True)
class Result:
    quiet: dict[str, Honest]
    loud: dict[str, Honest]
    memory_before_mb: float
    memory_most_mb: float
    kernel_most_mb: float
    """Of all sockets of the machine, the clients' own included."""
    outcomes: dict[str, int]
    """What came of the slow ones."""

    def faults(self, *, times: float = MOST_TIMES) -> list[str]:
        faults = [f"{name}: {dict(honest.failures)}" for name, honest in self.loud.items() if honest.failures]
        for name, honest in self.loud.items():
            quiet = self.quiet[name]
            if honest.p99 >= times * quiet.p99:
                faults.append(f"{name}: p99 {honest.p99 * 1000:.1f} ms, quiet {quiet.p99 * 1000:.1f} ms")
        if self.grown_mb >= MOST_MEMORY_MB:
            faults.append(f"memory grew by {self.grown_mb:.0f} MB")
        return faults

    @property
    def grown_mb(self) -> float:
        return self.memory_most_mb - self.memory_before_mb

    def __str__(self) -> str:
        lines = []
        for name, honest in self.loud.items():
            quiet = self.quiet[name]
            lines.append(
                f"{name:32} p99 {quiet.p99 * 1000:7.1f} ms quiet, {honest.p99 * 1000:7.1f} ms "
                f"({honest.p99 / max(quiet.p99, 1e-9):.2f} times), {len(honest.seconds)} answers, "
                f"{sum(honest.failures.values())} failures"
            )
        lines.append(
            f"memory of the workers: {self.memory_before_mb:.0f} MB, {self.memory_most_mb:.0f} MB at the most "
            f"({self.grown_mb:+.0f}); of the kernel's sockets: {self.kernel_most_mb:.0f} MB at the most"
        )
        lines.append("slow clients: " + ", ".join(f"{count} {what}" for what, count in sorted(self.outcomes.items())))
        return "\n".join(lines)


# The slow ones, in a process of their own.


class SlowClients:
    def __init__(self, port: int, crowd: SlowClientGroup) -> None:
        self._port = port
        self._crowd = crowd
        self.outcomes: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        tasks = [
            *(asyncio.create_task(self._again(self._drip)) for _ in range(self._crowd.dripping)),
            *(asyncio.create_task(self._again(self._leave_unread)) for _ in range(self._crowd.unread)),
            *(asyncio.create_task(self._again(self._idle)) for _ in range(self._crowd.idle)),
        ]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again(self, one: Any) -> None:
        await asyncio.sleep(random.uniform(0, 3))  # noqa: S311 - no secret
        while True:
            try:
                await one()
            except OSError as error:
                self.outcomes[f"{one.__name__[1:]}: {type(error).__name__}"] += 1
            await asyncio.sleep(random.uniform(0.5, 1.5) * COMES_BACK_AFTER)  # noqa: S311

    async def _connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((SLOW_ADDRESS, 0))
        try:
            await asyncio.get_running_loop().sock_connect(connection, (SLOW_ADDRESS, self._port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _drip(self) -> None:
        connection = await self._connect()
        loop = asyncio.get_running_loop()
        try:
            head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            await loop.sock_sendall(connection, head + b"Content-Length: 60000\r\n\r\n")
            received = b""
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        data = await loop.sock_recv(connection, 65_536)
                        if not data:
                            break
                        received += data
                        continue
                await loop.sock_sendall(connection, b" ")
            self.outcomes[f"drip: {received[9:12].decode() or 'closed'}"] += 1
        finally:
            connection.close()

    async def _leave_unread(self) -> None:
        connection = await self._connect()
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(connection, f"GET {LARGE_PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while _state(connection) == _ESTABLISHED:  # noqa: ASYNC110 - nothing tells of it but the kernel
                await asyncio.sleep(1)
            self.outcomes["leave_unread: ended"] += 1
        finally:
            connection.close()

    async def _idle(self) -> None:
        connection = await self._connect()
        try:
            await asyncio.get_running_loop().sock_recv(connection, 1)
            self.outcomes["idle: ended"] += 1
        finally:
            connection.close()


def _state(connection: socket.socket) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


# The honest ones.


class HonestClient:
    """Asks for its own posts and publishes, in turn, at a steady pace; over one connection, or a new one each time."""

    def __init__(self, port: int, token: str, address: str, *, keeps: bool) -> None:
        self._port = port
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Host": "localhost", "Content-Type": "application/json"}
        self._keeps = keeps
        self._connection: http.client.HTTPConnection | None = None

    def run(self, until: float, found: Honest) -> None:
        try:
            self._run(until, found)
        finally:
            self._drop()

    def _run(self, until: float, found: Honest) -> None:
        turn = 0
        due = time.monotonic()
        while (due := due + 1 / REQUESTS_A_SECOND) < until:
            time.sleep(max(due - time.monotonic(), 0))
            turn += 1
            began = time.perf_counter()
            try:
                status = self._ask(turn)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                found.failures[type(error).__name__] += 1
                continue
            if status not in {200, 201}:
                found.failures[str(status)] += 1
            found.seconds.append(time.perf_counter() - began)

    def _ask(self, turn: int) -> int:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=30, source_address=(self._address, 0)
            )
        if turn % 5:
            self._connection.request("GET", "/api/v1/users/me/posts?limit=5", headers=self._headers)
        else:
            self._connection.request("POST", "/api/v1/posts", json.dumps({"text": "Hello"}), self._headers)
        response = self._connection.getresponse()
        response.read()
        if not self._keeps or response.will_close:
            self._drop()
        return response.status

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def honest_clients(port: int, token: str) -> dict[str, HonestClient]:
    return {
        f"{where} address, {how}": HonestClient(port, token, address, keeps=how == "kept connection")
        for where, address in (("same", SLOW_ADDRESS), ("another", OTHER_ADDRESS))
        for how in ("kept connection", "new connections")
    }


# The server.


@dataclass
class Served:
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def memory_mb(self) -> float:
        found = 0.0
        for worker in self.workers():
            with suppress(OSError):
                text = Path(f"/proc/{worker}/status").read_text()
                found += int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024
        return found

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json", "Host": "localhost"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, json.loads(content) if content else None


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Served]:
    """Serve on a new SQLite file in `folder`, without rate limits, which would do most of the work."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "ENVIRONMENT": "testing",
        "DATABASE_URL": f"sqlite:///{folder}/slow.db",
        "DATABASE_SYNCHRONOUS": "normal",
        "SECRET_KEY": "a key for tests, and for tests alone, 48 bytes long",
        "RATE_LIMIT_ENABLED": "false",
        "REQUEST_LOG": "false",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        **settings,
    }
    log = folder / "log"
    with log.open("wb") as stream:
        command = [sys.executable, "-c", "from entrypoints.cli.main import main; main()", "serve", "--migrate"]
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=folder, env=environment, stdout=stream, stderr=stream
        )
        try:
            until = time.monotonic() + 120
            while b"is ready at" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            yield Served(port, process, log)
        finally:
            process.terminate()
            process.wait(60)


def prepare(server: Served) -> str:
    """Publish what makes a page of 4 MiB, and return the token of an honest user with a few small posts."""
    tokens = []
    for name in ("large", "honest"):
        sign_up = {"email": f"{name}@example.com", "password": _PASSWORD, "username": f"{name}_{os.getpid()}"}
        status, body = server.ask("POST", "/api/v1/auth/signup", sign_up)
        if status != 201:
            raise RuntimeError(f"{status}: {body}")
        tokens.append(body["access_token"])
    for token, number, text in ((tokens[1], 5, "Hello"), (tokens[0], LARGE_POSTS, "x" * 900_000)):
        for _ in range(number):
            status, body = server.ask("POST", "/api/v1/posts", {"text": text}, token)
            if status != 201:
                raise RuntimeError(f"{status}: {str(body)[:300]}")
    return str(tokens[1])


def _sockets_mb() -> float:
    lines = Path("/proc/net/sockstat").read_text().splitlines()
    pages = next((int(line.split()[-1]) for line in lines if line.startswith("TCP:")), 0)
    return pages * resource.getpagesize() / 1_048_576


async def _honest(port: int, token: str, seconds: float) -> dict[str, Honest]:
    found: dict[str, Honest] = {}
    until = time.monotonic() + seconds
    jobs = []
    for name, client in honest_clients(port, token).items():
        found[name] = Honest()
        jobs.append(asyncio.to_thread(client.run, until, found[name]))
    await asyncio.gather(*jobs)
    return found


async def torture(server: Served, crowd: SlowClientGroup, *, quiet_seconds: float, seconds: float) -> Result:
    """Measure the honest clients alone, and among the crowd."""
    token = prepare(server)
    await _honest(server.port, token, min(3.0, quiet_seconds))  # to warm up
    server.ask("GET", LARGE_PAGE)
    quiet = await _honest(server.port, token, quiet_seconds)
    before = server.memory_mb()
    slow = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tools.torture_slow", "--be-slow-at", str(server.port), "--seconds", str(seconds + 4)),
        *(f"--{name}={getattr(crowd, name)}" for name in ("dripping", "unread", "idle")),
        stdout=subprocess.PIPE,
    )
    most, kernel = before, 0.0

    async def sample() -> None:
        nonlocal most, kernel
        while True:
            most, kernel = max(most, server.memory_mb()), max(kernel, _sockets_mb())
            await asyncio.sleep(0.5)

    sampling = asyncio.create_task(sample())
    try:
        await asyncio.sleep(4)  # until all have come
        loud = await _honest(server.port, token, seconds)
        output, _ = await slow.communicate()
    finally:
        sampling.cancel()
        if slow.returncode is None:
            slow.kill()
    return Result(quiet, loud, before, most, kernel, json.loads(output))


def raise_descriptors(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--workers", default="2")
    for name in ("dripping", "unread", "idle"):
        parser.add_argument(f"--{name}", type=int, default=getattr(SlowClientGroup(), name))
    parser.add_argument("--be-slow-at", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    crowd = SlowClientGroup(given.dripping, given.unread, given.idle)
    if given.be_slow_at:
        raise_descriptors(crowd.size)
        clients = SlowClients(given.be_slow_at, crowd)
        asyncio.run(clients.run(given.seconds))
        print(json.dumps(clients.outcomes))  # noqa: T201 - to the process that started it
        return
    with (
        tempfile.TemporaryDirectory(prefix="postern-slow-") as folder,
        served(Path(folder), WORKERS=given.workers) as server,
    ):
        result = asyncio.run(torture(server, crowd, quiet_seconds=QUIET_SECONDS, seconds=given.seconds))
        complaints = [line for line in server.log.read_text().splitlines() if " were ended" in line]
    print(result)  # noqa: T201
    print("\n".join(complaints))  # noqa: T201
    if faults := result.faults():
        sys.exit("FAILED: " + "; ".join(faults))


if __name__ == "__main__":
    main()
