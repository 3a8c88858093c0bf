"""Cancelling an order."""

from dataclasses import dataclass

from application.orders.ports import OrdersUnits
from application.orders.views import OrderView, order_view
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from domain.orders.errors import OrderChanged
from domain.shared.actor import Actor
from domain.shared.ids import OrderId


@dataclass(frozen=True, slots=True)
class CancelOrderCommand:
    actor: Actor
    order_id: OrderId
    if_version: int | None = None
    """The version that the caller saw; None cancels whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder(SharesCommit):
    """Cancel one's own order, as long as it is `pending` or `confirmed`."""

    uow: OrdersUnits
    clock: Clock

    async def execute(self, command: CancelOrderCommand) -> OrderView:
        async with self.uow() as uow:
            order = await uow.orders.get(command.order_id)
            order.require_visible_to(command.actor)
            if command.if_version not in (None, order.version):
                raise OrderChanged
            order.cancel(by=command.actor, at=self.clock.now())
            await uow.orders.save(order)
            await uow.commit()
        return order_view(order)
