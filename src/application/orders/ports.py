"""What the use cases of orders need from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from application.orders.views import OrderView
from application.shared.unit_of_work import UnitOfWork
from domain.orders.order import Order
from domain.shared.ids import OrderId, UserId


class OrderRepository(Protocol):
    async def add(self, order: Order) -> None:
        """Store a new order. Raises `CustomerGone` when the customer's account no longer exists."""
        ...

    async def get(self, order_id: OrderId) -> Order:
        """Load and lock. Raises `OrderNotFound`."""
        ...

    async def save(self, order: Order) -> None:
        """Store the status. Raises `VersionConflict` when the order is not as it was loaded."""
        ...


class OrdersUnitOfWork(UnitOfWork, Protocol):
    @property
    def orders(self) -> OrderRepository: ...


OrdersUnits = Callable[[], OrdersUnitOfWork]


@dataclass(frozen=True, slots=True)
class OrderSlice:
    """Some orders, newest first, and whether the list goes on after the last of them."""

    items: list[OrderView]
    more: bool


class OrderReader(Protocol):
    """Reads orders as views.

    A page needs no budget of bytes: 100 lines of 64 ASCII characters and an address of 520 letters make an order of
    at most some 15 KiB, and a page of 100 of at most 1.5 MiB.
    """

    async def get(self, order_id: OrderId) -> OrderView | None: ...

    async def newest(self, *, limit: int, before: OrderId | None, customer: UserId | None) -> OrderSlice:
        """Read orders newest first (`id` descending), from before `before` on: of one customer, or of everybody."""
        ...
