"""Voting on a post."""

from dataclasses import dataclass

from application.posts.ports import PostsUnits
from application.posts.views import VoteView
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from domain.posts.errors import PostChanged
from domain.posts.vote import Direction
from domain.shared.actor import Actor
from domain.shared.ids import PostId


@dataclass(frozen=True, slots=True)
class CastVoteCommand:
    actor: Actor
    post_id: PostId
    direction: Direction
    if_version: int | None = None
    """The version of the post that the caller saw; None votes on whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CastVote(SharesCommit):
    """Set the caller's vote on a post: 1 up, -1 down, 0 none. Doing it again changes nothing.

    The counters and the ranks of the post move with the vote, at once and exactly, however many vote. Authors may
    vote on their own posts.
    """

    uow: PostsUnits
    clock: Clock

    async def execute(self, command: CastVoteCommand) -> VoteView:
        async with self.uow() as uow:
            ballot = await uow.ballots.get(command.post_id, command.actor.user_id)
            if command.if_version not in (None, ballot.post_version):
                raise PostChanged
            now = self.clock.now()
            if ballot.cast(command.direction, at=now):
                await uow.ballots.save(ballot, at=now)
                await uow.commit()
        tally = ballot.tally
        return VoteView(str(ballot.post_id), ballot.direction.value, tally.score, tally.upvotes, tally.downvotes)
