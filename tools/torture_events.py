"""10,000 events, 4 relays, 20 times `kill -9`: `python -m tools.torture_events [--backend mariadb] [--broker redis]`.

Writers publish and edit posts through the unit of work, roll some transactions back, and hold one open with an early
number while later ones are committed and get their positions. Relays are processes of `postern relay`, each of which
reaches the broker through a wire of its own. What happens to them, in an order that is drawn:

- one is killed and replaced, as a rule while the broker has a batch of it that the relay does not know to be there:
  its answers are held back, so the batch is out, in part or whole, and not marked as delivered;
- one is frozen for some seconds (SIGSTOP) in the same moment, and goes on where it was (SIGCONT);
- the broker goes away for some seconds for all: connections are cut, and new ones refused.

It fails unless every committed event has arrived, no more came twice than was out at those moments, the first arrivals
of each subject are in order, nothing of a rolled-back transaction was sent, and the last relays end well on SIGTERM.
Servers are found as the tests find them.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

from aio_pika import ExchangeType, connect
from redis.asyncio import Redis

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.outbox import rows_for, statement_for
from adapters.sql.schema.migrate import upgrade
from adapters.sql.transaction import Transaction
from application.shared.event_log import LoggedEvent
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId
from entrypoints.storage import Storage, sql_storage
from tests.backends import Databases
from tests.builders import NOW, a_user, an_actor, an_id

WRITERS: Final = 32
EDITS: Final = 4
"""Of each post, which so makes five events."""
ROLLED_BACK_EVERY: Final = 10
LONGEST_SECONDS: Final = 900
FROZEN_SECONDS: Final = 3.0
AWAY_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 1.0
"""For a relay to send something; the killing goes on when it has nothing to send."""
_RELAY: Final = "from entrypoints.cli.main import main; main(['relay'])"
_ROOT: Final = Path(__file__).parent.parent
_RABBITMQ: Final = os.environ.get("TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672/"
_REDIS: Final = os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/15"


@dataclass(frozen=True, slots=True)
class Plan:
    backend: str
    broker: str
    events: int
    relays: int
    kills: int
    batch: int
    freezes: int = 0
    cuts: int = 0

    @property
    def most_twice(self) -> int:
        """How many events may come twice: what may be out when something happens, and all have one out at a cut."""
        return self.batch * (self.kills + self.freezes + self.cuts * self.relays)


@dataclass(slots=True)
class Written:
    """What the writers know."""

    versions: Counter[UUID] = field(default_factory=Counter)
    """How many events each subject has."""
    rolled_back: set[UUID] = field(default_factory=set)
    late: UUID | None = None


class Wire:
    """What one relay reaches the broker by: its answers can be held back, and it can be cut."""

    def __init__(self, broker: str) -> None:
        self._broker = urlsplit(broker)
        self._passing = asyncio.Event()
        self._passing.set()
        self.answered = asyncio.Event()
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """Return the address that the broker has at this end."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        user, at, _ = self._broker.netloc.rpartition("@")
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._broker._replace(netloc=f"{user}{at}127.0.0.1:{port}"))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._hang_up()

    def hold(self) -> None:
        """Hold answers back from now on; `answered` tells when there is one, and so something out."""
        self.answered.clear()
        self._passing.clear()

    def let_pass(self) -> None:
        self._passing.set()

    def cut(self) -> None:
        self._is_cut = True
        self._hang_up()

    def mend(self) -> None:
        self._is_cut = False

    def _hang_up(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if self._is_cut:
                writer.transport.abort()
                return
            theirs, ours = await asyncio.open_connection(self._broker.hostname, self._broker.port)
            self._ends |= {writer, ours}
            try:
                await asyncio.gather(self._pass(reader, ours), self._pass(theirs, writer, are_answers=True))
            finally:
                self._ends -= {writer, ours}
                for end in (writer, ours):
                    end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, are_answers: bool = False
    ) -> None:
        while data := await reader.read(65_536):
            if are_answers:
                self.answered.set()
                await self._passing.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@dataclass(slots=True, eq=False)
class Relay:
    """A process that relays, over a wire that outlives it."""

    wire: Wire
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)
    said: IO[bytes] = field(init=False)

    def start(self) -> None:
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _RELAY], cwd=_ROOT, env=self.environment, stderr=self.said
        )

    @property
    def is_at_work(self) -> bool:
        # Its first line says that it begins.
        return bool(os.fstat(self.said.fileno()).st_size)


