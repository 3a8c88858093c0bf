"""The cache of the public feed: encoded pages in this process's memory, for a few seconds."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from cachetools import TLRUCache

from adapters.cache.my_posts import ENTRY_OVERHEAD_BYTES, CacheStatistics, boot_time
from application.posts.read_feed import PublicFeed, PublicFeedQuery
from application.shared.views import EncodedPage

FEED_CACHE_BYTES: Final = 16 * 1_048_576
"""What the feed's pages take of a worker's memory at the most: some thousand of them, or four of the largest."""


class _Entry(NamedTuple):
    page: EncodedPage
    expires_at: float


class CachedPublicFeed(PublicFeed):
    """Serves a page again for `ttl_seconds` from the moment its load began, and loads each one at a time.

    So what is served is as old as that at the most, or as its load took, if that was longer. There is no revision to
    ask for, as there is for own posts: the feed changes with every vote, and nobody is promised their writes here.

    A load runs as a task of its own, which readers that give up take nothing from. When it fails, it fails for those
    who wait, and the next reader tries anew. Entries are bounded in bytes, the least recently used going first; a page
    too large for that is served and not kept. With `ttl_seconds=0` every read goes to storage.
    """

    def __init__(
        self,
        inner: PublicFeed,
        *,
        ttl_seconds: float,
        max_bytes: int = FEED_CACHE_BYTES,
        timer: Callable[[], float] = boot_time,
    ) -> None:
        self._inner = inner
        self._ttl = ttl_seconds
        self._max_bytes = max_bytes
        self._timer = timer
        self._entries: TLRUCache[PublicFeedQuery, _Entry] = TLRUCache(max_bytes, _expiry, timer, _size)
        self._flights: dict[PublicFeedQuery, asyncio.Task[EncodedPage]] = {}
        self._hits = self._misses = 0

    @property
    def bytes(self) -> int:
        """What the entries take."""
        return int(self._entries.currsize)

    @property
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(
            hits=self._hits,
            misses=self._misses,
            shared_hits=0,
            bypasses=0,
            entries=len(self._entries),
            bytes=int(self._entries.currsize),
        )

    async def page(self, query: PublicFeedQuery) -> EncodedPage:
        if self._ttl <= 0:
            return await self._inner.page(query)
        try:
            entry = self._entries[query]
        except KeyError:
            self._misses += 1
        else:
            self._hits += 1
            return entry.page
        # Shielded: a reader that is cancelled would cancel the load that the others wait for.
        return await asyncio.shield(self._flights.get(query) or self._begin(query))

    def _begin(self, query: PublicFeedQuery) -> asyncio.Task[EncodedPage]:
        load = asyncio.create_task(self._load(query, self._timer() + self._ttl))
        self._flights[query] = load  # The loop itself holds tasks weakly.
        load.add_done_callback(_look_at_failure)
        return load

    async def _load(self, query: PublicFeedQuery, expires_at: float) -> EncodedPage:
        try:
            entry = _Entry(await self._inner.page(query), expires_at)
            if _size(entry) <= self._max_bytes:
                self._entries[query] = entry
        finally:
            del self._flights[query]
        return entry.page


def _look_at_failure(load: asyncio.Task[EncodedPage]) -> None:
    # Everybody who waited may have gone, and then nobody else looks at it; asyncio would call that an error.
    if not load.cancelled():
        load.exception()


def _expiry(_query: PublicFeedQuery, entry: _Entry, _now: float) -> float:
    return entry.expires_at


def _size(entry: _Entry) -> int:
    page = entry.page
    return ENTRY_OVERHEAD_BYTES + len(page.body) + len(page.etag) + len(page.next_cursor or "")
