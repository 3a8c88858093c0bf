"""Votes that lock nothing before they are written, for servers.

Posts are read without a lock, those of all concurrent votes in one statement, and the write demands what was read: two
round trips, a lock for as long as the statements of one batch take, and commits that votes share. A vote that comes too
late is run again and locks its post first, and so do all votes on that post in this process for the next second.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import CompoundSelect, Integer, Select, and_, bindparam, literal_column, select, union_all

from adapters.sql.batched_lookups import BatchedLookups
from adapters.sql.database import Database
from adapters.sql.posts.ballots.changes import ADD_TO_COUNTERS, READ, BallotState, counter_values
from adapters.sql.posts.ballots.contention import ContentionTracker
from adapters.sql.posts.ballots.locking import LockingBallots
from adapters.sql.rows import AnyRow
from adapters.sql.tables import PostRow, VoteRow, table_of
from adapters.sql.transaction import Track, Transaction
from adapters.sql.types import Id
from application.shared.errors import TransientFailure
from domain.posts.vote import Ballot
from domain.shared.ids import PostId, UserId

_POSTS = table_of(PostRow)
_VOTES = table_of(VoteRow)

# As `BallotLookups` read it. `ranked_at` grows with each vote on the post, so that the voter's own is as read too; an
# edit moves the version, and a repair moves counters, on which `hot` depends.
_ADD_TO_COUNTERS_IF_UNCHANGED = ADD_TO_COUNTERS.where(
    _POSTS.c.author_id.is_not(None),
    _POSTS.c.ranked_at == bindparam("seen_ranked_at"),
    _POSTS.c.version == bindparam("seen_version"),
    _POSTS.c.upvotes == bindparam("seen_upvotes"),
    _POSTS.c.downvotes == bindparam("seen_downvotes"),
)

_BALLOTS_A_LOOK_UP: Final = 16


class _VoterAndPost:
    __slots__ = ("int", "post_id", "voter")

    def __init__(self, post_id: PostId, voter: UserId) -> None:
        self.post_id = post_id
        self.voter = voter
        self.int = post_id.int << 128 | voter.int


@lru_cache(maxsize=_BALLOTS_A_LOOK_UP.bit_length())
def _look_up(number: int) -> CompoundSelect[*tuple[Any, ...]]:
    """Build the statement that reads so many posts, each with a voter's vote on it: for each power of two once."""
    selects: list[Select[*tuple[Any, ...]]] = []
    for position in range(number):
        of_voter = _VOTES.c.user_id == bindparam(f"voter_{position}", type_=Id)
        selects.append(
            select(literal_column(str(position), Integer).label("position"), *READ, _VOTES.c.direction)
            .select_from(_POSTS.outerjoin(_VOTES, and_(_VOTES.c.post_id == _POSTS.c.id, of_voter)))
            .where(_POSTS.c.id == bindparam(f"at_id_{position}", type_=Id), _POSTS.c.author_id.is_not(None))
        )
    return union_all(*selects)


class BallotLookups(BatchedLookups[_VoterAndPost, AnyRow]):
    """Reads posts and votes, those that are asked for at the same time in one statement. It locks nothing, and sees a
    post and the vote on it as of one time.
    """

    keys_a_look_up = _BALLOTS_A_LOOK_UP

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def of(self, post_id: PostId, voter: UserId) -> AnyRow | None:
        return await self.look_up(_VoterAndPost(post_id, voter))

    async def read(self, keys: Sequence[_VoterAndPost]) -> dict[int, AnyRow]:
        positions = 1 << (len(keys) - 1).bit_length()
        parameters: dict[str, Any] = {}
        for position in range(positions):
            key = keys[position] if position < len(keys) else keys[0]
            parameters[f"voter_{position}"] = key.voter
            parameters[f"at_id_{position}"] = key.post_id
        rows = await self._database.fetch_all(_look_up(positions), parameters)
        return {keys[row.position].int: row for row in rows if row.position < len(keys)}


class OptimisticBallots(LockingBallots):
    """Locks posts under contention, and no others."""

    def __init__(
        self, transaction: Transaction, track: Track, *, lookups: BallotLookups, contention: ContentionTracker
    ) -> None:
        super().__init__(transaction, track)
        self._lookups = lookups
        self._contention = contention
        self._unlocked: set[tuple[int, int]] = set()

    async def get(self, post_id: PostId, voter: UserId) -> Ballot:
        if post_id in self._contention:
            return await super().get(post_id, voter)
        row = await self._lookups.of(post_id, voter)
        ballot = self._ballot(post_id, voter, row, None if row is None else row.direction)
        self._unlocked.add((post_id.int, voter.int))
        return ballot

    async def _add_to_counters(self, ballot: Ballot, before: BallotState, after: BallotState) -> None:
        key = (ballot.post_id.int, ballot.voter_id.int)
        if key not in self._unlocked:
            await super()._add_to_counters(ballot, before, after)
            return
        self._unlocked.remove(key)  # Whatever comes next in this transaction comes after the change.
        values = {
            **counter_values(ballot.post_id, before, after),
            "hot": after.hot,  # Also where it stays, so that all votes have one form, and share a statement.
            "seen_ranked_at": before.ranked_at,
            "seen_version": ballot.post_version,
            "seen_upvotes": before.tally.upvotes,
            "seen_downvotes": before.tally.downvotes,
        }
        missed = partial(self._too_late, ballot.post_id)
        await self._transaction.enqueue(_ADD_TO_COUNTERS_IF_UNCHANGED, values, on_no_match=missed, row=ballot.post_id)

    def _too_late(self, post_id: PostId) -> Exception:
        self._contention.note(post_id)
        return TransientFailure()
