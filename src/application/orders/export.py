"""What this context contributes when somebody takes their data along."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from application.orders.ports import OrderReader
from application.shared.export import ExportSource
from application.shared.paging import MAX_LIMIT
from domain.shared.ids import OrderId, UserId


class OrdersExport(ExportSource):
    """All orders of the person, newest first."""

    name = "orders"
    is_list = True

    def __init__(self, reader: OrderReader) -> None:
        self._reader = reader

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        before: OrderId | None = None
        more = True
        while more:
            found = await self._reader.newest(limit=MAX_LIMIT, before=before, customer=user_id)
            yield found.items
            more = found.more
            before = OrderId(UUID(found.items[-1].id)) if more else None
