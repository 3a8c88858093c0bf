"""The database's clock, and the newest id that it holds."""

from functools import cache
from typing import Any, Final

from sqlalchemy import Select, select, type_coerce

from adapters.sql.database import Database
from adapters.sql.dialects.base import Dialect
from adapters.sql.tables import AuditRow, OrderRow, PostRow, WebhookDeliveryRow, table_of
from adapters.sql.types import Timestamp
from application.shared.clock import StorageTime, TimeReading

_TABLES: Final = (table_of(PostRow), table_of(OrderRow), table_of(AuditRow), table_of(WebhookDeliveryRow))
"""Those whose lists go by id. Whatever makes a session or an account is in the audit trail."""
_MILLISECOND: Final = 1e-3
_MICROSECOND: Final = 1e-6


@cache
def _now_and_newest(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    # Each is the end of a primary key. Not max(), which PostgreSQL has not had for UUIDs before version 18.
    newest = (select(table.c.id).order_by(table.c.id.desc()).limit(1).scalar_subquery() for table in _TABLES)
    return select(type_coerce(dialect.now, Timestamp()), *newest)


class SqlTime(StorageTime):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._statement = _now_and_newest(database.dialect)
        # SQLite's clock counts milliseconds, the others' microseconds.
        self._resolution = _MILLISECOND if database.dialect.single_writer else _MICROSECOND

    async def read(self) -> TimeReading:
        row = await self._database.fetch_one(self._statement, {}, on_loop=True)
        if row is None:
            raise TypeError("a statement without a table gave no row")
        now, *newest = row
        return TimeReading(now, self._resolution, max((id for id in newest if id is not None), default=None))
