"""Sending many at once: how many, and who waits for whom."""

import asyncio
from collections import Counter

import pytest

from adapters.webhooks.dispatcher import AT_ONCE_TO_ONE, SHARED, Dispatcher
from application.webhooks.deliver import Claimed, Deliver
from application.webhooks.ports import WebhookRequest, WebhookSender
from domain.webhooks.delivery import Outcome
from domain.webhooks.endpoint import WebhookEndpoint
from entrypoints.memory_storage import memory_storage
from entrypoints.storage import Storage
from tests.builders import a_delivery, a_webhook
from tests.contracts.test_webhooks import a_deliver, stored
from tests.fakes import SettableClock


class SlowReceiver(WebhookSender):
    """Answers hosts that begin with `slow` when it is told to, and others at once."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.open: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    async def send(self, request: WebhookRequest) -> Outcome:
        host = request.url.host
        self.open[host] += 1
        if host.startswith("slow"):
            await self.answer.wait()
        self.open[host] -= 1
        self.done[host] += 1
        return Outcome.answered(200)


async def a_world(*hosts: str, each: int) -> tuple[Storage, SlowReceiver, Deliver, list[WebhookEndpoint]]:
    storage, receiver = memory_storage(), SlowReceiver()
    webhooks = [a_webhook(f"https://{host}/") for host in hosts]
    for webhook in webhooks:
        await stored(storage, webhook, *(a_delivery(webhook) for _ in range(each)))
    return storage, receiver, a_deliver(storage, SettableClock(), receiver), webhooks


async def settle(dispatcher: Dispatcher) -> None:
    """Start what can be started, and let it come as far as it comes."""
    for _ in range(200):
        await dispatcher.step()
        await asyncio.sleep(0)


async def test_slow_receivers_hold_nobody_up_however_many_they_are() -> None:
    slow = [f"slow{number}.example" for number in range(99)]
    _, receiver, deliver, _ = await a_world(*slow, "quick.example", each=6)
    dispatcher = Dispatcher(deliver)

    await settle(dispatcher)

    assert receiver.done == {"quick.example": 6}
    assert set(receiver.open.elements()) == set(slow)
    assert max(receiver.open.values()) == AT_ONCE_TO_ONE
    assert sum(receiver.open.values()) <= 99 + SHARED
    receiver.answer.set()
    await dispatcher.close()


async def test_one_receiver_gets_no_more_than_its_share_at_once_and_in_the_end_everything() -> None:
    _, receiver, deliver, _ = await a_world("slow.example", each=11)
    dispatcher = Dispatcher(deliver)
    await settle(dispatcher)
    assert receiver.open == {"slow.example": AT_ONCE_TO_ONE}

    receiver.answer.set()
    await settle(dispatcher)
    assert receiver.done == {"slow.example": 11}


async def test_a_failure_of_storage_ends_one_attempt_and_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    storage, receiver, deliver, (webhook,) = await a_world("a.example", each=3)
    dispatcher = Dispatcher(deliver)
    real, failures = Deliver.note, iter([True])

    async def note(self: Deliver, claimed: Claimed, outcome: Outcome) -> None:
        if next(failures, False):
            raise ValueError("storage broke in a way that nobody foresaw")
        await real(self, claimed, outcome)

    monkeypatch.setattr(Deliver, "note", note)
    await settle(dispatcher)
    assert receiver.done == {"a.example": 3}
    statuses = await storage.webhooks.deliveries(of=webhook.id, status=None, limit=9, before=None)
    assert Counter(item.status for item in statuses.items) == {"delivered": 2, "pending": 1}
