"""What the guard makes of connections, by real sockets and a clock of the test's own."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from adapters.system import connection_guard
from adapters.system.connection_guard import ConnectionGuard, ConnectionLimits
from tests.backends import missing

LARGE = b"x" * 4_000_000


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class World:
    """A listening socket and its guard; the test is server and clients."""

    def __init__(self, stack: ExitStack, **limits: Any) -> None:
        self._stack = stack
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        self.listener.setblocking(False)
        self.clock = Clock()
        self.streams: set[tuple[str, int]] = set()
        self.exempt: set[str] = set()
        usual = {
            "most": 1_000,
            "per_address": 100,
            "answer_seconds": 30.0,
            "answer_rate": 240,
            "stuck_per_address": 100,
            "stuck_in_all": 100,
        }
        self.guard = ConnectionGuard(
            self.listener.fileno(),
            ConnectionLimits(**(usual | limits)),
            network_of=lambda address: address,
            is_exempt=self.exempt.__contains__,
            streams=self.streams,
            now=self.clock,
        )

    def connect(self, address: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
        """Return both ends: the client's, and the server's."""
        client = self._stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # The kernel does not make it larger then.
        client.bind((address, 0))
        client.connect(self.listener.getsockname())
        server, _ = self.listener.accept()
        self._stack.enter_context(server)
        server.setblocking(False)
        return client, server

    async def look(self, after: float = 0.5) -> None:
        self.clock.seconds += after
        await self.guard.look()

    @property
    def ended(self) -> dict[str, int]:
        return {dict(labels)["reason"]: int(n) for name, labels, n in self.guard.samples() if name.endswith("_total")}


@pytest.fixture
async def world() -> Any:
    if not connection_guard.IS_SUPPORTED:
        missing("no Linux")
    with ExitStack() as stack:
        worlds: list[World] = []

        async def make(**limits: Any) -> World:
            worlds.append(World(stack, **limits))
            await worlds[-1].guard.start()
            return worlds[-1]

        yield make
        for each in worlds:
            await each.guard.close()


def is_open(client: socket.socket) -> bool:
    client.settimeout(0.0)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def answer(server: socket.socket, content: bytes = LARGE) -> int:
    """Send as much as the kernel takes."""
    sent = 0
    try:
        while sent < len(content):
            sent += server.send(content[sent:])
    except BlockingIOError:
        pass
    return sent


async def test_what_the_kernel_keeps_of_an_answer_is_bounded(world: Any) -> None:
    here = await world()
    _, server = here.connect()
    assert answer(server) < 3_000_000
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * connection_guard.SEND_BUFFER_BYTES


async def test_an_answer_that_is_not_taken_ends_its_connection(world: Any) -> None:
    here = await world()
    client, server = here.connect()
    other, _ = here.connect()
    answer(server)
    await asyncio.sleep(0.3)  # until the client's kernel has acknowledged what it has taken
    await here.look()
    await here.look(29.9)
    assert here.ended == {}
    await here.look(0.2)
    assert here.ended == {"answer not taken": 1}
    assert server.fileno() >= 0  # It is the server's to close.
    assert is_open(other)
    server.close()
    client.settimeout(10)
    with pytest.raises(ConnectionResetError):
        while client.recv(65_536):
            pass


async def test_an_answer_that_is_taken_a_byte_a_second_ends_its_connection(world: Any) -> None:
    here = await world()
    client, server = here.connect()
    answer(server)
    await here.look()
    for _ in range(70):  # What the client's kernel takes at first counts as taken.
        client.recv(1)
        await here.look(1)
    assert here.ended == {"answer not taken": 1}


async def test_an_answer_that_is_taken_slowly_but_surely_is_let_be(world: Any) -> None:
    here = await world()
    client, server = here.connect()
    client.setblocking(False)
    answer(server)
    await here.look()
    for _ in range(4):
        for _ in range(31):
            # The kernel opens the window again in large steps.
            with suppress(BlockingIOError):
                while client.recv(4_096):
                    pass
            await asyncio.sleep(0.002)
            answer(server)
            await here.look(1)
    assert here.ended == {}


async def test_answers_that_one_address_does_not_take_are_bounded(world: Any) -> None:
    here = await world(stuck_per_address=2, stuck_in_all=3)
    pairs = [here.connect(address) for address in ["127.0.0.1"] * 3 + ["127.0.0.2"] * 2]
    for _, server in pairs:
        answer(server)
    await here.look()
    await here.look(1.1)
    assert here.ended == {"too many answers not taken": 2}  # one of the first address, and one of all


async def test_what_one_address_has_too_many_of_ends_the_longest_silent_first(world: Any) -> None:
    here = await world(per_address=3)
    silent = [here.connect()[0] for _ in range(3)]
    await asyncio.sleep(0.02)  # by the kernel's clock, which is not the test's
    busy = [here.connect()[0] for _ in range(2)]
    elsewhere, _ = here.connect("127.0.0.2")
    for client in busy:
        client.send(b"GET / HTTP/1.1\r\n")
    await here.look()
    await here.look()
    assert here.ended == {"too many of one address": 2}
    assert [is_open(client) for client in busy] == [True, True]
    assert sum(is_open(client) for client in silent) == 1
    assert is_open(elsewhere)


async def test_streams_and_proxies_are_not_counted(world: Any) -> None:
    here = await world(per_address=1, most=4)
    here.exempt.add("127.0.0.9")
    proxied = [here.connect("127.0.0.9")[0] for _ in range(3)]
    streams = [here.connect()[0] for _ in range(3)]
    here.streams.update(client.getsockname() for client in streams)
    await here.look()
    await here.look()
    assert all(is_open(client) for client in [*streams, *proxied])


async def test_silent_connections_make_room_when_the_process_is_nearly_full(world: Any) -> None:
    here = await world(most=10)
    pairs = [here.connect() for _ in range(10)]
    pairs[0][0].send(b"GET / HTTP/1.1\r\n")
    deadline = time.monotonic() + 20
    while not here.ended and time.monotonic() < deadline:  # They are silent by the kernel's clock.
        await asyncio.sleep(0.1)
        await here.look()
    assert here.ended == {"nearly full": 1}
    assert is_open(pairs[0][0])


_SCENE = """
import asyncio, json, os, resource, socket, sys, time
from adapters.system.connection_guard import ConnectionGuard, ConnectionLimits

