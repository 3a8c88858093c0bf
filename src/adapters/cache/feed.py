"""Caches of the feed in this process's memory: for strangers for some seconds, for others as long as it is true."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from cachetools import TLRUCache

from adapters.cache.my_posts import CacheStatistics
from adapters.cache.pages import Loaded, RevisedPages, boot_time, size_of
from application.posts.list_feed import ListFeedQuery
from application.posts.ports import Period
from application.posts.read_feed import ExactFeed, PublicFeed, PublicFeedQuery
from application.shared.commit_counter import CommitCounter
from application.shared.pending import Pending, settled
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort

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

    def page(self, query: PublicFeedQuery) -> Pending[EncodedPage]:
        if self._ttl <= 0:
            return self._inner.page(query)
        try:
            entry = self._entries[query]
        except KeyError:
            self._misses += 1
            # Shielded: a reader that is cancelled would cancel the load that the others wait for.
            return asyncio.shield(self._flights.get(query) or self._begin(query))
        self._hits += 1
        return entry.page

    def _begin(self, query: PublicFeedQuery) -> asyncio.Task[EncodedPage]:
        load = asyncio.create_task(self._load(query, self._timer() + self._ttl))
        self._flights[query] = load  # The loop itself holds tasks weakly.
        load.add_done_callback(_retrieve_exception)
        return load

    async def _load(self, query: PublicFeedQuery, expires_at: float) -> EncodedPage:
        try:
            entry = _Entry(await settled(self._inner.page(query)), expires_at)
            if _size(entry) <= self._max_bytes:
                self._entries[query] = entry
        finally:
            del self._flights[query]
        return entry.page


def _retrieve_exception(load: asyncio.Task[EncodedPage]) -> None:
    # Everybody who waited may have gone, and then nobody else looks at it; asyncio would call that an error.
    if not load.cancelled():
        load.exception()


def _expiry(_query: PublicFeedQuery, entry: _Entry, _now: float) -> float:
    return entry.expires_at


def _size(entry: _Entry) -> int:
    return size_of(entry.page)


CHECKED_FEED_SECONDS: Final = 60.0
"""How long a page is kept at the most. Nothing in it ages before something is committed, but for the moment that the
cursor of a ranked page is as of, and ranks are known for an hour."""


class CheckedFeed(ExactFeed):
    """Serves a page again to the same viewer as long as nothing at all was committed since before its load began.

    `RevisedPages` says why that is exact: the mark of the commits stands in for a revision. It promises more than what
    one has written oneself, and is lost with every write of anybody; that pays where a look at the mark costs a
    hundredth of a page. A page holds its viewer's own votes, so viewers share none.
    """

    def __init__(
        self,
        inner: ExactFeed,
        *,
        commits: CommitCounter,
        ttl_seconds: float,
        max_bytes: int = FEED_CACHE_BYTES,
        timer: Callable[[], float] = boot_time,
    ) -> None:
        self._inner = inner
        self._commits = commits
        self._ttl = ttl_seconds
        self._pages: RevisedPages[_Name] = RevisedPages(max_bytes=max_bytes, timer=timer)
        self._hits = self._misses = self._bypasses = 0

    @property
    def bytes(self) -> int:
        """What the pages take."""
        return self._pages.bytes

    @property
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(
            hits=self._hits,
            misses=self._misses,
            shared_hits=0,
            bypasses=self._bypasses,
            entries=len(self._pages),
            bytes=self._pages.bytes,
        )

    def page(self, query: ListFeedQuery) -> Pending[EncodedPage]:
        if self._ttl <= 0:
            return self._inner.page(query)
        version = self._commits.current()
        if version is None:
            self._bypasses += 1
            return self._inner.page(query)
        name = _name(query)
        page = self._pages.kept(name, version)
        if page is not None:
            self._hits += 1
            return page
        self._misses += 1

        async def load(expires_at: float) -> Loaded:
            return Loaded(await settled(self._inner.page(query)), expires_at)

        return self._pages.loaded(name, version, self._ttl, load)


_Name = tuple[int | None, int | None, Sort, int, str | None, Period]
"""A query whose hash costs little: those of UUIDs and data classes are computed in Python, each time."""


def _name(query: ListFeedQuery) -> _Name:
    viewer, author, page = query.viewer, query.author, query.page
    return (
        None if viewer is None else viewer.int,
        None if author is None else author.int,
        query.sort,
        page.limit,
        page.cursor,
        query.period,
    )
