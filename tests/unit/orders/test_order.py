"""The order aggregate and its values."""

import itertools

import pytest

from domain.orders.errors import (
    IllegalMove,
    NotYourOrder,
    NowhereToShip,
    OrderAlreadyShipped,
    OrderClosed,
    OrderNotFound,
    OrderStepBack,
    OrderStepSkipped,
    OrderUnmoved,
)
from domain.orders.events import OrderPlaced, OrderStatusChanged
from domain.orders.order import Order
from domain.orders.status import MOVES, OrderStatus
from domain.orders.values import OrderLine, OrderLines, ProductId, ShippingAddress
from domain.shared.actor import Role
from domain.shared.errors import Forbidden, Invalid
from domain.shared.ids import OrderId
from tests.builders import NOW, a_user, an_actor, an_id, an_order

ALICE, ADMIN = a_user("alice"), a_user("admin", role=Role.ADMIN)
PENDING, CONFIRMED, SHIPPED, DELIVERED, CANCELLED = OrderStatus
LEGAL = {
    (PENDING, CONFIRMED),
    (CONFIRMED, SHIPPED),
    (SHIPPED, DELIVERED),
    (PENDING, CANCELLED),
    (CONFIRMED, CANCELLED),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(OrderStatus, OrderStatus)))
def test_just_the_moves_of_the_contract_are_legal(before: OrderStatus, after: OrderStatus) -> None:
    order = an_order(ALICE, status=before)
    if (before, after) in LEGAL:
        order.move(after, by=an_actor(ADMIN), at=NOW)
        assert order.status is after
        assert [type(event) for event in order.pull_events()] == [OrderStatusChanged]
    else:
        with pytest.raises(IllegalMove):
            order.move(after, by=an_actor(ADMIN), at=NOW)
        assert (order.status, order.pull_events()) == (before, [])


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        (PENDING, PENDING, OrderUnmoved),
        (PENDING, DELIVERED, OrderStepSkipped),
        (SHIPPED, CONFIRMED, OrderStepBack),
        (SHIPPED, CANCELLED, OrderAlreadyShipped),
        (CANCELLED, CONFIRMED, OrderClosed),
        (DELIVERED, CANCELLED, OrderClosed),
    ],
)
def test_every_kind_of_illegal_move_has_its_name(
    before: OrderStatus, after: OrderStatus, error: type[IllegalMove]
) -> None:
    assert MOVES[before][after] is error


def test_a_placed_order_is_pending_and_tells_so() -> None:
    lines = OrderLines.of([OrderLine.of(ProductId.parse("sku-1"), 2)])
    address = ShippingAddress.parse(street=" 1 Main ", city="X", state="IL", zip="1", country=None)
    order = Order.place(id=OrderId(an_id()), by=an_actor(ALICE), lines=lines, address=address, at=NOW)
    assert (order.status, order.version, address.street) == (PENDING, 1, "1 Main")
    assert order.pull_events() == [OrderPlaced(at=NOW, order_id=order.id, customer_id=ALICE.id, version=1)]


def test_an_order_is_cancelled_by_its_customer_alone() -> None:
    order = an_order(ALICE)
    with pytest.raises(NotYourOrder):
        order.cancel(by=an_actor(ADMIN), at=NOW)
    order.cancel(by=an_actor(ALICE), at=NOW)
    assert order.status is CANCELLED


def test_an_order_is_moved_by_administrators_alone() -> None:
    with pytest.raises(Forbidden):
        an_order(ALICE).move(CONFIRMED, by=an_actor(ALICE), at=NOW)


def test_an_order_exists_for_its_customer_and_administrators_alone() -> None:
    order = an_order(ALICE)
    order.require_visible_to(an_actor(ALICE))
    order.require_visible_to(an_actor(ADMIN))
    with pytest.raises(OrderNotFound):
        order.require_visible_to(an_actor(a_user("mallory", role=Role.MODERATOR)))


def test_an_order_without_an_address_can_be_cancelled_and_not_shipped() -> None:
    order = an_order(None, address=None)
    with pytest.raises(NowhereToShip):
        order.move(CONFIRMED, by=an_actor(ADMIN), at=NOW)
    order.move(CANCELLED, by=an_actor(ADMIN), at=NOW)


@pytest.mark.parametrize("raw", ["", "-a", "a b", "ä", "a" * 65, "a\n", "٣"])
def test_a_product_id_is_bounded_ascii(raw: str) -> None:
    with pytest.raises(Invalid):
        ProductId.parse(raw)


@pytest.mark.parametrize("quantity", [0, -1, 1001])
def test_a_quantity_is_from_1_to_1000(quantity: int) -> None:
    with pytest.raises(Invalid):
        OrderLine.of(ProductId("a"), quantity)


@pytest.mark.parametrize("count", [0, 101])
def test_an_order_has_1_to_100_lines(count: int) -> None:
    with pytest.raises(Invalid):
        OrderLines.of([OrderLine(ProductId(f"p{number}"), 1) for number in range(count)])


def test_a_product_comes_once() -> None:
    with pytest.raises(Invalid) as refused:
        OrderLines.of([OrderLine(ProductId(name), 1) for name in ("a", "A", "a")])
    assert [(error.field, error.code) for error in refused.value.errors] == [("items/2/product_id", "duplicate")]


@pytest.mark.parametrize("zip_code", [" ", "1" * 21, "1\x002"])
def test_an_address_is_of_bounded_plain_text(zip_code: str) -> None:
    with pytest.raises(Invalid):
        ShippingAddress.parse(street="a", city="b", state="c", zip=zip_code, country=None)


def test_an_address_does_not_show_in_logs() -> None:
    address = ShippingAddress.parse(street="1 Secret Street", city="b", state="c", zip="d", country=None)
    assert "Secret" not in repr(address)
