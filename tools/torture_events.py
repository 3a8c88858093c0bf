"""10,000 events, 4 relays, 20 times `kill -9`: `python -m tools.torture_events [--backend mariadb] [--broker redis]`.

Writers publish and edit posts through the unit of work, roll some transactions back, and hold one open with an early
number while later ones are committed and get their positions. Relays are processes of `postern relay`; they are
killed and replaced while they work, as a rule in the moment in which something has just arrived: then a batch is out,
in part or whole, and not yet marked as delivered. It fails unless every committed event has arrived, at most batch
times kills came twice, the first arrivals of each subject are in order, nothing of a rolled-back transaction was sent,
and the last relays end well on SIGTERM. Servers are found as the tests find them.
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
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self
from uuid import UUID, uuid4

from aio_pika import ExchangeType, connect
from redis.asyncio import Redis

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.migrate import upgrade
from adapters.sql.outbox import rows_for, statement_for
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


@dataclass(slots=True)
class Written:
    """What the writers know."""

    versions: Counter[UUID] = field(default_factory=Counter)
    """How many events each subject has."""
    rolled_back: set[UUID] = field(default_factory=set)
    late: UUID | None = None


class Relays:
    """Processes that relay, and the one that kills them."""

    def __init__(self, environment: dict[str, str], number: int) -> None:
        self._environment = environment
        self._running: dict[subprocess.Popen[bytes], IO[bytes]] = {}
        for _ in range(number):
            self._start()

    def kill_one(self) -> bool:
        """Kill one that is at work, and start another in its place; tell whether there was one."""
        if not (at_work := self._at_work()):
            return False
        victim = random.choice(at_work)  # noqa: S311 - no secret
        victim.kill()
        victim.wait()
        self._running.pop(victim).close()
        self._start()
        return True

    def stop(self) -> tuple[list[int], float]:
        """End all as an orchestrator does; return how those at work ended, and how long the slowest took."""
        at_work, begun = self._at_work(), time.monotonic()
        for relay in self._running:
            relay.send_signal(signal.SIGTERM)
        codes = {relay: relay.wait(60) for relay in self._running}
        for said in self._running.values():
            said.close()
        return [codes[relay] for relay in at_work], time.monotonic() - begun

    def _at_work(self) -> list["subprocess.Popen[bytes]"]:
        # Its first line says that it begins.
        return [relay for relay, said in self._running.items() if os.fstat(said.fileno()).st_size]

    def _start(self) -> None:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        relay = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _RELAY], cwd=_ROOT, env=self._environment, stderr=said
        )
        self._running[relay] = said


async def write(storage: Storage, database: Database, events: int, written: Written) -> None:
    """Make that many events, besides those that are rolled back."""
    author = a_user()
    async with storage.identity_units() as uow:
        await uow.users.add(author)
        await uow.commit()
    actor = an_actor(author)

    def a_new_post() -> Post:
        return Post.publish(id=PostId(an_id()), by=actor, text=PostText("first"), at=NOW)

    late = a_new_post()
    held = Transaction(database)
    await held.execute_many(statement_for(database.dialect), rows_for(database.dialect, late.pull_events(), an_id))
    left = iter(range(1, events // (EDITS + 1)))

    async def one_writer() -> None:
        for number in left:
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
                undone = Transaction(database)
                rows = rows_for(database.dialect, lost.pull_events(), an_id)
                await undone.execute_many(statement_for(database.dialect), rows)
                await undone.end()
                written.rolled_back.add(lost.id)

    async def be_late() -> None:
        while not await storage.events.head():
            await asyncio.sleep(0.5)
            await storage.events.settle()
        await held.commit()
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


class Arrivals:
    """Tells when something has just arrived at the broker."""

    def __init__(self, broker: str, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._broker == "redis":
            self._redis = await self._stack.enter_async_context(Redis.from_url(_REDIS))
        else:
            self._channel = await (await self._stack.enter_async_context(await connect(_RABBITMQ))).channel()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def next(self, patience: float) -> None:
        """Return at once when there is more than there was at the call, or after `patience` seconds."""
        until, before = time.monotonic() + patience, await self._count()
        while time.monotonic() < until and await self._count() == before:  # noqa: ASYNC110 - a server's count
            await asyncio.sleep(0)

    async def _count(self) -> int:
        if self._broker == "redis":
            return int(await self._redis.xlen(self._topic))
        queue = await self._channel.declare_queue(self._topic, passive=True)
        return queue.declaration_result.message_count or 0


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
        "BROKER_URL": _RABBITMQ if plan.broker == "rabbitmq" else _REDIS,
        "BROKER_TOPIC": topic,
        "RELAY_BATCH": str(plan.batch),
        # The events are of the past that tests live in, and are looked at afterwards.
        "EVENT_RETENTION_DAYS": "3650",
        "LOG_LEVEL": "error",
    }
    begun, killed, written = time.monotonic(), 0, Written()
    writing = asyncio.create_task(write(storage, database, plan.events, written))
    # Half of it is there before a relay is, so that they have something to do when they are killed.
    while sum(written.versions.values()) < plan.events // 2 and not writing.done():  # noqa: ASYNC110 - it only counts
        await asyncio.sleep(0.05)
    relays = Relays(environment, plan.relays)
    try:
        async with Arrivals(plan.broker, topic) as arrivals:
            while not writing.done() or killed < plan.kills or (await storage.relay_ledger.lag()).pending:
                if time.monotonic() - begun > LONGEST_SECONDS:
                    sys.stderr.write("gave up\n")
                    break
                await asyncio.sleep(random.random() * 0.2)  # noqa: S311 - no secret
                if killed < plan.kills:
                    await arrivals.next(patience=0.5)
                    killed += relays.kill_one()
            await writing
            await asyncio.sleep(5)  # until the last of them is at work
        seconds = time.monotonic() - begun
    finally:
        codes, ending = relays.stop()
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
    sys.stdout.write(
        f"{plan.backend}, {plan.broker}: {sum(written.versions.values()):,} events committed in {seconds:.0f} s with "
        f"{plan.relays} relays of {plan.batch} a batch and {killed} kills: {len(missing) + len(unwritten)} missing, "
        f"{twice} twice (allowed {plan.batch * killed}), {disordered} subjects out of order, {len(unknown)} unknown, "
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
        and twice <= plan.batch * killed
        and killed == plan.kills
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
    options = parser.parse_args()
    sound = []
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(Path(folder), f"torture{os.getpid()}")
        for backend in options.backend or ["mariadb"]:
            for broker in options.broker or ["rabbitmq", "redis"]:
                plan = Plan(backend, broker, options.events, options.relays, options.kills, options.batch)
                url = databases.create(backend, "_events")
                try:
                    upgrade(url)
                    sound.append(asyncio.run(torture(plan, url)))
                finally:
                    databases.drop(backend, url)
    sys.exit(0 if all(sound) else 1)


if __name__ == "__main__":
    main()
