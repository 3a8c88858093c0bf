"""Votes: what somebody says of a post, and what all of them come to."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Self

from domain.posts.events import VoteCast
from domain.posts.ranking import hot_rank
from domain.shared.events import Aggregate
from domain.shared.ids import PostId, UserId


class Direction(IntEnum):
    """Which way a vote goes; `NONE` is no vote, or one taken back."""

    DOWN = -1
    NONE = 0
    UP = 1


@dataclass(frozen=True, slots=True)
class Tally:
    """How many votes a post has."""

    upvotes: int = 0
    downvotes: int = 0

    @property
    def score(self) -> int:
        return self.upvotes - self.downvotes

    def moved(self, before: Direction, after: Direction) -> Self:
        """Return the tally after one voter turned from `before` to `after`."""
        return type(self)(
            upvotes=self.upvotes + (after is Direction.UP) - (before is Direction.UP),
            downvotes=self.downvotes + (after is Direction.DOWN) - (before is Direction.DOWN),
        )


NO_VOTES = Tally()


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Ballot(Aggregate):
    """One voter before one post: what they said so far, and the tally that it is part of.

    A post has one vote a voter at the most. Casting sets it, so that casting twice is casting once.
    """

    post_id: PostId
    author_id: UserId
    post_version: int
    """What the voter can have read."""
    published_at: datetime
    voter_id: UserId
    direction: Direction
    tally: Tally

    @property
    def hot(self) -> int:
        return hot_rank(self.tally.score, self.published_at)

    def cast(self, direction: Direction, *, at: datetime) -> bool:
        """Set the vote. Tells whether that changed anything; authors may vote on their own posts."""
        if direction is self.direction:
            return False
        self.tally = self.tally.moved(self.direction, direction)
        self.direction = direction
        self._record(
            VoteCast(
                at=at,
                post_id=self.post_id,
                author_id=self.author_id,
                voter_id=self.voter_id,
                direction=direction.value,
                upvotes=self.tally.upvotes,
                downvotes=self.tally.downvotes,
            )
        )
        return True
