"""Listing orders."""

from dataclasses import dataclass
from uuid import UUID

from application.orders.ports import OrderReader
from application.orders.views import OrderPageView
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.shared.actor import Actor, Permission
from domain.shared.ids import OrderId, UserId


@dataclass(frozen=True, slots=True)
class ListOrdersQuery:
    actor: Actor
    page: PageRequest
    customer: UserId | None = None
    """Whose orders; None: the caller's own."""
    all_customers: bool = False
    """All orders instead, those of deleted accounts among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOrders:
    """List your own orders, newest first. Administrators may ask for those of another user, or for everybody's."""

    reader: OrderReader
    cursors: CursorCodec

    async def execute(self, query: ListOrdersQuery) -> OrderPageView:
        customer = None if query.all_customers else (query.customer or query.actor.user_id)
        if customer != query.actor.user_id:
            query.actor.require(Permission.MANAGE_ORDERS)
        scope = scope_of("orders", {"customer": None if customer is None else str(customer)})
        cursor = query.page.cursor
        before = None if cursor is None else OrderId(self.cursors.decode(scope, cursor))
        found = await self.reader.newest(limit=query.page.limit, before=before, customer=customer)
        last = UUID(found.items[-1].id) if found.more else None
        return OrderPageView(found.items, None if last is None else self.cursors.encode(scope, last))
