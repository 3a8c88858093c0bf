"""What the database adds to idempotency keys: waiting that has an end, nothing in the clear, and its plans."""

from collections.abc import Awaitable
from contextlib import suppress
from hashlib import sha256

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.security.keys import DerivedKeys
from adapters.security.response_cipher import AesGcmResponseCipher
from adapters.system.clock import SystemClock
from application.orders.place_order import PlaceOrder, PlaceOrderCommand
from application.shared.idempotency import (
    Idempotency,
    IdempotencyClaim,
    IdempotencyInFlight,
    IdempotencyKey,
    IdempotentResponse,
)
from domain.identity.user import User
from domain.orders.errors import OrderNotFound
from domain.orders.values import OrderLine, OrderLines, ProductId, ShippingAddress
from domain.shared.ids import OrderId
from entrypoints.storage import Storage, sql_storage
from tests.builders import a_user, an_actor, an_id
from tests.contracts.scenarios import given, retried
from tests.fakes import CountedIds
from tests.integration.sql.conftest import Captured, OpenDatabase, connections_out, on_servers

KEY = IdempotencyKey("a-key")
LINES = OrderLines.of([OrderLine.of(ProductId.parse("sku-1"), 1)])
ADDRESS = ShippingAddress("1 Main Street", "Springfield", "IL", "62701", None)


def order(storage: Storage, customer: User, *, clock: SystemClock) -> Awaitable[IdempotentResponse]:
    place = retried(PlaceOrder(uow=storage.orders_units, ids=CountedIds(), clock=clock))
    vault = AesGcmResponseCipher(keys=DerivedKeys("a key that everybody knows"))
    return Idempotency(kept=storage.stored_responses, vault=vault, clock=clock).run_once(
        lambda once: place.execute(PlaceOrderCommand(an_actor(customer), LINES, ADDRESS, once)),
        owner=customer.id,
        key=KEY,
        digest=sha256(b"one order").digest(),
        render=lambda view: f"{view.id} to {view.shipping_address}".encode(),
    )


@on_servers
async def test_whoever_waits_too_long_for_the_first_is_told_that_it_is_in_flight(open_with: OpenDatabase) -> None:
    """Once: waiting again would hold a connection for as long again."""
    database, clock = open_with(lock_timeout_seconds=1), SystemClock()
    storage, alice = sql_storage(database), a_user()
    await given(storage, alice)

    first: IdempotencyClaim[object] = IdempotencyClaim(alice.id, KEY, clock.now(), lambda _: b"")

    async with storage.orders_units() as uow:
        await uow.idempotency.claim(first, None)
        with suppress(OrderNotFound):
            await uow.orders.get(OrderId(an_id()))  # it is sent with whatever is read next
        began = clock.now()
        with pytest.raises(IdempotencyInFlight):
            await order(storage, alice, clock=clock)
        assert (clock.now() - began).total_seconds() < 4
        assert connections_out(database) == 1

    assert not (await order(storage, alice, clock=clock)).replayed
    assert connections_out(database) == 0


async def test_a_key_costs_one_statement_and_its_absence_none(open_with: OpenDatabase, captured: Captured) -> None:
    storage, alice, clock = sql_storage(open_with()), a_user(), SystemClock()
    await given(storage, alice)
    place = PlaceOrder(uow=storage.orders_units, ids=CountedIds(), clock=clock)
    captured.statements.clear()
    await place.execute(PlaceOrderCommand(an_actor(alice), LINES, ADDRESS))
    without = [statement for statement, _ in captured.statements]
    captured.statements.clear()
    await order(storage, alice, clock=clock)
    with_key = [statement for statement, _ in captured.statements]

    assert not [statement for statement in without if "idempotency" in statement]
    assert [statement.split()[0] for statement in with_key if "idempotency" in statement] == ["INSERT"]
    assert len(with_key) == len(without) + 1


async def test_nothing_of_an_answer_is_in_the_clear(open_with: OpenDatabase, behind: AsyncEngine) -> None:
    storage, alice = sql_storage(open_with()), a_user()
    await given(storage, alice)
    answered = await order(storage, alice, clock=SystemClock())

    async with behind.connect() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM idempotency_keys"))).all()

    assert b"Main Street" in answered.answer
    stored = b"".join(bytes(value) for value in row if isinstance(value, bytes | memoryview))
    assert b"Main Street" not in stored
    assert sha256(b"one order").digest() not in stored
