"""How far an order has come, and which status may follow on which."""

from enum import StrEnum

from domain.orders.errors import (
    IllegalMove,
    OrderAlreadyShipped,
    OrderClosed,
    OrderStepBack,
    OrderStepSkipped,
    OrderUnmoved,
)


class OrderStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


_PENDING, _CONFIRMED, _SHIPPED, _DELIVERED, _CANCELLED = OrderStatus

MOVES: dict[OrderStatus, dict[OrderStatus, type[IllegalMove] | None]] = {
    _PENDING: {
        _PENDING: OrderUnmoved,
        _CONFIRMED: None,
        _SHIPPED: OrderStepSkipped,
        _DELIVERED: OrderStepSkipped,
        _CANCELLED: None,
    },
    _CONFIRMED: {
        _PENDING: OrderStepBack,
        _CONFIRMED: OrderUnmoved,
        _SHIPPED: None,
        _DELIVERED: OrderStepSkipped,
        _CANCELLED: None,
    },
    _SHIPPED: {
        _PENDING: OrderStepBack,
        _CONFIRMED: OrderStepBack,
        _SHIPPED: OrderUnmoved,
        _DELIVERED: None,
        _CANCELLED: OrderAlreadyShipped,
    },
    _DELIVERED: {
        _PENDING: OrderClosed,
        _CONFIRMED: OrderClosed,
        _SHIPPED: OrderClosed,
        _DELIVERED: OrderUnmoved,
        _CANCELLED: OrderClosed,
    },
    _CANCELLED: {
        _PENDING: OrderClosed,
        _CONFIRMED: OrderClosed,
        _SHIPPED: OrderClosed,
        _DELIVERED: OrderClosed,
        _CANCELLED: OrderUnmoved,
    },
}
"""From one status to another: None where the move is legal, else why it is not."""

NEEDS_ADDRESS = frozenset({OrderStatus.CONFIRMED, OrderStatus.SHIPPED})
"""What an order can only become while it is known where it goes."""