class Relays:
    """Processes that relay, and what happens to them."""

    def __init__(self) -> None:
        self._relays: list[Relay] = []
        self.happened: Counter[str] = Counter()
        """Kills, freezes, cuts, and `out`: how many of the first two came while something was out."""

    async def start(self, number: int, broker: str, environment: dict[str, str]) -> None:
        for _ in range(number):
            wire = Wire(broker)
            self._relays.append(Relay(wire, environment | {"BROKER_URL": await wire.open()}))
            self._relays[-1].start()

    async def kill(self) -> None:
        """Kill one that is at work, and start another in its place."""
        async with self._one_in_the_middle("kills") as victim:
            victim.process.kill()
            victim.process.wait()
            victim.said.close()
            victim.start()

    async def freeze(self) -> None:
        """Freeze one that is at work, and let it go on later."""
        async with self._one_in_the_middle("freezes") as victim:
            victim.process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(FROZEN_SECONDS)
            finally:
                victim.process.send_signal(signal.SIGCONT)

    async def cut(self) -> None:
        """Take the broker away from all of them for a while."""
        self.happened["cuts"] += 1
        for relay in self._relays:
            relay.wire.cut()
        await asyncio.sleep(AWAY_SECONDS)
        for relay in self._relays:
            relay.wire.mend()

    async def stop(self) -> tuple[list[int], float]:
        """End all as an orchestrator does; return how those at work ended, and how long the slowest took."""
        at_work, begun = self.at_work, time.monotonic()
        for relay in self._relays:
            relay.process.send_signal(signal.SIGTERM)
        codes = {relay: await asyncio.to_thread(relay.process.wait, 60) for relay in self._relays}
        ending = time.monotonic() - begun
        for relay in self._relays:
            relay.said.close()
            await relay.wire.close()
        return [codes[relay] for relay in at_work], ending

    @asynccontextmanager
    async def _one_in_the_middle(self, what: str) -> AsyncIterator[Relay]:
        at_work = self.at_work
        waiting = {}
        for relay in at_work:
            relay.wire.hold()
            waiting[asyncio.create_task(relay.wire.answered.wait())] = relay
        out, not_out = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in not_out:
            task.cancel()
        victim = random.choice([waiting[task] for task in out] or at_work)  # noqa: S311 - no secret
        for relay in at_work:
            if relay is not victim:
                relay.wire.let_pass()
        self.happened[what] += 1
        self.happened["out"] += bool(out)
        try:
            yield victim
        finally:
            victim.wire.let_pass()

    @property
    def at_work(self) -> list[Relay]:
        return [relay for relay in self._relays if relay.is_at_work]


