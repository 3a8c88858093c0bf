"""The cache fence in a table that every process can see."""

from uuid import uuid4

from sqlalchemy import bindparam, delete

from adapters.sql.database import Database
from adapters.sql.tables import CacheFenceRow, table_of
from adapters.sql.transaction import write
from application.shared.fence import CacheFence

_FENCES = table_of(CacheFenceRow)
_LOWER = delete(_FENCES).where(_FENCES.c.process_id == bindparam("at_id"))


class SqlCacheFence(CacheFence):
    """This process's fence, by the database's clock: the clocks of the processes may disagree."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = uuid4()

    async def raise_for(self, seconds: float) -> None:
        microseconds = round(seconds * 1_000_000)
        fence = {"process_id": self._id, "microseconds": microseconds}
        await write(self._database, self._database.dialect.raise_fence, fence)

    async def lower(self) -> None:
        await write(self._database, _LOWER, {"at_id": self._id})

    async def is_up(self) -> bool:
        return await self._database.fetch_one(self._database.dialect.fence_is_up, {}) is not None
