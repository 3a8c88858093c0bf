"""What the use cases of orders answer with: straight to the wire."""

import msgspec

from application.shared.views import Id, Timestamp, timestamp
from domain.orders.order import Order
from domain.orders.status import OrderStatus


class OrderItemView(msgspec.Struct, frozen=True):
    product_id: str
    quantity: int


class ShippingAddressView(msgspec.Struct, frozen=True):
    street: str
    city: str
    state: str
    zip: str
    country: str | None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order. When the account that placed it is deleted, `user_id` and `shipping_address` become null."""

    id: Id
    user_id: Id | None
    items: list[OrderItemView]
    shipping_address: ShippingAddressView | None
    status: OrderStatus
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class OrderPageView(msgspec.Struct, frozen=True):
    items: list[OrderView]
    next_cursor: str | None


def order_view(order: Order) -> OrderView:
    address = order.address
    return OrderView(
        id=str(order.id),
        user_id=None if order.customer_id is None else str(order.customer_id),
        items=[OrderItemView(line.product_id.value, line.quantity) for line in order.lines.items],
        shipping_address=None
        if address is None
        else ShippingAddressView(address.street, address.city, address.state, address.zip, address.country),
        status=order.status,
        created_at=timestamp(order.created_at),
        updated_at=timestamp(order.updated_at),
        version=order.version,
    )
