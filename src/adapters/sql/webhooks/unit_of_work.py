"""The unit of work on webhooks, with the cursor that tells how far the event log has been handed out."""

from collections.abc import Sequence

from sqlalchemy import insert, select, update

from adapters.sql.database import Database
from adapters.sql.errors import Named
from adapters.sql.tables import WebhookCursorRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.unit_of_work import SqlUnitOfWork
from adapters.sql.webhooks.deliveries import SqlDeliveryRepository
from adapters.sql.webhooks.endpoints import SqlWebhookRepository
from application.identity.audit import Recorder
from application.shared.errors import TransientFailure
from application.shared.unit_of_work import CommitListener
from application.webhooks.ports import FanOutCursor, WebhooksUnitOfWork

_CURSOR = table_of(WebhookCursorRow)
_ONLY = 1
"""The id of the one row of the cursor."""
_TAKEN: Named = {"pk_webhook_cursor": TransientFailure}

_LOCK_CURSOR = select(_CURSOR.c.position).where(_CURSOR.c.id == _ONLY).with_for_update()
_BEGIN_CURSOR = insert(_CURSOR)
_MOVE_CURSOR = update(_CURSOR).where(_CURSOR.c.id == _ONLY)


class SqlFanOutCursor(FanOutCursor):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock(self) -> int:
        position = (await self._transaction.run(_LOCK_CURSOR, {})).scalar()
        if position is None:
            await self._transaction.run(_BEGIN_CURSOR, {"id": _ONLY, "position": 0}, _TAKEN)
            return 0
        return int(position)

    async def move(self, position: int) -> None:
        await self._transaction.run(_MOVE_CURSOR, {"position": position})


class SqlWebhooksUnitOfWork(SqlUnitOfWork, WebhooksUnitOfWork):
    """One transaction on webhooks; good for one `async with`."""

    def __init__(self, database: Database, recorder: Recorder, listeners: Sequence[CommitListener] = ()) -> None:
        super().__init__(database, recorder, listeners)
        self._webhooks = SqlWebhookRepository(self.transaction)
        self._deliveries = SqlDeliveryRepository(self.transaction)
        self._fan_out = SqlFanOutCursor(self.transaction)

    @property
    def webhooks(self) -> SqlWebhookRepository:
        return self._webhooks

    @property
    def deliveries(self) -> SqlDeliveryRepository:
        return self._deliveries

    @property
    def fan_out(self) -> SqlFanOutCursor:
        return self._fan_out
