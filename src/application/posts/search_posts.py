"""Searching posts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from application.posts.search import PostSearch, SearchCriteria, SearchHit, SearchPosition
from application.posts.views import PostPageView, PostView, with_excerpt
from application.shared.paging import PAGE_TEXT_BUDGET, CursorCodec, InvalidCursor, PageRequest, scope_of
from application.shared.threads import INLINE_THREADS, Threads
from application.shared.views import timestamp
from domain.posts.search import INDEXED_WORDS, SearchQuery, excerpt
from domain.shared.ids import PostId, UserId

_EXCERPTS_AT_ONCE = 8_192
"""Characters of posts whose excerpts are made on the event loop."""
_WORDS_A_PAGE = 50_000
"""That are looked at for the excerpts of a page: some 7 µs each at the worst."""
_SCORE_BYTES = 4
_PLACE_BYTES = _SCORE_BYTES + 16


@dataclass(frozen=True, slots=True)
class SearchPostsQuery:
    page: PageRequest
    viewer: UserId | None
    criteria: SearchCriteria


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPosts:
    """Find the posts that hold every word of a query, best first, each with an excerpt that shows why.

    Case, and ways to write the same letter, make no difference (`STRASSE` finds `Straße`); accents do. Words in double
    quotes must stand in that order. Of posts that answer equally well, the newer one comes first.
    """

    search: PostSearch
    cursors: CursorCodec
    threads: Threads = INLINE_THREADS

    async def execute(self, query: SearchPostsQuery) -> PostPageView:
        criteria = query.criteria
        scope = _scope(criteria)
        after = self._place(scope, query.page)
        while True:
            hits = await self.search.find(criteria, limit=query.page.limit + 1, after=after)
            shown = _within_budget(hits[: query.page.limit])
            more = len(shown) < len(hits)
            posts = await self.search.show([hit.position.post_id for hit in shown], viewer=query.viewer)
            # All of them may have been deleted since: then the page after them is this one.
            if posts or not more:
                items = await self._with_excerpts(posts, criteria.query)
                return PostPageView(items, self._cursor(scope, shown[-1].position) if more else None)
            after = shown[-1].position

    async def _with_excerpts(self, posts: Sequence[PostView], query: SearchQuery) -> list[PostView]:
        def shown() -> list[PostView]:
            words = min(INDEXED_WORDS, _WORDS_A_PAGE // max(len(posts), 1))
            return [_shown(post, query, words) for post in posts]

        # A word takes a microsecond or two.
        if sum(len(post.text or "") for post in posts) <= _EXCERPTS_AT_ONCE:
            return shown()
        return await self.threads.run(shown)

    def _place(self, scope: str, page: PageRequest) -> SearchPosition | None:
        if page.cursor is None:
            return None
        octets = self.cursors.unseal(scope, page.cursor)
        if len(octets) != _PLACE_BYTES:
            raise InvalidCursor
        post_id = PostId(UUID(bytes=octets[_SCORE_BYTES:]))
        return SearchPosition(int.from_bytes(octets[:_SCORE_BYTES], "big"), post_id)

    def _cursor(self, scope: str, position: SearchPosition) -> str:
        return self.cursors.seal(scope, position.score.to_bytes(_SCORE_BYTES, "big") + position.post_id.bytes)


def _scope(criteria: SearchCriteria) -> str:
    since, until = criteria.period.since, criteria.period.until
    return scope_of(
        "search",
        {
            "q": criteria.query.key,
            "author": None if criteria.author is None else str(criteria.author),
            "since": None if since is None else timestamp(since),
            "until": None if until is None else timestamp(until),
        },
    )


def _shown(post: PostView, query: SearchQuery, words: int) -> PostView:
    return post if post.text is None else with_excerpt(post, excerpt(post.text, query, words=words))


def _within_budget(hits: Sequence[SearchHit]) -> list[SearchHit]:
    """Return the first hits whose texts fit a page together; the first one always does."""
    fitting: list[SearchHit] = []
    budget = PAGE_TEXT_BUDGET
    for hit in hits:
        budget -= hit.text_bytes
        if fitting and budget < 0:
            break
        fitting.append(hit)
    return fitting
