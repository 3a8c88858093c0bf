"""What storing orders promises, over every storage."""

from datetime import timedelta

import pytest

from application.orders.cancel_order import CancelOrder, CancelOrderCommand
from application.orders.move_order import MoveOrder, MoveOrderCommand
from application.orders.views import order_view
from application.shared.errors import VersionConflict
from domain.orders.errors import CustomerGone, OrderChanged, OrderClosed, OrderNotFound, OrderUnmoved
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.values import ShippingAddress
from domain.shared.actor import Role
from domain.shared.ids import OrderId
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_user, an_actor, an_id, an_order
from tests.contracts.scenarios import given, race, retried
from tests.fakes import SettableClock

LATER = NOW + timedelta(seconds=7, microseconds=1)


async def placed(storage: Storage, *orders: Order) -> None:
    for order in orders:
        async with storage.orders_units() as uow:
            await uow.orders.add(order)
            await uow.commit()


async def load(storage: Storage, order_id: OrderId) -> Order:
    async with storage.orders_units() as uow:
        return await uow.orders.get(order_id)


async def test_every_field_of_an_order_comes_back(storage: Storage) -> None:
    alice = a_user()
    order = an_order(
        alice,
        ("z", 1000),
        ("a" * 64, 1),
        ("Z", 7),
        address=ShippingAddress("\U0001f600" * 200, "ß" * 100, "s" * 100, "0" * 20, "c" * 100),
        status=OrderStatus.SHIPPED,
        updated_at=LATER,
        version=4,
    )
    await given(storage, alice)
    await placed(storage, order)

    assert fields_of(await load(storage, order.id)) == fields_of(order)
    assert await storage.orders.get(order.id) == order_view(order)


async def test_an_order_without_a_country_comes_back(storage: Storage) -> None:
    alice = a_user()
    order = an_order(alice, address=ShippingAddress("a", "b", "c", "d", None))
    await given(storage, alice)
    await placed(storage, order)
    assert await storage.orders.get(order.id) == order_view(order)


async def test_an_order_that_does_not_exist_is_not_found(storage: Storage) -> None:
    with pytest.raises(OrderNotFound):
        await load(storage, OrderId(an_id()))
    assert await storage.orders.get(OrderId(an_id())) is None


async def test_an_account_that_is_gone_orders_nothing(storage: Storage) -> None:
    order = an_order(a_user())
    async with storage.orders_units() as uow:
        with pytest.raises(CustomerGone):
            await uow.orders.add(order)
    assert await storage.orders.get(order.id) is None


async def test_what_is_not_committed_is_not_there(storage: Storage) -> None:
    alice = a_user()
    order, other = an_order(alice), an_order(alice)
    await given(storage, alice)
    await placed(storage, order)
    async with storage.orders_units() as uow:
        await uow.orders.add(other)
        loaded = await uow.orders.get(order.id)
        loaded.cancel(by=an_actor(alice), at=LATER)
        await uow.orders.save(loaded)

    assert await storage.orders.get(other.id) is None
    assert fields_of(await load(storage, order.id)) == fields_of(order)


async def test_an_order_kept_from_an_earlier_unit_of_work_is_not_saved(storage: Storage) -> None:
    alice = a_user()
    order = an_order(alice)
    await given(storage, alice)
    await placed(storage, order)
    kept = await load(storage, order.id)
    async with storage.orders_units() as uow:
        loaded = await uow.orders.get(order.id)
        loaded.cancel(by=an_actor(alice), at=LATER)
        await uow.orders.save(loaded)
        await uow.commit()

    async with storage.orders_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.orders.save(kept)
    assert fields_of(await load(storage, order.id)) == fields_of(loaded)


async def test_a_list_goes_on_where_it_ended_while_orders_are_placed(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    await given(storage, alice, bob)
    orders = [an_order(alice, ("b", 1), ("a", number + 1)) for number in range(5)]
    foreign = an_order(bob)
    await placed(storage, *orders, foreign)

    first = await storage.orders.newest(limit=3, before=None, customer=alice.id)
    await placed(storage, an_order(alice))
    rest = await storage.orders.newest(limit=3, before=orders[2].id, customer=alice.id)

    assert (first.items, first.more) == ([order_view(order) for order in orders[:1:-1]], True)
    assert (rest.items, rest.more) == ([order_view(order) for order in orders[1::-1]], False)
    all_customers = await storage.orders.newest(limit=2, before=None, customer=None)
    assert all_customers.items[1] == order_view(foreign)


async def test_an_order_outlives_its_account_without_the_person(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    order, foreign = an_order(alice, ("b", 2), ("a", 3)), an_order(bob)
    await given(storage, alice, bob)
    await placed(storage, order, foreign)

    async with storage.identity_units() as uow:
        await uow.users.remove(await uow.users.get(alice.id), at=LATER)
        await uow.commit()

    kept = await load(storage, order.id)
    assert (kept.customer_id, kept.address, kept.updated_at, kept.version) == (None, None, LATER, 2)
    assert (kept.lines, kept.status, kept.created_at) == (order.lines, order.status, order.created_at)
    assert await storage.orders.get(order.id) == order_view(kept)
    assert fields_of(await load(storage, foreign.id)) == fields_of(foreign)


async def test_of_cancelling_and_confirming_one_version_exactly_one_wins(
    storage: Storage, clock: SettableClock
) -> None:
    alice, admin = a_user(), a_user(role=Role.ADMIN)
    order = an_order(alice)
    await given(storage, alice, admin)
    await placed(storage, order)
    cancel = retried(storage.group_commit(CancelOrder(uow=storage.orders_units, clock=clock)))
    confirm = retried(storage.group_commit(MoveOrder(uow=storage.orders_units, clock=clock)))

    async def scenario(number: int) -> OrderStatus:
        if number % 2:
            view = await cancel.execute(CancelOrderCommand(an_actor(alice), order.id, if_version=1))
        else:
            command = MoveOrderCommand(an_actor(admin), order.id, OrderStatus.CONFIRMED, if_version=1)
            view = await confirm.execute(command)
        return view.status

    winners, losers = await race(20, scenario)

    assert (len(winners), {type(loser) for loser in losers}) == (1, {OrderChanged})
    stored = await load(storage, order.id)
    assert (stored.status, stored.version) == (winners[0], 2)


async def test_of_cancelling_and_confirming_unguarded_each_wins_once_at_most_and_cancelling_lasts(
    storage: Storage, clock: SettableClock
) -> None:
    """A confirmed order may still be cancelled, and a cancelled one never confirmed."""
    alice, admin = a_user(), a_user(role=Role.ADMIN)
    order = an_order(alice)
    await given(storage, alice, admin)
    await placed(storage, order)
    cancel = retried(storage.group_commit(CancelOrder(uow=storage.orders_units, clock=clock)))
    confirm = retried(storage.group_commit(MoveOrder(uow=storage.orders_units, clock=clock)))

    async def scenario(number: int) -> OrderStatus:
        if number % 2:
            return (await cancel.execute(CancelOrderCommand(an_actor(alice), order.id))).status
        return (await confirm.execute(MoveOrderCommand(an_actor(admin), order.id, OrderStatus.CONFIRMED))).status

    winners, losers = await race(20, scenario)

    assert winners.count(OrderStatus.CANCELLED) == 1
    assert winners.count(OrderStatus.CONFIRMED) <= 1
    assert {type(loser) for loser in losers} <= {OrderClosed, OrderUnmoved}
    stored = await load(storage, order.id)
    assert (stored.status, stored.version) == (OrderStatus.CANCELLED, 1 + len(winners))
