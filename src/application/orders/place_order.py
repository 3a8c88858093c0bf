"""Placing an order."""

from dataclasses import dataclass

from application.orders.ports import OrdersUnits
from application.orders.views import OrderView, order_view
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from application.shared.idempotency import IdempotencyClaim
from application.shared.ids import IdGenerator
from domain.orders.order import Order
from domain.orders.values import OrderLines, ShippingAddress
from domain.shared.actor import Actor
from domain.shared.ids import OrderId


@dataclass(frozen=True, slots=True)
class PlaceOrderCommand:
    actor: Actor
    lines: OrderLines
    address: ShippingAddress
    idempotency: IdempotencyClaim[OrderView] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder(SharesCommit):
    """Place an order for 1 to 100 distinct products, 1 to 1000 of each. It begins as `pending`.

    A `product_id` is an id of your own catalogue: it is kept as it is, and nothing is looked up.
    """

    uow: OrdersUnits
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: PlaceOrderCommand) -> OrderView:
        now = self.clock.now()
        order = Order.place(
            id=OrderId(self.ids.new(now)), by=command.actor, lines=command.lines, address=command.address, at=now
        )
        view = order_view(order)
        async with self.uow() as uow:
            await uow.idempotency.claim(command.idempotency, view)
            await uow.orders.add(order)
            await uow.commit()
        return view
