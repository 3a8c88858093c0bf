"""Votes in a database.

Every vote locks its post first, then reads what the voter said before, then writes: the vote by its primary key, the
counters by what changed, the ranks as computed from the counters under the lock, and the ranks that were until now.

Why the post first: writing the vote first would share-lock the post for the foreign key on InnoDB, and two voters who
both hold that and both want to change the counters wait for each other for ever. This way all votes on a post stand in
one line, and no two of them ever hold what the other wants.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    CompoundSelect,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    delete,
    insert,
    literal_column,
    select,
    union_all,
    update,
)

from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.errors import Named
from adapters.sql.look_ups import SharedLookUps
from adapters.sql.tables import PastRankRow, PostRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id
from application.posts.ports import RANKS_KEPT, BallotRepository
from application.shared.errors import TransientFailure
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
_TURNED_AT = bindparam("turned_at", type_=_VOTES.c.updated_at.type)
_TURN = (
    update(_VOTES)
    .where(_VOTES.c.user_id == bindparam("at_user", type_=Id), _VOTES.c.post_id == bindparam("at_post", type_=Id))
    # The clock that it was cast by may have been ahead.
    .values(updated_at=case((_VOTES.c.updated_at > _TURNED_AT, _VOTES.c.updated_at), else_=_TURNED_AT))
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
# As `_Looks` saw it. `ranked_at` grows with each vote on the post, so that the voter's own is as seen too; an edit
# moves the version, and a repair moves counters, on which `hot` depends.
_MOVE_AS_SEEN = _MOVE.where(
    _POSTS.c.author_id.is_not(None),
    _POSTS.c.ranked_at == bindparam("seen_ranked_at"),
    _POSTS.c.version == bindparam("seen_version"),
    _POSTS.c.upvotes == bindparam("seen_upvotes"),
    _POSTS.c.downvotes == bindparam("seen_downvotes"),
)
_KEEP_RANK = insert(_PAST)


class _Loaded:
    """What the post was when its tally was read."""

    __slots__ = ("direction", "hot", "ranked_at", "tally")

    def __init__(self, direction: Direction, tally: Tally, hot: int, ranked_at: int) -> None:
        self.direction = direction
        self.tally = tally
        self.hot = hot
        self.ranked_at = ranked_at


class _Whose:
    """A voter and a post."""

    __slots__ = ("int", "post_id", "voter")

    def __init__(self, post_id: PostId, voter: UserId) -> None:
        self.post_id = post_id
        self.voter = voter
        self.int = post_id.int << 128 | voter.int


_LOOKED_AT_ONCE: Final = 16


@lru_cache(maxsize=_LOOKED_AT_ONCE.bit_length())
def _look(number: int) -> CompoundSelect[*tuple[Any, ...]]:
    """Build the look at so many posts, and at what a voter said of each: for each power of two once."""
    looks: list[Select[*tuple[Any, ...]]] = []
    for place in range(number):
        of_voter = _VOTES.c.user_id == bindparam(f"voter_{place}", type_=Id)
        looks.append(
            select(literal_column(str(place), Integer).label("place"), *_COUNTED, _VOTES.c.direction)
            .select_from(_POSTS.outerjoin(_VOTES, and_(_VOTES.c.post_id == _POSTS.c.id, of_voter)))
            .where(_POSTS.c.id == bindparam(f"at_id_{place}", type_=Id), _POSTS.c.author_id.is_not(None))
        )
    return union_all(*looks)


class _Looks(SharedLookUps[_Whose, AnyRow]):
    """Looks at posts and votes, together at those that are asked for at the same time. It locks nothing, and sees a
    post and the vote on it as of one moment.
    """

    keys_a_look_up = _LOOKED_AT_ONCE

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def read(self, keys: Sequence[_Whose]) -> dict[int, AnyRow]:
        places = 1 << (len(keys) - 1).bit_length()
        parameters: dict[str, Any] = {}
        for place in range(places):
            key = keys[place] if place < len(keys) else keys[0]
            parameters[f"voter_{place}"] = key.voter
            parameters[f"at_id_{place}"] = key.post_id
        rows = await self._database.fetch_all(_look(places), parameters)
        return {keys[row.place].int: row for row in rows if row.place < len(keys)}


class SqlBallotRepository(BallotRepository):
    """On SQLite it locks the post first, and votes stand in line.

    On servers it looks without a lock, at once for all who vote, and what is written demands what was seen: two round
    trips, a lock for as long as what is written together takes, and commits that votes share. Who comes too late is
    run again, and locks; and so do all who vote on that post in this process within the next moment.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        # By the numbers of the ids, whose hashes cost nothing: that of a UUID is computed in Python.
        self._loaded: dict[tuple[int, int], _Loaded] = {}
        self._unlocked: set[tuple[int, int]] = set()

    async def get(self, post_id: PostId, voter: UserId) -> Ballot:
        whose = {"at_id": post_id, "voter": voter}
        if self._transaction.looks_first and post_id not in self._transaction.crowds:
            row = await self._transaction.shared(_Looks).look_up(_Whose(post_id, voter))
            said = None if row is None else row.direction
            self._unlocked.add((post_id.int, voter.int))
        elif self._transaction.dialect.locks_joins:
            row = (await self._transaction.run(_LOCK_AND_SAID, whose)).one_or_none()
            said = None if row is None else row.direction
        else:
            row = (await self._transaction.run(_LOCK, {"at_id": post_id})).one_or_none()
            # A statement of its own: one sees only what was committed before it began to wait for the lock.
            said = None if row is None else _only((await self._transaction.run(_SAID, whose)).one_or_none())
        if row is None:
            raise PostNotFound
        direction, tally = Direction(said or 0), Tally(row.upvotes, row.downvotes)
        self._loaded[post_id.int, voter.int] = _Loaded(direction, tally, row.hot, row.ranked_at)
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
        key = (ballot.post_id.int, ballot.voter_id.int)
        before = self._loaded[key]
        # Strictly growing for each post, whatever the clock does.
        until = max(microseconds(at), before.ranked_at + 1)
        move = {
            "at_id": ballot.post_id,
            "up": ballot.tally.upvotes - before.tally.upvotes,
            "down": ballot.tally.downvotes - before.tally.downvotes,
            "ranked_at": until,
        }
        is_unlocked = key in self._unlocked
        if (hot := ballot.hot) != before.hot or is_unlocked:
            # Setting what is there already writes both indexes by it on SQLite. One vote alone moves no `hot`. Servers
            # do not mind, and votes of one form can share a statement.
            move["hot"] = hot
        if is_unlocked:
            self._unlocked.remove(key)  # Whatever comes next in this transaction comes after the change.
            seen = {
                "seen_ranked_at": before.ranked_at,
                "seen_version": ballot.post_version,
                "seen_upvotes": before.tally.upvotes,
                "seen_downvotes": before.tally.downvotes,
            }
            missed = partial(self._too_late, ballot.post_id)
            await self._transaction.put(_MOVE_AS_SEEN, {**move, **seen}, missed=missed, row=ballot.post_id)
        else:
            await self._transaction.put(_MOVE, move)
        await self._write(ballot, before.direction, at)
        await self._transaction.put(_KEEP_RANK, _past(ballot.post_id, before, until))
        self._loaded[key] = _Loaded(ballot.direction, ballot.tally, hot, until)
        self._transaction.touch(ballot)

    def _too_late(self, post_id: PostId) -> Exception:
        self._transaction.crowds.note(post_id)
        return TransientFailure()

    async def _write(self, ballot: Ballot, before: Direction, at: datetime) -> None:
        whose = {"at_user": ballot.voter_id, "at_post": ballot.post_id}
        if ballot.direction is Direction.NONE:
            await self._transaction.put(_RETRACT, whose)
        elif before is Direction.NONE:
            vote = {
                "user_id": ballot.voter_id,
                "post_id": ballot.post_id,
                "direction": ballot.direction.value,
                "created_at": at,
                "updated_at": at,
            }
            await self._transaction.put(_INSERT, vote, _OF_A_VOTER)
        else:
            turned = {**whose, "direction": ballot.direction.value, "turned_at": at}
            await self._transaction.put(_TURN, turned)


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
            await transaction.run_many(_PURGE, [{"at": row.valid_until, "of": row.post_id} for row in rows])
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
    for row in (await transaction.run(_VOTES_OF, {"voter": voter})).rows:
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
    await transaction.run_many(_MOVE, moves)
    await transaction.run_many(_KEEP_RANK, kept)
