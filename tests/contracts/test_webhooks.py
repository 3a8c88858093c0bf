"""What storing webhooks and their deliveries promises, over every storage."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from application.events.views import Envelopes
from application.shared.errors import TransientFailure, VersionConflict
from application.shared.event_log import LoggedEvent
from application.webhooks.counts import DeliveryCounts
from application.webhooks.deliver import LEASE, Claimed, Deliver
from application.webhooks.fan_out import FanOut
from application.webhooks.ports import NewSecret, WebhookRequest, WebhookSecrets, WebhookSender
from application.webhooks.views import delivery_detail_view, delivery_view, webhook_view
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import DeliveryId, PostId, WebhookId
from domain.webhooks.delivery import Delivery, DeliveryStatus, Outcome
from domain.webhooks.endpoint import DisabledReason, WebhookEndpoint
from domain.webhooks.errors import DeliveryNotFound, WebhookNotFound
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_delivery, a_user, a_webhook, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given
from tests.fakes import CountedIds, SettableClock

LATER = NOW + timedelta(seconds=7, microseconds=1)
OK = Outcome.answered(204)
BROKEN = Outcome.answered(500)


class NoSecrets(WebhookSecrets):
    """Signs nothing."""

    def new(self, *, owner: WebhookId) -> NewSecret:
        return NewSecret(f"whsec_{owner}", owner.bytes)

    def sign(self, sealed: Sequence[bytes], *, owner: WebhookId, id: str, timestamp: int, body: bytes) -> str:
        return "v1,nothing"


class Receiver(WebhookSender):
    """Answers as it is told, and keeps what came."""

    def __init__(self, outcome: Outcome = OK) -> None:
        self.outcome = outcome
        self.received: list[WebhookRequest] = []

    async def send(self, request: WebhookRequest) -> Outcome:
        self.received.append(request)
        await asyncio.sleep(0)
        return self.outcome


def a_fan_out(storage: Storage, clock: SettableClock, envelope: Callable[[LoggedEvent], bytes] | None = None) -> FanOut:
    return FanOut(
        uow=storage.webhooks_units,
        events=storage.events,
        envelope=envelope or (lambda event: b'{"id": "%s"}' % str(event.id).encode()),
        ids=CountedIds(),
        clock=clock,
    )


def a_deliver(
    storage: Storage, clock: SettableClock, sender: WebhookSender, counts: DeliveryCounts | None = None
) -> Deliver:
    return Deliver(
        uow=storage.webhooks_units,
        reader=storage.webhooks,
        sender=sender,
        secrets=NoSecrets(),
        ids=CountedIds(),
        clock=clock,
        random=lambda: 0.0,
        counts=counts or DeliveryCounts(),
    )


async def stored(storage: Storage, *items: WebhookEndpoint | Delivery) -> None:
    async with storage.webhooks_units() as uow:
        for item in items:
            if isinstance(item, WebhookEndpoint):
                await uow.webhooks.add(item)
            else:
                await uow.deliveries.add_all([item])
        await uow.commit()


async def publish(storage: Storage, author: User) -> None:
    post = Post.publish(id=PostId(an_id()), by=an_actor(author), text=PostText.parse("Hello"), at=NOW)
    await given(storage, post)


async def endpoint_of(storage: Storage, webhook_id: WebhookId) -> WebhookEndpoint:
    async with storage.webhooks_units() as uow:
        return await uow.webhooks.get(webhook_id)


async def delivery_of(storage: Storage, delivery: Delivery) -> Delivery:
    async with storage.webhooks_units() as uow:
        return await uow.deliveries.get(delivery.id, of=delivery.endpoint_id)


async def queued(storage: Storage, webhook: WebhookEndpoint) -> list[str]:
    """Return the ids of the events that are queued for an endpoint, oldest first."""
    found = await storage.webhooks.deliveries(of=webhook.id, status=None, limit=100, before=None)
    return [item.event_id for item in reversed(found.items)]


async def test_every_field_of_a_webhook_and_of_a_delivery_comes_back(storage: Storage) -> None:
    webhook = a_webhook(
        "http://[2001:db8::1]:8080/a?b=c",
        "post.*",
        "order.placed",
        description="Büro",
        enabled=False,
        disabled_reason=DisabledReason.FAILING,
        secret=b"\x00new",
        previous_secret=b"\xffold",
        previous_until=LATER,
        from_position=1 << 40,
        failing_since=NOW,
        updated_at=LATER,
        version=3,
    )
    delivery = a_delivery(
        webhook,
        event_type="order.placed",
        body='{"text": "ß\U0001f600"}'.encode(),
        status=DeliveryStatus.FAILED,
        attempts=10,
        next_attempt_at=LATER,
        claim=an_id(),
        last_attempt_at=LATER,
        last_status_code=599,
        last_error="status",
    )
    await stored(storage, webhook, delivery)

    assert fields_of(await endpoint_of(storage, webhook.id)) == fields_of(webhook)
    assert await storage.webhooks.get(webhook.id) == webhook_view(webhook)
    assert fields_of(await delivery_of(storage, delivery)) == fields_of(delivery)
    assert await storage.webhooks.delivery(delivery.id, of=webhook.id) == delivery_detail_view(delivery)


async def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    webhook, other = a_webhook(), a_webhook()
    delivery = a_delivery(other)
    await stored(storage, other, delivery)
    with pytest.raises(WebhookNotFound):
        await endpoint_of(storage, webhook.id)
    async with storage.webhooks_units() as uow:
        with pytest.raises(DeliveryNotFound):
            await uow.deliveries.get(delivery.id, of=webhook.id)
    assert await storage.webhooks.get(webhook.id) is None
    assert await storage.webhooks.delivery(delivery.id, of=webhook.id) is None


async def test_a_webhook_kept_from_an_earlier_unit_of_work_is_not_saved(storage: Storage) -> None:
    webhook, kept = a_webhook(), a_webhook()
    kept.id = webhook.id
    await stored(storage, webhook)
    async with storage.webhooks_units() as uow:
        loaded = await uow.webhooks.get(webhook.id)
        loaded.disable(DisabledReason.GONE, at=LATER)
        await uow.webhooks.save(loaded)
        await uow.commit()
    for write in ("save", "remove"):
        async with storage.webhooks_units() as uow:
            with pytest.raises(VersionConflict):
                await getattr(uow.webhooks, write)(kept)
    assert fields_of(await endpoint_of(storage, webhook.id)) == fields_of(loaded)


async def test_lists_go_on_where_they_ended(storage: Storage) -> None:
    webhooks = [a_webhook() for _ in range(3)]
    deliveries = [
        a_delivery(webhooks[0], status=status)
        for status in (DeliveryStatus.FAILED, DeliveryStatus.PENDING, DeliveryStatus.FAILED, DeliveryStatus.FAILED)
    ]
    await stored(storage, *webhooks, *deliveries, a_delivery(webhooks[1], status=DeliveryStatus.FAILED))

    first = await storage.webhooks.newest(limit=2, before=None)
    assert (first.items, first.more) == ([webhook_view(w) for w in webhooks[:0:-1]], True)
    rest = await storage.webhooks.newest(limit=2, before=webhooks[1].id)
    assert (rest.items, rest.more) == ([webhook_view(webhooks[0])], False)

    of = webhooks[0].id
    failed = await storage.webhooks.deliveries(of=of, status=DeliveryStatus.FAILED, limit=2, before=None)
    assert (failed.items, failed.more) == ([delivery_view(d) for d in deliveries[:1:-1]], True)
    everything = await storage.webhooks.deliveries(of=of, status=None, limit=9, before=deliveries[2].id)
    assert (everything.items, everything.more) == ([delivery_view(d) for d in deliveries[1::-1]], False)


async def test_what_happens_is_queued_for_those_who_want_it_from_their_time_on(
    storage: Storage, clock: SettableClock
) -> None:
    author = a_user()
    await given(storage, author)
    await publish(storage, author)
    await storage.events.assign_positions()
    begun = await storage.events.head()
    late = a_webhook(from_position=begun)
    early = a_webhook("https://a.example", "post.published")
    wants_orders = a_webhook("https://a.example", "order.*")
    disabled = a_webhook(enabled=False)
    await stored(storage, late, early, wants_orders, disabled)
    await publish(storage, author)

    fan_out = a_fan_out(storage, clock)
    assert [await fan_out.step(), await fan_out.step()] == [2, 0]

    first, second = await storage.events.read(after=0, limit=100)
    assert await queued(storage, late) == [str(second.id)]
    assert await queued(storage, early) == [str(first.id), str(second.id)]
    assert await queued(storage, wants_orders) == []
    assert await queued(storage, disabled) == []
    (delivery,) = (await storage.webhooks.deliveries(of=late.id, status=None, limit=9, before=None)).items
    assert (delivery.event_type, delivery.status, delivery.attempts) == ("post.published", "pending", 0)
    assert sorted(await storage.webhooks.due(clock.now())) == [late.id, early.id]


async def test_each_event_is_queued_once_whoever_and_how_many_fan_out(
    open_storage: OpenStorage, clock: SettableClock
) -> None:
    storage = open_storage()
    author = a_user()
    await given(storage, author)
    webhooks = [a_webhook() for _ in range(3)]
    await stored(storage, *webhooks)
    fan_outs = [a_fan_out(open_storage(), clock) for _ in range(4)]
    done = asyncio.Event()

    async def hand_out(fan_out: FanOut) -> None:
        idle = False
        while not (idle and done.is_set()):
            idle = done.is_set()
            try:
                idle = await fan_out.step() == 0 and idle
            except TransientFailure:
                idle = False
            await asyncio.sleep(0.005)

    workers = [asyncio.create_task(hand_out(fan_out)) for fan_out in fan_outs]
    for _ in range(10):
        await asyncio.gather(*(publish(storage, author) for _ in range(3)))
    done.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*workers)

    log = await storage.events.read(after=0, limit=1000)
    assert sum(event.type == "post.published" for event in log) == 30
    for webhook in webhooks:
        assert await queued(storage, webhook) == [str(event.id) for event in log]


async def test_a_due_delivery_is_claimed_by_one_of_many(open_storage: OpenStorage, clock: SettableClock) -> None:
    storage = open_storage()
    webhook = a_webhook()
    deliveries = [a_delivery(webhook) for _ in range(12)]
    await stored(storage, webhook, *deliveries, a_delivery(webhook, next_attempt_at=LATER))
    workers = [a_deliver(open_storage(), clock, Receiver()) for _ in range(4)]

    async def claim_all(deliver: Deliver) -> list[Claimed]:
        claimed: list[Claimed] = []
        tries = 0
        while tries < 4:
            try:
                found = await deliver.claim(webhook.id, limit=2)
            except TransientFailure:
                continue
            claimed += found
            tries = 0 if found else tries + 1
        return claimed

    taken = [claimed.delivery.id for found in await asyncio.gather(*map(claim_all, workers)) for claimed in found]

    assert sorted(taken) == sorted(delivery.id for delivery in deliveries)
    assert await storage.webhooks.due(clock.now()) == []


async def test_a_claim_that_nobody_reports_on_runs_out_and_its_first_holder_is_not_heard_any_more(
    storage: Storage, clock: SettableClock
) -> None:
    webhook = a_webhook()
    delivery = a_delivery(webhook)
    await stored(storage, webhook, delivery)
    deliver = a_deliver(storage, clock, Receiver())
    (dead,) = await deliver.claim(webhook.id, limit=9)
    assert await deliver.claim(webhook.id, limit=9) == []

    clock.advance(LEASE)
    assert await storage.webhooks.due(clock.now()) == [webhook.id]
    (taken_over,) = await deliver.claim(webhook.id, limit=9)
    await deliver.note(dead, BROKEN)
    assert (await delivery_of(storage, delivery)).attempts == 0
    await deliver.note(taken_over, OK)

    kept = await delivery_of(storage, delivery)
    assert (kept.status, kept.attempts, kept.next_attempt_at, kept.claim) == (DeliveryStatus.DELIVERED, 1, None, None)


async def test_what_failed_arrives_after_later_events_and_its_sequence_tells(
    storage: Storage, clock: SettableClock
) -> None:
    """As `docs/webhooks.md` says: in no promised order, with a `sequence` to put events in."""
    alice, webhook, receiver = a_user(), a_webhook(), Receiver(BROKEN)
    await given(storage, alice)
    await stored(storage, webhook)
    post = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText.parse("Hello"), at=NOW)
    await given(storage, post)
    fan_out = a_fan_out(storage, clock, Envelopes(api="https://api.example.org/api/v1"))
    deliver = a_deliver(storage, clock, receiver)

    async def edit(text: str) -> None:
        async with storage.posts_units() as uow:
            loaded = await uow.posts.get(post.id)
            loaded.edit(by=an_actor(alice), text=PostText.parse(text), at=NOW)
            await uow.posts.save(loaded, owner=alice.id)
            await uow.commit()

    async def deliver_what_is_due() -> int:
        await fan_out.step()
        claimed = await deliver.claim(webhook.id, limit=4)
        for one in claimed:
            await deliver.attempt(one)
        return len(claimed)

    assert await deliver_what_is_due() == 1
    receiver.outcome = OK
    failed, receiver.received = receiver.received, []
    await edit("one")
    await edit("two")
    assert await deliver_what_is_due() == 2  # at once: nothing waits for what failed, nor for each other
    clock.advance(timedelta(seconds=6))
    assert await deliver_what_is_due() == 1

    bodies = [json.loads(request.body) for request in receiver.received]
    assert {body["subject"] for body in bodies} == {str(post.id)}
    assert [body["type"] for body in bodies[2:]] == ["post.published"]
    in_order = sorted(bodies, key=lambda body: str(body["sequence"]))
    assert [body["data"]["version"] for body in in_order] == [1, 2, 3]
    assert receiver.received[2].body == failed[0].body  # with the same sequence at every attempt


async def test_a_failure_is_tried_again_by_the_schedule_and_a_success_heals(
    storage: Storage, clock: SettableClock
) -> None:
    webhook = a_webhook()
    delivery = a_delivery(webhook)
    await stored(storage, webhook, delivery)
    receiver = Receiver(BROKEN)
    deliver = a_deliver(storage, clock, receiver)
    waits = []
    for _ in range(10):
        before = await delivery_of(storage, delivery)
        assert before.next_attempt_at is not None
        waits.append(before.next_attempt_at - clock.now())
        clock.advance(waits[-1])
        for claimed in await deliver.claim(webhook.id, limit=9):
            await deliver.attempt(claimed)

    minutes = [round(wait.total_seconds() / 60, 2) for wait in waits]
    assert minutes == [0, 0.08, 5, 30, 120, 300, 600, 840, 1200, 1440]
    failed = await delivery_of(storage, delivery)
    assert (failed.status, failed.attempts, failed.next_attempt_at) == (DeliveryStatus.FAILED, 10, None)
    assert len({request.id for request in receiver.received}) == 1
    assert (await endpoint_of(storage, webhook.id)).failing_since == NOW

    async with storage.webhooks_units() as uow:
        assert await uow.deliveries.replay_failed(webhook.id, since=NOW, now=clock.now(), limit=10) == 1
        assert await uow.deliveries.replay_failed(webhook.id, since=NOW, now=clock.now(), limit=10) == 0
        await uow.commit()
    receiver.outcome = OK
    (again,) = await deliver.claim(webhook.id, limit=9)
    await deliver.attempt(again)
    healed = await endpoint_of(storage, webhook.id)
    assert (healed.failing_since, healed.version) == (None, 1)
    assert (await delivery_of(storage, delivery)).status is DeliveryStatus.DELIVERED


@pytest.mark.parametrize(
    ("outcome", "after", "reason"),
    [
        (Outcome.answered(410), timedelta(0), DisabledReason.GONE),
        (BROKEN, timedelta(days=5), DisabledReason.FAILING),
        (BROKEN, timedelta(days=5) - timedelta(microseconds=1), None),
    ],
)
async def test_an_endpoint_that_is_gone_or_fails_for_days_is_sent_nothing_more(
    storage: Storage, clock: SettableClock, outcome: Outcome, after: timedelta, reason: DisabledReason | None
) -> None:
    webhook = a_webhook(failing_since=NOW)
    await stored(storage, webhook, a_delivery(webhook), a_delivery(webhook, next_attempt_at=NOW + after))
    clock.advance(after)
    deliver = a_deliver(storage, clock, Receiver(outcome))
    (claimed,) = await deliver.claim(webhook.id, limit=1)
    await deliver.attempt(claimed)

    kept = await endpoint_of(storage, webhook.id)
    assert (kept.enabled, kept.disabled_reason) == (reason is None, reason)
    assert await storage.webhooks.due(clock.now()) == ([webhook.id] if reason is None else [])
    assert bool(await deliver.claim(webhook.id, limit=1)) is (reason is None)


async def test_deliveries_go_with_their_endpoint_and_with_time(storage: Storage, clock: SettableClock) -> None:
    kept, removed = a_webhook(), a_webhook()
    old = [a_delivery(kept, created_at=NOW - timedelta(days=30, microseconds=1)) for _ in range(3)]
    young = a_delivery(kept, created_at=NOW - timedelta(days=30))
    await stored(storage, kept, removed, *old, young, *(a_delivery(removed) for _ in range(3)))
    async with storage.webhooks_units() as uow:
        await uow.webhooks.remove(await uow.webhooks.get(removed.id))
        await uow.commit()
    assert await storage.webhooks.due(clock.now()) == [kept.id]

    purged: list[int] = []
    while not purged or purged[-1]:
        purged.append(await storage.deliveries.purge(before=NOW - timedelta(days=30), limit=2))

    assert (sum(purged), max(purged)) == (6, 2)
    assert await queued(storage, kept) == [str(young.event_id)]
    assert await queued(storage, removed) == []


async def test_of_what_is_not_committed_nothing_is_there(storage: Storage) -> None:
    webhook = a_webhook()
    await stored(storage, webhook)
    other = a_webhook()
    async with storage.webhooks_units() as uow:
        await uow.webhooks.add(other)
        await uow.deliveries.add_all([a_delivery(webhook)])
        await uow.fan_out.move(await uow.fan_out.lock() + 5)
    assert await storage.webhooks.get(other.id) is None
    assert await queued(storage, webhook) == []
    async with storage.webhooks_units() as uow:
        assert await uow.fan_out.lock() == 0
    assert await storage.webhooks.delivery(DeliveryId(an_id()), of=webhook.id) is None


async def test_what_no_relay_has_handed_out_or_sent_waits(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    await given(storage, alice)
    post = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("hello"), at=NOW)
    async with storage.posts_units() as uow:
        await uow.posts.add(post)
        await uow.commit()
    reader = storage.webhooks
    assert await reader.waiting_since(LATER) is None, "there is nobody to get it"
    webhook = a_webhook()
    await stored(storage, webhook)
    assert await reader.waiting_since(LATER) == NOW
    await storage.events.assign_positions()
    assert await reader.waiting_since(LATER) == NOW

    await a_fan_out(storage, clock).step()
    assert await reader.waiting_since(LATER) == clock.now(), "it is due"
    deliver = a_deliver(storage, clock, Receiver())
    for claimed in await deliver.claim(webhook.id, limit=10):
        assert await reader.waiting_since(LATER) is None, "somebody has it"
        await deliver.attempt(claimed)
    assert await reader.waiting_since(LATER) is None