def is_open(client):
    client.settimeout(0.0)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False

async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    limits = ConnectionLimits(
        most=100, per_address=100, answer_seconds=30, answer_rate=240, stuck_per_address=9, stuck_in_all=9
    )
    guard = ConnectionGuard(
        listener.fileno(), limits, network_of=str, is_exempt=lambda address: False, streams=set()
    )
    await guard.start()
    kept = []
    def connect():
        client = socket.create_connection(listener.getsockname())
        kept.append(client)
        server, _ = listener.accept()
        kept.append(server)
        return client
    silent = [connect() for _ in range(3)]
    waiting = socket.create_connection(listener.getsockname())
    await guard.look()
    time.sleep(1.1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    fillers = []
    if sys.argv[1] == "hard":
        highest = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
        while not fillers or fillers[-1] < highest:  # Every one below the limit is taken, by whatever it is.
            fillers.append(os.open(os.devnull, os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, highest + 1))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 9, hard))
    await guard.look()
    def accepts():
        if fillers:
            os.close(fillers.pop())  # The kernel wants a descriptor before it says that nobody waits.
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True
    told = {
        "ended": {dict(labels).get("reason"): n for name, labels, n in guard.samples() if labels},
        "silent": [is_open(client) for client in silent],
        "waiting": is_open(waiting),
        "raised": resource.getrlimit(resource.RLIMIT_NOFILE)[0] > used + 9,
        "accepts": accepts(),
    }
    for filler in fillers:
        os.close(filler)
    fillers.clear()
    await guard.look()
    print(json.dumps(told | {"accepts then": accepts()}))
    sys.stdout.flush()
    os._exit(0)

asyncio.run(main())
"""


def _scene(limit: str) -> Any:
    """Have a process of its own run out of descriptors: this one needs its."""
    if not connection_guard.IS_SUPPORTED:
        missing("no Linux")
    done = subprocess.run(
        [sys.executable, "-c", _SCENE, limit], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_when_descriptors_run_out_accepting_pauses_and_silent_ones_make_room() -> None:
    found = _scene("hard")
    assert found["accepts"] is False
    assert found["waiting"] is True
    assert found["silent"] == [False] * 3
    assert found["ended"]["descriptors run out"] == 3
    assert found["accepts then"] is True


def test_a_soft_limit_is_raised_when_descriptors_run_out() -> None:
    found = _scene("soft")
    assert (found["ended"], found["silent"], found["raised"]) == ({}, [True] * 3, True)
    assert (found["waiting"], found["accepts"]) == (True, True)
