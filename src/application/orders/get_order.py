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


class GetOrder:
    """Read one of your own orders; administrators read any. To everybody else it does not exist."""

    def __init__(self, *, reader: OrderReader) -> None:
        self._reader = reader

    async def execute(self, query: GetOrderQuery) -> OrderView:
        view = await self._reader.get(query.order_id)
        if view is None or not may_see(query.actor, None if view.user_id is None else UserId(UUID(view.user_id))):
            raise OrderNotFound
        return view
