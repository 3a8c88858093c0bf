"""Somebody's votes in memory, as they are listed."""

from adapters.memory.store import MemoryStore, VoteRecord
from application.posts.ports import VoteReader
from application.posts.views import CastVoteView
from application.shared.views import timestamp
from domain.shared.ids import PostId, UserId


class MemoryVoteReader(VoteReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def of_voter(self, voter: UserId, *, limit: int, after: PostId | None) -> list[CastVoteView]:
        theirs = sorted(
            post_id for whose, post_id in self._store.votes if whose == voter and (after is None or post_id > after)
        )
        return [_view(post_id, self._store.votes[voter, post_id]) for post_id in theirs[:limit]]


def _view(post_id: PostId, vote: VoteRecord) -> CastVoteView:
    return CastVoteView(str(post_id), vote.direction.value, timestamp(vote.created_at), timestamp(vote.updated_at))
