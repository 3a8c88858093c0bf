"""What happened to orders."""

from dataclasses import dataclass

from domain.orders.status import OrderStatus
from domain.shared.events import DomainEvent
from domain.shared.ids import OrderId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent(DomainEvent):
    order_id: OrderId
    customer_id: UserId | None
    """None: the account has been deleted since."""
    version: int
    """Of the order, as it is from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced(OrderEvent):
    name = "order.placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatusChanged(OrderEvent):
    name = "order.status_changed"
    before: OrderStatus
    after: OrderStatus
    by: UserId
