"""What deleting an account does to the posts that it voted on."""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from adapters.sql.posts.ballots.changes import (
    ADD_TO_COUNTERS,
    KEEP_RANK,
    READ,
    BallotState,
    counter_values,
    rank_history_values,
)
from adapters.sql.rows import Parameters
from adapters.sql.tables import PostRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id
from domain.posts.ranking import hot_rank, microseconds
from domain.posts.vote import Direction, Tally
from domain.shared.ids import UserId

_POSTS = table_of(PostRow)
_VOTES = table_of(VoteRow)
_VOTES_OF = (
    select(_POSTS.c.id, *READ, _VOTES.c.direction)
    .join_from(_POSTS, _VOTES, _VOTES.c.post_id == _POSTS.c.id)
    .where(_VOTES.c.user_id == bindparam("voter", type_=Id))
    .order_by(_POSTS.c.id.desc())
    .with_for_update()
)


async def revert_votes(transaction: Transaction, voter: UserId, *, at: datetime) -> None:
    """Move counters and ranks as if the voter had taken back every vote; the votes themselves go with the account."""
    counters: list[dict[str, Any]] = []
    past_ranks: list[Parameters] = []
    for row in (await transaction.run(_VOTES_OF, {"voter": voter})).rows:
        direction, tally = Direction(row.direction), Tally(row.upvotes, row.downvotes)
        reverted = tally.moved(direction, Direction.NONE)
        ranked_at = max(microseconds(at), row.ranked_at + 1)
        before = BallotState(direction, tally, row.hot, row.ranked_at)
        after = BallotState(Direction.NONE, reverted, hot_rank(reverted.score, row.created_at), ranked_at)
        counters.append({**counter_values(row.id, before, after), "hot": after.hot})
        past_ranks.append(rank_history_values(row.id, before, after))
    await transaction.run_many(ADD_TO_COUNTERS, counters)
    await transaction.run_many(KEEP_RANK, past_ranks)
