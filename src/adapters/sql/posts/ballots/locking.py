"""Votes that lock their post first.

Each reads what the voter said before under that lock, then writes: the counters by what changed, the vote by its
primary key, the ranks as computed from the counters under the lock, and the ranks that were until now.

Why the post first: writing the vote first would share-lock the post for the foreign key on InnoDB, and two voters who
both hold that and both want to change the counters wait for each other without end. This way all votes on a post stand
in one line, and no two of them ever hold what the other wants.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, insert, select, update

from adapters.sql.errors import ConstraintErrors
from adapters.sql.posts.ballots.changes import (
    ADD_TO_COUNTERS,
    KEEP_RANK,
    READ,
    BallotState,
    counter_values,
    rank_history_values,
)
from adapters.sql.rows import AnyRow
from adapters.sql.tables import PostRow, VoteRow, table_of
from adapters.sql.transaction import SqlRepository, Track, Transaction
from adapters.sql.types import Id
from application.posts.ports import BallotRepository
from domain.posts.errors import AuthorGone, PostNotFound
from domain.posts.ranking import microseconds
from domain.posts.vote import Ballot, Direction, Tally
from domain.shared.ids import PostId, UserId

_POSTS = table_of(PostRow)
_VOTES = table_of(VoteRow)

_OF_A_VOTER: ConstraintErrors = {"fk_votes_user_id_users": AuthorGone}

_AT_POST = and_(_POSTS.c.id == bindparam("at_id"), _POSTS.c.author_id.is_not(None))
_VOTER = bindparam("voter", type_=Id)

# `key_share`: on PostgreSQL, what only refers to the post (a reply, a vote about to be written) need not wait.
_LOCK = select(*READ).where(_AT_POST).with_for_update(key_share=True)
_VOTE_OF_VOTER = select(_VOTES.c.direction).where(_VOTES.c.post_id == bindparam("at_id"), _VOTES.c.user_id == _VOTER)
_LOCK_WITH_VOTE = (
    select(*READ, _VOTES.c.direction)
    .select_from(_POSTS.outerjoin(_VOTES, and_(_VOTES.c.post_id == _POSTS.c.id, _VOTES.c.user_id == _VOTER)))
    .where(_AT_POST)
    .with_for_update()
    .prefix_with("STRAIGHT_JOIN", dialect="mysql")
)
_INSERT = insert(_VOTES)
_AT_VOTE = and_(_VOTES.c.user_id == bindparam("at_user", type_=Id), _VOTES.c.post_id == bindparam("at_post", type_=Id))
_CHANGED_AT = bindparam("changed_at", type_=_VOTES.c.updated_at.type)
_CHANGE_VOTE = (
    update(_VOTES)
    .where(_AT_VOTE)
    # The clock that it was cast by may have been ahead.
    .values(updated_at=case((_VOTES.c.updated_at > _CHANGED_AT, _VOTES.c.updated_at), else_=_CHANGED_AT))
)
_RETRACT = delete(_VOTES).where(_AT_VOTE)


class LockingBallots(SqlRepository, BallotRepository):
    """Votes on one post wait for each other, and none comes too late."""

    def __init__(self, transaction: Transaction, track: Track) -> None:
        super().__init__(transaction, track)
        # By the numbers of the ids, whose hashes cost nothing: that of a UUID is computed in Python.
        self._loaded: dict[tuple[int, int], BallotState] = {}

    async def get(self, post_id: PostId, voter: UserId) -> Ballot:
        whose = {"at_id": post_id, "voter": voter}
        if self._transaction.dialect.locks_joins:
            row = (await self._transaction.run(_LOCK_WITH_VOTE, whose)).one_or_none()
            direction = None if row is None else row.direction
        else:
            row = (await self._transaction.run(_LOCK, {"at_id": post_id})).one_or_none()
            # A statement of its own: one sees only what was committed before it began to wait for the lock.
            direction = None if row is None else (await self._transaction.run(_VOTE_OF_VOTER, whose)).scalar()
        return self._ballot(post_id, voter, row, direction)

    def _ballot(self, post_id: PostId, voter: UserId, row: AnyRow | None, direction: int | None) -> Ballot:
        """Return the ballot of a row of `READ`, and remember it. Raises `PostNotFound` without a row."""
        if row is None:
            raise PostNotFound
        state = BallotState(Direction(direction or 0), Tally(row.upvotes, row.downvotes), row.hot, row.ranked_at)
        self._loaded[post_id.int, voter.int] = state
        return Ballot(
            post_id=post_id,
            author_id=UserId(row.author_id),
            post_version=row.version,
            published_at=row.created_at,
            voter_id=voter,
            direction=state.direction,
            tally=state.tally,
        )

    async def save(self, ballot: Ballot, *, at: datetime) -> None:
        key = (ballot.post_id.int, ballot.voter_id.int)
        before = self._loaded[key]
        # Strictly growing for each post, whatever the clock does.
        ranked_at = max(microseconds(at), before.ranked_at + 1)
        after = BallotState(ballot.direction, ballot.tally, ballot.hot, ranked_at)
        await self._add_to_counters(ballot, before, after)
        await self._write_vote(ballot, before.direction, at)
        await self._transaction.enqueue(KEEP_RANK, rank_history_values(ballot.post_id, before, after))
        self._loaded[key] = after
        self._track(ballot)

    async def _add_to_counters(self, ballot: Ballot, before: BallotState, after: BallotState) -> None:
        values = counter_values(ballot.post_id, before, after)
        if after.hot != before.hot:
            # Setting what is there already writes both indexes by it on SQLite. One vote alone moves no `hot`.
            values["hot"] = after.hot
        await self._transaction.enqueue(ADD_TO_COUNTERS, values)

    async def _write_vote(self, ballot: Ballot, before: Direction, at: datetime) -> None:
        whose: dict[str, Any] = {"at_user": ballot.voter_id, "at_post": ballot.post_id}
        if ballot.direction is Direction.NONE:
            await self._transaction.enqueue(_RETRACT, whose)
        elif before is Direction.NONE:
            vote = {
                "user_id": ballot.voter_id,
                "post_id": ballot.post_id,
                "direction": ballot.direction.value,
                "created_at": at,
                "updated_at": at,
            }
            await self._transaction.enqueue(_INSERT, vote, _OF_A_VOTER)
        else:
            change = {**whose, "direction": ballot.direction.value, "changed_at": at}
            await self._transaction.enqueue(_CHANGE_VOTE, change)
