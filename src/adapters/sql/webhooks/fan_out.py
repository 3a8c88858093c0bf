"""The cursor that tells how far the event log has been handed out to webhooks."""

from sqlalchemy import insert, select, update

from adapters.sql.errors import ConstraintErrors
from adapters.sql.tables import WebhookCursorRow, table_of
from adapters.sql.transaction import SqlRepository
from application.shared.errors import TransientFailure
from application.webhooks.ports import FanOutCursor

_CURSOR = table_of(WebhookCursorRow)
_ONLY = 1
"""The id of the one row of the cursor."""
_TAKEN: ConstraintErrors = {"pk_webhook_cursor": TransientFailure}

_LOCK_CURSOR = select(_CURSOR.c.position).where(_CURSOR.c.id == _ONLY).with_for_update()
_BEGIN_CURSOR = insert(_CURSOR)
_MOVE_CURSOR = update(_CURSOR).where(_CURSOR.c.id == _ONLY)


class SqlFanOutCursor(SqlRepository, FanOutCursor):
    async def lock(self) -> int:
        position = (await self._transaction.run(_LOCK_CURSOR, {})).scalar()
        if position is None:
            await self._transaction.run(_BEGIN_CURSOR, {"id": _ONLY, "position": 0}, _TAKEN)
            return 0
        return int(position)

    async def move(self, position: int) -> None:
        await self._transaction.run(_MOVE_CURSOR, {"position": position})
