"""Somebody's votes in memory, as they are listed."""

from adapters.memory.store import MemoryStore
from application.posts.ports import VoteReader
from application.posts.views import CastVoteView
from domain.shared.ids import PostId, UserId


class MemoryVoteReader(VoteReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def of_voter(self, voter: UserId, *, limit: int, after: PostId | None) -> list[CastVoteView]:
        theirs = sorted(
            (post_id, direction)
            for (whose, post_id), direction in self._store.votes.items()
            if whose == voter and (after is None or post_id > after)
        )
        return [CastVoteView(str(post_id), direction.value) for post_id, direction in theirs[:limit]]
