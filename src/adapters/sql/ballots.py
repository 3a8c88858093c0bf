"""Votes in a database.

Every vote locks its post first, then reads what the voter said before, then writes: the vote by its primary key, the
counters by what changed, the ranks as computed from the counters under the lock, and the ranks that were until now.

Why the post first: writing the vote first would share-lock the post for the foreign key on InnoDB, and two voters who
both hold that and both want to change the counters wait for each other for ever. This way all votes on a post stand in
one line, and no two of them ever hold what the other wants.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.errors import Named
from adapters.sql.models import PastRankRow, PostRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id
from application.posts.ports import RANKS_KEPT, BallotRepository, CheckedPosts, CounterAudit
from domain.posts.errors import AuthorGone, PostNotFound
from domain.posts.ranking import hot_rank, microseconds
from domain.posts.vote import Ballot, Direction, Tally
from domain.shared.ids import PostId, UserId

_POSTS = table_of(PostRow)
_VOTES = table_of(VoteRow)
_PAST = table_of(PastRankRow)

_OF_A_VOTER: Named = {"fk_votes_user_id_users": AuthorGone}

_COUNTED = (
    _POSTS.c.author_id,
    _POSTS.c.version,
    _POSTS.c.created_at,
    _POSTS.c.upvotes,
    _POSTS.c.downvotes,
    _POSTS.c.hot,
    _POSTS.c.ranked_at,
)
_AT_POST = and_(_POSTS.c.id == bindparam("at_id"), _POSTS.c.author_id.is_not(None))
_OF_VOTER = and_(_VOTES.c.post_id == bindparam("at_id"), _VOTES.c.user_id == bindparam("voter", type_=Id))

# `key_share`: on PostgreSQL, who only refers to the post (an answer, a vote about to be written) need not wait.
_LOCK = select(*_COUNTED).where(_AT_POST).with_for_update(key_share=True)
_SAID = select(_VOTES.c.direction).where(_OF_VOTER)
_LOCK_AND_SAID = (
    select(*_COUNTED, _VOTES.c.direction)
    .select_from(
        _POSTS.outerjoin(
            _VOTES, and_(_VOTES.c.post_id == _POSTS.c.id, _VOTES.c.user_id == bindparam("voter", type_=Id))
        )
    )
    .where(_AT_POST)
    .with_for_update()
    .prefix_with("STRAIGHT_JOIN", dialect="mysql")
)
_INSERT = insert(_VOTES)
_TURN = update(_VOTES).where(
    _VOTES.c.user_id == bindparam("at_user", type_=Id), _VOTES.c.post_id == bindparam("at_post", type_=Id)
)
_RETRACT = delete(_VOTES).where(
    _VOTES.c.user_id == bindparam("at_user", type_=Id), _VOTES.c.post_id == bindparam("at_post", type_=Id)
)
_MOVE = (
    update(_POSTS)
    .where(_POSTS.c.id == bindparam("at_id"))
    .values(
        score=_POSTS.c.score + bindparam("up") - bindparam("down"),
        upvotes=_POSTS.c.upvotes + bindparam("up"),
        downvotes=_POSTS.c.downvotes + bindparam("down"),
    )
)
_KEEP_RANK = insert(_PAST)


class _Loaded:
    """What the post was when its tally was locked."""

    __slots__ = ("direction", "hot", "ranked_at", "tally")

    def __init__(self, direction: Direction, tally: Tally, hot: int, ranked_at: int) -> None:
        self.direction = direction
        self.tally = tally
        self.hot = hot
        self.ranked_at = ranked_at


class SqlBallotRepository(BallotRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._loaded: dict[tuple[PostId, UserId], _Loaded] = {}

    async def get(self, post_id: PostId, voter: UserId) -> Ballot:
        whose = {"at_id": post_id, "voter": voter}
        joined = self._transaction.dialect.locks_joins
        row = (
            await self._transaction.run(_LOCK_AND_SAID if joined else _LOCK, whose if joined else {"at_id": post_id})
        ).one_or_none()
        if row is None:
            raise PostNotFound
        # A statement of its own where one sees only what was committed before it began to wait for the lock.
        said = row.direction if joined else _only((await self._transaction.run(_SAID, whose)).one_or_none())
        direction, tally = Direction(said or 0), Tally(row.upvotes, row.downvotes)
        self._loaded[post_id, voter] = _Loaded(direction, tally, row.hot, row.ranked_at)
        return Ballot(
            post_id=post_id,
            author_id=UserId(row.author_id),
            post_version=row.version,
            published_at=row.created_at,
            voter_id=voter,
            direction=direction,
            tally=tally,
        )

    async def save(self, ballot: Ballot, *, at: datetime) -> None:
        key = (ballot.post_id, ballot.voter_id)
        before = self._loaded[key]
        # First: it is what can fail.
        await self._write(ballot, before.direction, at)
        # Strictly growing for each post, whatever the clock does.
        until = max(microseconds(at), before.ranked_at + 1)
        await self._transaction.run(
            _MOVE,
            {
                "at_id": ballot.post_id,
                "up": ballot.tally.upvotes - before.tally.upvotes,
                "down": ballot.tally.downvotes - before.tally.downvotes,
                "hot": ballot.hot,
                "ranked_at": until,
            },
        )
        await self._transaction.run(_KEEP_RANK, _past(ballot.post_id, before, until))
        self._loaded[key] = _Loaded(ballot.direction, ballot.tally, ballot.hot, until)
        self._transaction.touch(ballot)

    async def _write(self, ballot: Ballot, before: Direction, at: datetime) -> None:
        whose = {"at_user": ballot.voter_id, "at_post": ballot.post_id}
        if ballot.direction is Direction.NONE:
            await self._transaction.run(_RETRACT, whose)
        elif before is Direction.NONE:
            vote = {
                "user_id": ballot.voter_id,
                "post_id": ballot.post_id,
                "direction": ballot.direction.value,
                "created_at": at,
                "updated_at": at,
            }
            await self._transaction.run(_INSERT, vote, _OF_A_VOTER)
        else:
            turned = {**whose, "direction": ballot.direction.value, "updated_at": at}
            await self._transaction.run(_TURN, turned)


def _only(row: AnyRow | None) -> int | None:
    return None if row is None else row[0]


def _past(post_id: UUID, before: _Loaded, until: int) -> Parameters:
    return {
        "valid_until": until,
        "post_id": post_id,
        "valid_from": before.ranked_at,
        "score": before.tally.score,
        "hot": before.hot,
    }


_EXPIRED = (
    select(_PAST.c.valid_until, _PAST.c.post_id)
    .where(_PAST.c.valid_until < bindparam("before"))
    .limit(bindparam("rows"))
)
_PURGE = delete(_PAST).where(_PAST.c.valid_until == bindparam("at"), _PAST.c.post_id == bindparam("of", type_=Id))


async def purge_past_ranks(database: Database, *, now: datetime, limit: int = 1_000) -> int:
    """Delete ranks that nobody may ask for any more, `limit` at the most; return how many there were."""
    horizon = microseconds(now - 2 * RANKS_KEPT)
    rows = await database.fetch_all(_EXPIRED, {"before": horizon, "rows": limit})
    if rows:
        transaction = Transaction(database)
        try:
            # By key, so that two who do this at once do not wait for each other's ranges.
            await transaction.execute_many(_PURGE, [{"at": row.valid_until, "of": row.post_id} for row in rows])
            await transaction.commit()
        finally:
            await transaction.end()
    return len(rows)


# Taking back all votes of somebody whose account goes.
_VOTES_OF = (
    select(_POSTS.c.id, _POSTS.c.created_at, _POSTS.c.upvotes, _POSTS.c.downvotes, _POSTS.c.hot, _POSTS.c.ranked_at)
    .add_columns(_VOTES.c.direction)
    .join_from(_POSTS, _VOTES, _VOTES.c.post_id == _POSTS.c.id)
    .where(_VOTES.c.user_id == bindparam("voter", type_=Id))
    .order_by(_POSTS.c.id.desc())
    .with_for_update()
)


async def take_votes_back(transaction: Transaction, voter: UserId, *, at: datetime) -> None:
    """Move counters and ranks as if the voter had taken back every vote; the votes themselves are left to go."""
    moves: list[dict[str, Any]] = []
    kept: list[Parameters] = []
    for row in await transaction.execute(_VOTES_OF, {"voter": voter}):
        direction, tally = Direction(row.direction), Tally(row.upvotes, row.downvotes)
        after = tally.moved(direction, Direction.NONE)
        until = max(microseconds(at), row.ranked_at + 1)
        moves.append(
            {
                "at_id": row.id,
                "up": after.upvotes - tally.upvotes,
                "down": after.downvotes - tally.downvotes,
                "hot": hot_rank(after.score, row.created_at),
                "ranked_at": until,
            }
        )
        kept.append(_past(row.id, _Loaded(direction, tally, row.hot, row.ranked_at), until))
    await transaction.execute_many(_MOVE, moves)
    await transaction.execute_many(_KEEP_RANK, kept)


# The audit.
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
_BEFORE_ALL = UUID(int=0)


class SqlCounterAudit(CounterAudit):
    """A batch is one statement, which sees votes and counters as of one moment, so that a vote cannot look wrong."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, *, after: PostId | None, limit: int) -> CheckedPosts:
        rows = await self._database.fetch_all(_CHECK, {"after": after or _BEFORE_ALL, "rows": limit})
        wrong = [PostId(row.id) for row in rows if _wrong(row, row)]
        return CheckedPosts(len(rows), wrong, PostId(rows[-1].id) if len(rows) == limit else None)

    async def repair(self, post_id: PostId) -> bool:
        transaction = Transaction(self._database)
        try:
            # Locked, so that no vote and no answer comes or goes; counted by a statement that begins after that.
            stored = (await transaction.execute(_LOCK_ONE, {"at_id": post_id})).one_or_none()
            if stored is None:
                return False
            counted = (await transaction.execute(_COUNT_ONE, {"at_id": post_id})).one()
            if not (right := _wrong(stored, counted)):
                return False
            await transaction.execute(_REPAIR, {"at_id": post_id, **right})
            await transaction.commit()
        finally:
            await transaction.end()
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
