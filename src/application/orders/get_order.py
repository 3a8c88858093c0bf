"""Reading one order."""

from dataclasses import dataclass
from uuid import UUID

from application.orders.ports import OrderReader
from application.orders.views import OrderView
from domain.orders.errors import OrderNotFound
from domain.orders.order import may_see
from domain.shared.actor import Actor
from domain.shared.ids import OrderId, UserId


@dataclass(frozen=True, slots=True)
class GetOrderQuery:
    actor: Actor
    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOrder:
    """Read one of your own orders; administrators read any. To everybody else it does not exist."""

    reader: OrderReader

    async def execute(self, query: GetOrderQuery) -> OrderView:
        view = await self.reader.get(query.order_id)
        if view is None or not may_see(query.actor, None if view.user_id is None else UserId(UUID(view.user_id))):
            raise OrderNotFound
        return view
