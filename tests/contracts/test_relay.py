"""What every queue of the relay promises: each event arrives, in order, and a failure holds up nobody else."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from application.events.ports import EventPublisher, Message
from application.events.purge import PurgeEvents
from application.events.relay import Relay, RetryPolicy
from application.events.views import Envelopes
from application.shared.errors import Unavailable
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given
from tests.fakes import SettableClock

POLICY = RetryPolicy(attempts=3, first=10.0, longest=60.0)


class Broker(EventPublisher):
    """Keeps what it confirms; refuses subjects that it is told to, and goes away when it is told to."""

    def __init__(self) -> None:
        self.arrived: list[Message] = []
        self.refused: set[UUID] = set()
        self.fails_after: int | None = None
        self.pause = 0.0

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        await asyncio.sleep(self.pause)
        answers: list[str | None] = []
        for message in messages:
            if self.fails_after is not None and len(self.arrived) >= self.fails_after:
                raise Unavailable("the broker is away")
            if message.subject in self.refused:
                answers.append("too large for me")
            else:
                self.arrived.append(message)
                answers.append(None)
        return answers

    async def close(self) -> None: ...

    def sequences(self, subject: UUID) -> list[str]:
        return [json.loads(message.body)["sequence"] for message in self.arrived if message.subject == subject]

    def of(self, subject: UUID) -> list[str]:
        return [message.type for message in self.arrived if message.subject == subject]


def a_relay(storage: Storage, broker: EventPublisher, clock: SettableClock, *, batch: int = 10) -> Relay:
    return Relay(
        log=storage.events,
        queue=storage.relay_queue,
        publisher=broker,
        envelope=Envelopes(api="https://api.example.org/api/v1"),
        clock=clock,
        random=lambda: 0.999,
        policy=POLICY,
        batch=batch,
    )


LATER = NOW + timedelta(hours=1)


async def run_dry(relay: Relay) -> int:
    """Take steps until one finds nothing; return how many events they dealt with."""
    total = 0
    while done := await relay.step():
        total += done
    return total


async def given_stories(storage: Storage, author: User, *, posts: int, edits: int) -> list[PostId]:
    """Publish posts and edit each of them; return their ids."""
    actor, ids = an_actor(author), []
    for _ in range(posts):
        post = Post.publish(id=PostId(an_id()), by=actor, text=PostText("first"), at=NOW)
        await given(storage, post)
        ids.append(post.id)
    for number in range(edits):
        for post_id in ids:
            async with storage.posts_units() as uow:
                loaded = await uow.posts.get(post_id)
                loaded.edit(by=actor, text=PostText(f"edit {number}"), at=NOW)
                await uow.posts.save(loaded, owner=author.id)
                await uow.commit()
    return ids


async def test_each_event_arrives_once_in_the_order_of_its_subject(storage: Storage, clock: SettableClock) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    ids = await given_stories(storage, alice, posts=5, edits=3)

    assert await run_dry(a_relay(storage, broker, clock)) == 20
    assert await run_dry(a_relay(storage, broker, clock)) == 0

    versions: dict[UUID, list[int]] = {id: [] for id in ids}
    for message in broker.arrived:
        versions[message.subject].append(json.loads(message.body)["data"]["version"])
    assert versions == {id: [1, 2, 3, 4] for id in ids}
    for id in ids:
        sequences = broker.sequences(id)
        assert sequences == sorted(set(sequences))
        assert all(len(sequence) == 20 and sequence.isdecimal() for sequence in sequences)
    assert len({message.id for message in broker.arrived}) == 20
    lag = await storage.relay_ledger.lag()
    assert (lag.pending, lag.oldest, lag.dead) == (0, None, 0)


async def test_what_arrives_is_a_cloud_event(storage: Storage, clock: SettableClock) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    [post_id] = await given_stories(storage, alice, posts=1, edits=0)

    await run_dry(a_relay(storage, broker, clock))

    [message] = broker.arrived
    assert json.loads(message.body) == {
        "specversion": "1.0",
        "id": str(message.id),
        "source": "https://api.example.org/api/v1",
        "type": "post.published",
        "subject": str(post_id),
        "time": "2026-03-04T05:06:07.890123Z",
        "sequence": json.loads(message.body)["sequence"],
        "datacontenttype": "application/json",
        "dataschema": "https://api.example.org/api/v1/events/schemas/post.published/1",
        "data": {"post_id": str(post_id), "author_id": str(alice.id), "version": 1, "reply_to": None},
    }


async def test_relays_side_by_side_deliver_each_event_once_and_in_order(open_storage: OpenStorage) -> None:
    alice, broker, clock = a_user(), Broker(), SettableClock()
    processes = [open_storage() for _ in range(4)]
    await given(processes[0], alice)
    broker.pause = 0.001
    ids = await given_stories(processes[0], alice, posts=20, edits=2)

    await asyncio.gather(*(run_dry(a_relay(storage, broker, clock, batch=7)) for storage in processes))
    await run_dry(a_relay(processes[0], broker, clock))

    assert len(broker.arrived) == 60
    assert all(broker.of(id) == ["post.published", "post.edited", "post.edited"] for id in ids)


async def test_what_is_refused_holds_up_its_own_subject_and_nothing_else(
    storage: Storage, clock: SettableClock
) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    bad, *good = await given_stories(storage, alice, posts=4, edits=1)
    broker.refused.add(bad)
    relay = a_relay(storage, broker, clock)

    await run_dry(relay)

    assert broker.of(bad) == []
    assert all(broker.of(id) == ["post.published", "post.edited"] for id in good)
    pending = await storage.relay_ledger.pending(limit=10)
    assert [(entry.event.type, entry.attempts, entry.error) for entry in pending] == [
        ("post.published", 1, "too large for me"),
        ("post.edited", 0, ""),
    ]
    assert (await storage.relay_ledger.lag()).pending == 2

    await run_dry(relay)
    assert (await storage.relay_ledger.pending(limit=10))[0].attempts == 1  # not due yet

    broker.refused.clear()
    clock.advance(timedelta(seconds=11))
    await run_dry(relay)
    assert broker.of(bad) == ["post.published", "post.edited"]
    assert await storage.relay_ledger.pending(limit=10) == []


async def test_what_is_refused_too_often_is_given_up_and_lets_the_later_ones_pass(
    storage: Storage, clock: SettableClock
) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    [bad] = await given_stories(storage, alice, posts=1, edits=0)
    broker.refused.add(bad)
    relay = a_relay(storage, broker, clock)
    waits = []
    for attempt in range(1, POLICY.attempts + 1):
        await run_dry(relay)
        entries = [*await storage.relay_ledger.pending(limit=1), *await storage.relay_ledger.dead(limit=1)]
        assert entries[0].attempts == attempt
        assert entries[0].next_attempt_at is not None
        waits.append((entries[0].next_attempt_at - clock.now()).total_seconds())
        clock.advance(timedelta(seconds=60))

    assert [round(wait) for wait in waits] == [10, 20, 40]
    [dead] = await storage.relay_ledger.dead(limit=10)
    assert (dead.event.subject, dead.error) == (bad, "too large for me")
    lag = await storage.relay_ledger.lag()
    assert (lag.pending, lag.dead) == (0, 1)

    broker.refused.clear()
    async with storage.posts_units() as uow:
        post = await uow.posts.get(bad)
        post.edit(by=an_actor(alice), text=PostText("passes"), at=NOW)
        await uow.posts.save(post, owner=alice.id)
        await uow.commit()
    await run_dry(relay)
    assert broker.of(bad) == ["post.edited"]

    assert await storage.relay_ledger.replay([an_id()]) == 0
    assert await storage.relay_ledger.replay([dead.event.id]) == 1
    await run_dry(relay)
    assert broker.of(bad) == ["post.edited", "post.published"]
    later, earlier = broker.sequences(bad)
    assert earlier < later  # by which a consumer knows
    assert await storage.relay_ledger.dead(limit=10) == []


async def test_all_dead_letters_are_replayed_at_once(storage: Storage, clock: SettableClock) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    ids = await given_stories(storage, alice, posts=3, edits=1)
    broker.refused.update(ids)
    relay = a_relay(storage, broker, clock)
    for _ in range(2 * POLICY.attempts):
        await run_dry(relay)
        clock.advance(timedelta(seconds=60))
    assert len(await storage.relay_ledger.dead(limit=10)) == 6
    broker.refused.clear()

    assert await storage.relay_ledger.replay(None) == 6
    await run_dry(relay)

    assert all(broker.of(id) == ["post.published", "post.edited"] for id in ids)


async def test_a_broker_that_is_away_counts_as_no_attempt_and_loses_nothing(
    storage: Storage, clock: SettableClock
) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    ids = await given_stories(storage, alice, posts=6, edits=2)
    relay = a_relay(storage, broker, clock)
    broker.fails_after = 7
    with pytest.raises(Unavailable):
        await run_dry(relay)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await relay.step()
    assert await storage.relay_ledger.dead(limit=10) == []
    assert {entry.attempts for entry in await storage.relay_ledger.pending(limit=50)} == {0}

    broker.fails_after = None
    await run_dry(relay)

    for id in ids:
        firsts = list(dict.fromkeys(message.id for message in broker.arrived if message.subject == id))
        assert firsts == sorted(firsts)  # the ids of a generator that counts
        assert len(firsts) == 3


async def test_a_relay_that_dies_in_the_middle_leaves_its_batch_to_the_others(open_storage: OpenStorage) -> None:
    alice, broker, clock = a_user(), Broker(), SettableClock()
    dying, other = open_storage(), open_storage()
    await given(dying, alice)
    ids = await given_stories(dying, alice, posts=5, edits=1)
    await dying.events.assign_positions()
    broker.pause = 60.0
    task = asyncio.create_task(a_relay(dying, broker, clock).step())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    broker.pause = 0.0
    await run_dry(a_relay(other, broker, clock))

    assert all(broker.of(id) == ["post.published", "post.edited"] for id in ids)


async def test_a_batch_is_nobody_elses_until_it_is_let_go_of(open_storage: OpenStorage) -> None:
    alice, clock = a_user(), SettableClock()
    here, there = open_storage(), open_storage()
    await given(here, alice)
    await given(here, post := a_post(alice))
    await given_stories(here, alice, posts=1, edits=0)
    await here.events.assign_positions()
    del post

    async with here.relay_queue.claim(limit=10, now=clock.now()) as first:
        assert len(first.batch) == 1
        async with there.relay_queue.claim(limit=10, now=clock.now()) as second:
            assert len(second.batch) == 0
    async with there.relay_queue.claim(limit=10, now=clock.now()) as third:
        assert len(third.batch) == 1


async def test_what_was_not_delivered_outlives_its_time(storage: Storage, clock: SettableClock) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    await given_stories(storage, alice, posts=2, edits=1)
    await storage.events.assign_positions()
    purge = PurgeEvents(retention=storage.retention, clock=clock, keep=timedelta(days=7), delivered_only=True)
    clock.advance(timedelta(days=8))
    assert await purge.step() == 0

    await run_dry(a_relay(storage, broker, clock))

    assert await purge.step() == 3
    assert await purge.step() == 0
    assert len(broker.arrived) == 4


async def test_dead_letters_outlive_the_log(storage: Storage, clock: SettableClock) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    [bad, _] = await given_stories(storage, alice, posts=2, edits=0)
    broker.refused.add(bad)
    relay = a_relay(storage, broker, clock)
    for _ in range(POLICY.attempts):
        await run_dry(relay)
        clock.advance(timedelta(seconds=60))
    clock.advance(timedelta(days=8))
    purge = PurgeEvents(retention=storage.retention, clock=clock, keep=timedelta(days=7), delivered_only=True)
    assert await purge.step() == 1
    broker.refused.clear()

    assert await storage.relay_ledger.replay(None) == 1
    await run_dry(relay)

    assert broker.of(bad) == ["post.published"]


async def test_what_no_relay_has_taken_waits_since_it_happened(storage: Storage, clock: SettableClock) -> None:
    alice, broker = a_user(), Broker()
    await given(storage, alice)
    assert await run_dry(a_relay(storage, broker, clock)) >= 0
    assert await storage.relay_ledger.waiting_since(LATER) is None
    await given_stories(storage, alice, posts=2, edits=1)
    assert await storage.relay_ledger.waiting_since(LATER) == NOW
    await storage.events.assign_positions()
    assert await storage.relay_ledger.waiting_since(LATER) == NOW
    await run_dry(a_relay(storage, broker, clock))
    assert await storage.relay_ledger.waiting_since(LATER) is None