async def write(
    storage: Storage, database: Database, events: int, allowed: asyncio.Semaphore, written: Written
) -> None:
    """Make that many events, besides those that are rolled back; begin a post when it is allowed."""
    author = a_user()
    async with storage.identity_units() as uow:
        await uow.users.add(author)
        await uow.commit()
    actor = an_actor(author)

    def a_new_post() -> Post:
        return Post.publish(id=PostId(an_id()), by=actor, text=PostText("first"), at=NOW)

    late = a_new_post()
    held = Transaction(database)
    await held.run_many(statement_for(database.dialect), rows_for(database.dialect, late.pull_events(), an_id))
    left = iter(range(1, events // (EDITS + 1)))

    async def one_writer() -> None:
        for number in left:
            await allowed.acquire()
            post = a_new_post()
            async with storage.posts_units() as uow:
                await uow.posts.add(post)
                await uow.commit()
            written.versions[post.id] += 1
            for edit in range(EDITS):
                async with storage.posts_units() as uow:
                    loaded = await uow.posts.get(post.id)
                    loaded.edit(by=actor, text=PostText(f"edit {edit}"), at=NOW)
                    await uow.posts.save(loaded, owner=author.id)
                    await uow.commit()
                written.versions[post.id] += 1
            if number % ROLLED_BACK_EVERY == 0:
                lost = a_new_post()
                rows = rows_for(database.dialect, lost.pull_events(), an_id)
                async with Transaction(database) as undone:
                    await undone.run_many(statement_for(database.dialect), rows)
                written.rolled_back.add(lost.id)

    async def be_late() -> None:
        while not await storage.events.head():
            await asyncio.sleep(0.5)
            await storage.events.assign_positions()
        await held.commit()
        await held.end()
        written.versions[late.id] += 1
        written.late = late.id

    await asyncio.gather(be_late(), *(one_writer() for _ in range(WRITERS)))


async def logged(storage: Storage) -> list[LoggedEvent]:
    found: list[LoggedEvent] = []
    while page := await storage.events.read(after=found[-1].position if found else 0, limit=1000):
        found += page
    return found


async def bind(broker: str, topic: str) -> None:
    if broker == "rabbitmq":
        async with await connect(_RABBITMQ) as connection:
            channel = await connection.channel()
            await channel.declare_exchange(topic, ExchangeType.TOPIC, durable=True)
            await (await channel.declare_queue(topic, durable=True)).bind(topic, "#")


async def arrived(broker: str, topic: str) -> list[dict[str, Any]]:
    """Return every envelope in the order of arrival, and clean up."""
    found: list[dict[str, Any]] = []
    if broker == "redis":
        async with Redis.from_url(_REDIS) as client:
            for _, fields in await client.xrange(topic) or []:
                found.append(json.loads((fields or {})[b"event"]))
            await client.delete(topic)
        return found
    async with await connect(_RABBITMQ) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(topic, durable=True)
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            found.append(json.loads(message.body))
        await channel.queue_delete(topic)
        await channel.exchange_delete(topic)
    return found


async def torture(plan: Plan, url: str) -> bool:
    topic = f"torture.{uuid4()}"
    database = Database(DatabaseSettings(url=url, pool_size=2 * WRITERS))
    storage = sql_storage(database)
    await bind(plan.broker, topic)
    environment = {
        **{name: text for name, text in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}},
        "PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}",
        "ENVIRONMENT": "testing",
        "DATABASE_URL": url,
        "BROKER_TOPIC": topic,
        "RELAY_BATCH": str(plan.batch),
        # The events are of the past that tests live in, and are looked at afterwards.
        "EVENT_RETENTION_DAYS": "3650",
        "LOG_LEVEL": "error",
    }
    begun, written, posts = time.monotonic(), Written(), plan.events // (EDITS + 1)
    allowed = asyncio.Semaphore(posts // 2 + 1)
    writing = asyncio.create_task(write(storage, database, plan.events, allowed, written))
    # Half of it is there before a relay is, and the rest comes bit by bit, so that they always have something to do.
    while not allowed.locked():  # noqa: ASYNC110 - it only counts
        await asyncio.sleep(0.05)

    def allow(more: int) -> None:
        for _ in range(more):
            allowed.release()

    relays = Relays()
    planned = [relays.kill] * plan.kills + [relays.freeze] * plan.freezes + [relays.cut] * plan.cuts
    random.shuffle(planned)
    share = posts // 2 // max(1, len(planned)) + 1
    try:
        await relays.start(plan.relays, _RABBITMQ if plan.broker == "rabbitmq" else _REDIS, environment)
        while not writing.done() or planned or (await storage.relay_ledger.lag()).pending:
            if time.monotonic() - begun > LONGEST_SECONDS:
                sys.stderr.write("gave up\n")
                break
            await asyncio.sleep(random.random() * 0.2)  # noqa: S311 - no secret
            if planned and relays.at_work:
                allow(share)
                await planned.pop()()
            elif not planned:
                allow(share)
        allow(posts)
        await writing
        await asyncio.sleep(5)  # until the last of them is at work
        seconds = time.monotonic() - begun
    finally:
        codes, ending = await relays.stop()
    log, got = await logged(storage), await arrived(plan.broker, topic)
    await storage.close()

    ids = [envelope["id"] for envelope in got]
    missing = {str(event.id) for event in log} - set(ids)
    unknown = set(ids) - {str(event.id) for event in log}
    twice = len(ids) - len(set(ids))
    first = list({envelope["id"]: envelope for envelope in got}.values())
    order: dict[str, list[int]] = {}
    for envelope in first:
        order.setdefault(envelope["subject"], []).append(envelope["data"]["version"])
    disordered = sum(versions != sorted(versions) for versions in order.values())
    unwritten = [subject for subject, count in written.versions.items() if len(order.get(str(subject), [])) != count]
    undone = sum(str(subject) in order for subject in written.rolled_back)
    late_came = str(written.late) in order and log[0].subject != written.late
    happened = relays.happened
    sys.stdout.write(
        f"{plan.backend}, {plan.broker}: {sum(written.versions.values()):,} events committed in {seconds:.0f} s with "
        f"{plan.relays} relays of {plan.batch} a batch, {happened['kills']} kills, {happened['freezes']} freezes ("
        f"{happened['out']} of both with something out) and {happened['cuts']} cuts: "
        f"{len(missing) + len(unwritten)} missing, {twice} twice (allowed {plan.most_twice}), "
        f"{disordered} subjects out of order, {len(unknown)} unknown, "
        f"{undone} of {len(written.rolled_back)} rolled back sent, "
        f"early number with late commit {'came' if late_came else 'NEVER CAME'}, "
        f"relays ended with {sorted(set(codes))} in {ending:.1f} s\n"
    )
    return (
        not missing
        and not unwritten
        and not unknown
        and not disordered
        and not undone
        and twice <= plan.most_twice
        and not planned
        and late_came
        and set(codes) == {0}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["mariadb", "postgresql", "mysql"], action="append")
    parser.add_argument("--broker", choices=["rabbitmq", "redis"], action="append")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--relays", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--freezes", type=int, default=4)
    parser.add_argument("--cuts", type=int, default=3)
    options = parser.parse_args()
    sound = []
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(Path(folder), f"torture{os.getpid()}")
        for backend in options.backend or ["mariadb"]:
            for broker in options.broker or ["rabbitmq", "redis"]:
                plan = Plan(
                    backend,
                    broker,
                    events=options.events,
                    relays=options.relays,
                    kills=options.kills,
                    batch=options.batch,
                    freezes=options.freezes,
                    cuts=options.cuts,
                )
                url = databases.create(backend, "_events")
                try:
                    upgrade(url)
                    sound.append(asyncio.run(torture(plan, url)))
                finally:
                    databases.drop(backend, url)
    sys.exit(0 if all(sound) else 1)


if __name__ == "__main__":
    main()
