"""Moving an order on."""

from dataclasses import dataclass

from application.orders.ports import OrdersUnits
from application.orders.views import OrderView, order_view
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from domain.orders.errors import OrderChanged
from domain.orders.status import OrderStatus
from domain.shared.actor import Actor, Permission
from domain.shared.ids import OrderId


@dataclass(frozen=True, slots=True)
class MoveOrderCommand:
    actor: Actor
    order_id: OrderId
    status: OrderStatus
    if_version: int | None = None
    """The version that the caller saw; None moves whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOrder(SharesCommit):
    """Give an order another status; administrators may. `pending` becomes `confirmed`, then `shipped`, then
    `delivered`; `pending` and `confirmed` may become `cancelled`. Any other move is refused by name.

    An order whose account was deleted has no address left: it can be cancelled, and delivered once it was shipped.
    """

    uow: OrdersUnits
    clock: Clock

    async def execute(self, command: MoveOrderCommand) -> OrderView:
        # Before anything is looked up, so that those who may not move orders learn nothing of which there are.
        command.actor.require(Permission.MANAGE_ORDERS)
        async with self.uow() as uow:
            order = await uow.orders.get(command.order_id)
            if command.if_version not in (None, order.version):
                raise OrderChanged
            order.move(command.status, by=command.actor, at=self.clock.now())
            await uow.orders.save(order)
            await uow.commit()
        return order_view(order)
