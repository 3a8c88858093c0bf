"""Forgetting events of a database's log."""

from datetime import datetime

from sqlalchemy import bindparam, delete, select

from adapters.sql.database import Database
from adapters.sql.events.relay import relay_over
from adapters.sql.tables import EventLogRow, table_of
from adapters.sql.transaction import write
from application.events.retention import EventRetention

_LOG = table_of(EventLogRow)
_OLDEST = select(_LOG.c.position, _LOG.c.time).order_by(_LOG.c.position).limit(bindparam("rows"))
_PURGE = delete(_LOG).where(_LOG.c.position <= bindparam("upto"))


class SqlEventRetention(EventRetention):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._relay = relay_over(database)

    async def purge(self, *, before: datetime, delivered_only: bool, limit: int = 1000) -> int:
        rows = await self._database.fetch_all(_OLDEST, {"rows": limit + 1})
        upto, purged = 0, 0
        undelivered = await self._relay.oldest_undelivered() if delivered_only and rows else None
        # The newest stays, whatever its age: on SQLite the next position is the one after it.
        for row in rows[:-1]:
            if row.time >= before or (undelivered is not None and row.position >= undelivered):
                break
            upto, purged = row.position, purged + 1
        if purged:
            await write(self._database, _PURGE, {"upto": upto})
        return purged
