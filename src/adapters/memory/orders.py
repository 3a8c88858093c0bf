"""Orders in memory."""

from dataclasses import replace
from datetime import datetime

from adapters.memory.store import MemoryStore, Transaction, copy_of
from application.orders.ports import OrderReader, OrderRepository, OrderSlice
from application.orders.views import OrderView, order_view
from application.shared.errors import VersionConflict
from domain.orders.errors import CustomerGone, OrderNotFound
from domain.orders.order import Order
from domain.shared.ids import OrderId, UserId


class MemoryOrderRepository(OrderRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, order: Order) -> None:
        await self._transaction.lock()
        if self._transaction.orders.get(order.id) is not None:
            raise ValueError(f"there is an order {order.id} already")
        if order.customer_id is not None and self._transaction.users.get(order.customer_id) is None:
            raise CustomerGone
        self._transaction.orders.put(order.id, copy_of(order))
        self._transaction.track(order)

    async def get(self, order_id: OrderId) -> Order:
        await self._transaction.lock()
        order = self._transaction.orders.get(order_id)
        if order is None:
            raise OrderNotFound
        return copy_of(order)

    async def save(self, order: Order) -> None:
        await self._transaction.lock()
        stored = self._transaction.orders.get(order.id)
        if stored is None or stored.version != order.version:
            raise VersionConflict
        order.version += 1
        self._transaction.orders.put(order.id, copy_of(order))
        self._transaction.track(order)


def forget_customer(transaction: Transaction, user_id: UserId, *, at: datetime) -> None:
    """Take the person and the address off the orders of an account that is about to go."""
    for order in [order for order in transaction.orders.values() if order.customer_id == user_id]:
        updated_at, version = max(order.updated_at, at), order.version + 1
        kept = replace(order, customer_id=None, address=None, updated_at=updated_at, version=version)
        transaction.orders.put(kept.id, kept)


class MemoryOrderReader(OrderReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, order_id: OrderId) -> OrderView | None:
        order = self._store.orders.get(order_id)
        return None if order is None else order_view(order)

    async def newest(self, *, limit: int, before: OrderId | None, customer: UserId | None) -> OrderSlice:
        wanted = [
            order
            for order in self._store.orders.values()
            if (customer is None or order.customer_id == customer) and (before is None or order.id < before)
        ]
        wanted.sort(key=lambda order: order.id, reverse=True)
        return OrderSlice([order_view(order) for order in wanted[:limit]], more=len(wanted) > limit)
