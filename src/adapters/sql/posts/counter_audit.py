"""Whether the counters of posts equal the votes and answers that there are, and putting right those that do not."""

from typing import Any

from sqlalchemy import bindparam, func, select, update

from adapters.sql.database import Database
from adapters.sql.keyset import FIRST
from adapters.sql.tables import PostRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id
from application.posts.ports import CheckedPosts, CounterAudit
from domain.posts.ranking import hot_rank
from domain.shared.ids import PostId

_POSTS = table_of(PostRow)
_VOTES = table_of(VoteRow)

_UP = select(func.count()).where(_VOTES.c.post_id == _POSTS.c.id, _VOTES.c.direction == 1).scalar_subquery()
_DOWN = select(func.count()).where(_VOTES.c.post_id == _POSTS.c.id, _VOTES.c.direction == -1).scalar_subquery()
_ANSWERS = _POSTS.alias("answers")
_ANSWERED = select(func.count()).where(_ANSWERS.c.reply_to == _POSTS.c.id).scalar_subquery()
_STORED = (
    _POSTS.c.id,
    _POSTS.c.author_id,
    _POSTS.c.created_at,
    _POSTS.c.score,
    _POSTS.c.upvotes,
    _POSTS.c.downvotes,
    _POSTS.c.replies,
    _POSTS.c.hot,
    _POSTS.c.ranked_at,
)
_COUNT = (_UP.label("up"), _DOWN.label("down"), _ANSWERED.label("answered"))
_CHECK = (
    select(*_STORED, *_COUNT)
    .where(_POSTS.c.id > bindparam("after", type_=Id))
    .order_by(_POSTS.c.id)
    .limit(bindparam("rows"))
)
_LOCK_ONE = select(*_STORED).where(_POSTS.c.id == bindparam("at_id")).with_for_update()
_COUNT_ONE = select(*_COUNT).where(_POSTS.c.id == bindparam("at_id"))
_REPAIR = update(_POSTS).where(_POSTS.c.id == bindparam("at_id"))


class SqlCounterAudit(CounterAudit):
    """A batch is one statement, which sees votes and counters as of one moment, so that a vote cannot look wrong."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, *, after: PostId | None, limit: int) -> CheckedPosts:
        rows = await self._database.fetch_all(_CHECK, {"after": after or FIRST, "rows": limit})
        wrong = [PostId(row.id) for row in rows if _wrong(row, row)]
        return CheckedPosts(len(rows), wrong, PostId(rows[-1].id) if len(rows) == limit else None)

    async def repair(self, post_id: PostId) -> bool:
        async with Transaction(self._database) as transaction:
            # Locked, so that no vote and no answer comes or goes; counted by a statement that begins after that.
            stored = (await transaction.run(_LOCK_ONE, {"at_id": post_id})).one_or_none()
            if stored is None:
                return False
            counted = (await transaction.run(_COUNT_ONE, {"at_id": post_id})).first()
            if not (right := _wrong(stored, counted)):
                return False
            await transaction.run(_REPAIR, {"at_id": post_id, **right})
            await transaction.commit()
        return True


def _wrong(stored: Any, counted: Any) -> dict[str, int]:
    """Return what ought to be stored, where anything of it is not."""
    right = {
        "score": counted.up - counted.down,
        "upvotes": counted.up,
        "downvotes": counted.down,
        "replies": counted.answered,
        "hot": hot_rank(counted.up - counted.down, stored.created_at),
    }
    if stored.author_id is None:
        right["hot"] = stored.hot  # A tombstone is in no list that is ranked.
    return {} if all(getattr(stored, name) == value for name, value in right.items()) else right
