"""The purge of ranks that posts had before votes."""

from datetime import datetime

from sqlalchemy import bindparam, delete, select

from adapters.sql.database import Database
from adapters.sql.tables import RankHistoryRow, table_of
from adapters.sql.transaction import write_each
from adapters.sql.types import Id
from application.posts.ports import RANKS_KEPT
from domain.posts.ranking import microseconds

_PAST = table_of(RankHistoryRow)
_EXPIRED = (
    select(_PAST.c.valid_until, _PAST.c.post_id)
    .where(_PAST.c.valid_until < bindparam("before"))
    .limit(bindparam("rows"))
)
_PURGE = delete(_PAST).where(_PAST.c.valid_until == bindparam("at"), _PAST.c.post_id == bindparam("of", type_=Id))


async def purge_rank_history(database: Database, *, now: datetime, limit: int = 1_000) -> int:
    """Delete ranks that no request may ask for any more, at most `limit`; return how many there were."""
    horizon = microseconds(now - 2 * RANKS_KEPT)
    rows = await database.fetch_all(_EXPIRED, {"before": horizon, "rows": limit})
    return await write_each(database, _PURGE, [{"at": row.valid_until, "of": row.post_id} for row in rows])
