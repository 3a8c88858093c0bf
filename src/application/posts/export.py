"""What this context contributes when somebody takes their data along."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from application.posts.ports import PostReader, VoteReader
from application.shared.export import ExportSource
from application.shared.paging import MAX_LIMIT
from domain.shared.ids import PostId, UserId


class PostsExport(ExportSource):
    """All posts of the person, newest first; a batch holds 4 MiB of text at the most, or one post."""

    name = "posts"
    is_list = True

    def __init__(self, reader: PostReader) -> None:
        self._reader = reader

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        before: PostId | None = None
        more = True
        while more:
            found = await self._reader.by_author(user_id, limit=MAX_LIMIT, before=before, viewer=user_id)
            yield found.items
            more = found.more
            before = PostId(UUID(found.items[-1].id)) if more else None


class VotesExport(ExportSource):
    """All votes of the person."""

    name = "votes"
    is_list = True

    def __init__(self, reader: VoteReader) -> None:
        self._reader = reader

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        after: PostId | None = None
        while found := await self._reader.of_voter(user_id, limit=MAX_LIMIT, after=after):
            yield found
            after = PostId(UUID(found[-1].post_id))
