"""A Redis of one's own to kill, freeze and restart; a wire to cut; and processes that use them."""

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from adapters.cache.my_posts import CachedMyPosts
from adapters.cache.redis import RedisAuthorRevisions, RedisPageStore
from adapters.memory.fence import MemoryCacheFence
from adapters.memory.posts import MemoryPostReader
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.shared.redis import RedisConnection
from application.posts.list_my_posts import StoredMyPosts
from application.shared.fence import CacheFence
from application.shared.paging import PageRequest
from application.shared.pending import settled
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import UserId
from tests.backends import missing
from tests.builders import NOW, a_post, a_recorder, an_actor
from tests.fakes import PlainCursorCodec

LEASE = 0.3
"""Short, so that the tests are; the protocol does not depend on it."""


def free_port() -> int:
    """Return a port that nothing listens on, below the range from which the system takes ports of its own."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """A `redis-server` in a folder of its own; it forgets everything when it dies, unless `save` was called."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            missing("no redis-server to start")
        self._binary = str(binary)
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen(
            [self._binary, *options, "--dbfilename", "dump.rdb"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while self.command("PING") != b"+PONG\r\n":
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.01)

    def command(self, *words: str) -> bytes:
        """Send a command past everything under test; return the beginning of the raw reply, or nothing."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire:
            wire.sendall((" ".join(words) + "\r\n").encode())
            return wire.recv(65536)
        return b""

    def keys(self) -> frozenset[str]:
        return frozenset(word.decode() for word in self.command("KEYS", "*").split() if word[:1] not in b"*$")

    def save(self) -> None:
        assert self.command("SAVE") == b"+OK\r\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        return self._process is not None


class Wire:
    """A connection to Redis that can be cut: what is sent then arrives nowhere, and nothing says so."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self.port = free_port()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, onward_writer), (onward_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if not self._open.is_set():
                        # A cut wire loses what is on it: it must not arrive late, as if nothing had been.
                        await self._open.wait()
                        return
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()


@dataclass
class Process:
    """One process of the application: its own cache, its own connection, storage shared with the others."""

    connection: RedisConnection
    revisions: RedisAuthorRevisions
    cache: CachedMyPosts
    store: MemoryStore

    async def publish(self, by: User, text: str) -> None:
        """Publish, and return when it is acknowledged."""
        post = Post.publish(id=a_post(by).id, by=an_actor(by), text=PostText(text), at=NOW)
        async with MemoryUnitOfWork(self.store, a_recorder(), [self.revisions]) as uow:
            await uow.posts.add(post)
            await uow.commit()

    async def read(self, owner: UserId) -> str:
        return (await settled(self.cache.page(owner, PageRequest(limit=1)))).body.decode()

    async def stop(self) -> None:
        await self.revisions.stop()
        await self.connection.close()


@dataclass
class Cluster:
    """Processes on one storage."""

    redis_url: str
    prefix: str = "postern_test:"
    store: MemoryStore = field(default_factory=MemoryStore)
    processes: list[Process] = field(default_factory=list)

    async def join(
        self, *, url: str | None = None, fence: CacheFence | None = None, page_ttl: float = 300, shared: bool = True
    ) -> Process:
        connection = RedisConnection(url or self.redis_url)
        revisions = RedisAuthorRevisions(
            connection,
            fence or MemoryCacheFence(self.store),
            page_ttl_seconds=page_ttl,
            lease_seconds=LEASE,
            prefix=self.prefix,
        )
        cache = CachedMyPosts(
            StoredMyPosts(reader=MemoryPostReader(self.store), cursors=PlainCursorCodec()),
            revisions=revisions,
            shared=RedisPageStore(connection, prefix=self.prefix) if shared else None,
            ttl_seconds=page_ttl,
            max_bytes=10_000_000,
        )
        process = Process(connection, revisions, cache, self.store)
        self.processes.append(process)
        await revisions.start()
        return process

    async def add_user(self, user: User) -> None:
        async with MemoryUnitOfWork(self.store, a_recorder()) as uow:
            await uow.users.add(user)
            await uow.commit()

    async def leave(self) -> None:
        for process in self.processes:
            await process.stop()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds, which nothing announces; fail after 10 seconds."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - servers and processes set no events
            await asyncio.sleep(0.01)


async def until_cached(processes: Sequence[Process], owner: UserId) -> None:
    """Wait until every process trusts its revisions, so that what it reads may come from the cache."""

    async def trusts(process: Process) -> bool:
        return await process.revisions.current(owner) is not None

    for process in processes:
        await until(partial(trusts, process))
