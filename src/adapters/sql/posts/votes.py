"""Somebody's votes in a database, as they are listed."""

from sqlalchemy import bindparam, select, type_coerce

from adapters.sql.database import Database
from adapters.sql.keyset import FIRST, ROWS
from adapters.sql.tables import VoteRow, table_of
from adapters.sql.types import Id, IdText, TimestampText
from application.posts.ports import VoteReader
from application.posts.views import CastVoteView
from domain.shared.ids import PostId, UserId

_VOTES = table_of(VoteRow)
_OF_VOTER = (
    select(
        type_coerce(_VOTES.c.post_id, IdText),
        _VOTES.c.direction.label("dir"),
        type_coerce(_VOTES.c.created_at, TimestampText),
        type_coerce(_VOTES.c.updated_at, TimestampText),
    )
    .where(_VOTES.c.user_id == bindparam("voter", type_=Id), _VOTES.c.post_id > bindparam("after", type_=Id))
    .order_by(_VOTES.c.post_id)
    .limit(ROWS)
)


class SqlVoteReader(VoteReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_voter(self, voter: UserId, *, limit: int, after: PostId | None) -> list[CastVoteView]:
        parameters = {"voter": voter, "after": after or FIRST, "rows": limit}
        return [CastVoteView(**row._asdict()) for row in await self._database.fetch_all(_OF_VOTER, parameters)]
