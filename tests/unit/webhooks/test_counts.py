"""What is counted of deliveries."""

import pytest

from application.webhooks.counts import DeliveryCounts
from domain.webhooks.delivery import DeliveryStatus, Outcome
from entrypoints.memory_storage import memory_storage
from tests.builders import a_delivery, a_webhook
from tests.contracts.test_webhooks import Receiver, a_deliver, stored
from tests.fakes import SettableClock


async def test_every_attempt_is_counted_by_its_result_and_every_delivery_by_its_end() -> None:
    storage, clock, counts = memory_storage(), SettableClock(), DeliveryCounts()
    webhook = a_webhook()
    await stored(storage, webhook, a_delivery(webhook, attempts=9), a_delivery(webhook), a_delivery(webhook))
    receiver = Receiver(Outcome.answered(503))
    deliver = a_deliver(storage, clock, receiver, counts)
    last, first, second = sorted(await deliver.claim(webhook.id, limit=9), key=lambda one: -one.delivery.attempts)
    for claimed in (last, first):
        await deliver.attempt(claimed)
    receiver.outcome = Outcome.answered(204)
    await deliver.attempt(second)

    assert counts.attempts == {"5xx": 2, "2xx": 1}
    assert counts.ended == {DeliveryStatus.FAILED: 1, DeliveryStatus.DELIVERED: 1}


async def test_what_another_has_taken_over_is_an_attempt_and_no_end() -> None:
    storage, clock, counts = memory_storage(), SettableClock(), DeliveryCounts()
    webhook = a_webhook()
    await stored(storage, webhook, a_delivery(webhook))
    deliver = a_deliver(storage, clock, Receiver(), counts)
    (claimed,) = await deliver.claim(webhook.id, limit=1)
    outcome = await deliver.send(claimed)
    await deliver.note(claimed, outcome)
    await deliver.note(claimed, outcome)

    assert counts.attempts == {"2xx": 1}
    assert counts.ended == {DeliveryStatus.DELIVERED: 1}


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.answered(200), "2xx"),
        (Outcome.answered(302), "3xx"),
        (Outcome.answered(410), "4xx"),
        (Outcome.answered(599), "5xx"),
        (Outcome.answered(999), "other"),
        (Outcome(error="timeout"), "timeout"),
        (Outcome(error="refused_target"), "refused_target"),
    ],
)
def test_results_are_a_closed_set(outcome: Outcome, result: str) -> None:
    counts = DeliveryCounts()
    counts.attempted(outcome)

    assert counts.attempts == {result: 1}
