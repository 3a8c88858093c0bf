"""What a vote reads of its post and moves there, however the post was read."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, update

from adapters.sql.rows import Parameters
from adapters.sql.tables import PostRow, RankHistoryRow, table_of
from domain.posts.vote import Direction, Tally

_POSTS = table_of(PostRow)

READ = (
    _POSTS.c.author_id,
    _POSTS.c.version,
    _POSTS.c.created_at,
    _POSTS.c.upvotes,
    _POSTS.c.downvotes,
    _POSTS.c.hot,
    _POSTS.c.ranked_at,
)
ADD_TO_COUNTERS = (
    update(_POSTS)
    .where(_POSTS.c.id == bindparam("at_id"))
    .values(
        score=_POSTS.c.score + bindparam("up") - bindparam("down"),
        upvotes=_POSTS.c.upvotes + bindparam("up"),
        downvotes=_POSTS.c.downvotes + bindparam("down"),
    )
)
KEEP_RANK = insert(table_of(RankHistoryRow))


class BallotState(NamedTuple):
    """A vote and the counters and ranks of its post, before or after a change."""

    direction: Direction
    tally: Tally
    hot: int
    ranked_at: int


def counter_values(post_id: UUID, before: BallotState, after: BallotState) -> dict[str, Any]:
    """Return what `ADD_TO_COUNTERS` sets, without `hot`."""
    return {
        "at_id": post_id,
        "up": after.tally.upvotes - before.tally.upvotes,
        "down": after.tally.downvotes - before.tally.downvotes,
        "ranked_at": after.ranked_at,
    }


def rank_history_values(post_id: UUID, before: BallotState, after: BallotState) -> Parameters:
    return {
        "valid_until": after.ranked_at,
        "post_id": post_id,
        "valid_from": before.ranked_at,
        "score": before.tally.score,
        "hot": before.hot,
    }
