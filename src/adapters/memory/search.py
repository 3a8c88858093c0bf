"""Full-text search in memory: every post is looked at, by the very rules that databases are held to."""

from collections.abc import Sequence

from adapters.memory.posts import MemoryPostReader
from adapters.memory.store import MemoryStore, PostRecord
from application.posts.search import PostSearch, SearchCriteria, SearchHit, SearchPosition
from application.posts.views import PostView
from domain.posts.search import SearchableText
from domain.shared.ids import PostId, UserId


class MemoryPostSearch(PostSearch):
    def __init__(self, store: MemoryStore, reader: MemoryPostReader) -> None:
        self._store = store
        self._reader = reader

    async def find(self, criteria: SearchCriteria, *, limit: int, after: SearchPosition | None) -> list[SearchHit]:
        found = [
            SearchHit(SearchPosition(score, record.post.id), record.text_bytes)
            for record in self._store.posts.values()
            if _is_asked_for(record, criteria)
            and (score := SearchableText.of(record.post.text.value).score(criteria.query)) > 0
            and (after is None or (score, record.post.id) < (after.score, after.post_id))
        ]
        found.sort(key=lambda hit: (hit.position.score, hit.position.post_id), reverse=True)
        return found[:limit]

    async def show(self, ids: Sequence[PostId], *, viewer: UserId | None) -> list[PostView]:
        return self._reader.by_ids(ids, viewer=viewer)


def _is_asked_for(record: PostRecord, criteria: SearchCriteria) -> bool:
    post = record.post
    since, until = criteria.period.since, criteria.period.until
    return (
        not record.deleted
        and criteria.author in (None, post.author_id)
        and (since is None or since <= post.created_at)
        and (until is None or post.created_at < until)
    )
