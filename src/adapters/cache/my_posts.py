"""The cache of own posts: encoded pages in this process's memory, each checked against its author's revision."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from cachetools import TLRUCache

from application.posts.ports import AuthorRevisions, MyPostsReader
from application.shared.paging import PageRequest
from application.shared.views import EncodedPage
from domain.shared.ids import UserId

T = TypeVar("T")

ENTRY_OVERHEAD_BYTES: Final = 1024
"""What an entry takes besides its bytes: key, page, entry and the cache's own links, rounded up."""


_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Return seconds that never run backwards and, on Linux, count the time that the machine was suspended."""
    return time.clock_gettime(_BOOT_CLOCK)


class PageKey(NamedTuple):
    """Which page of whose posts."""

    owner: UserId
    limit: int
    cursor: str | None


class StoredPage(NamedTuple):
    page: EncodedPage
    seconds_left: float


class SharedPages(Protocol):
    """Pages that other processes have loaded. To fail is to miss: neither call raises."""

    async def get(self, key: PageKey, revision: int) -> StoredPage | None: ...

    async def put(self, key: PageKey, revision: int, page: EncodedPage, *, ttl_seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    hits: int
    misses: int
    """Pages that were loaded, from the shared store or from storage, or taken from a load under way."""
    shared_hits: int
    """Loads that the shared store answered."""
    bypasses: int
    """Reads that went to storage because nobody could say what is current."""
    entries: int
    bytes: int


class _Entry:
    __slots__ = ("expires_at", "page", "revision")

    def __init__(self, page: EncodedPage, revision: int, expires_at: float) -> None:
        self.page = page
        self.revision = revision
        self.expires_at = expires_at


class _Flight(NamedTuple):
    """A load under way, and the revision that was current before it began."""

    revision: int
    page: asyncio.Task[EncodedPage]


class CachedMyPosts(MyPostsReader):
    """Serves a page from memory as long as its author's revision is the one it was loaded under.

    Why that is exact: the revision changes after a write is committed and before it is acknowledged. Every read asks
    for the revision first. An entry under revision r was loaded after r was read, so it holds every write that was
    acknowledged up to then; and if r is still current now, no other has been since. For the same reason a reader may
    join a load under way only if that began under the very revision the reader has just read: one begun under an
    older revision may have read the database before the write that the reader must see. So there is one load at a
    time for a key and a revision, and only the latest load for a key is kept.

    Without a revision (`None`) the page comes from storage and nothing is kept.

    A load runs as a task of its own: readers that give up take nothing away from those that wait on. When it fails,
    it fails for those who wait, and the next reader tries anew. Entries live for `ttl_seconds` from the moment their
    revision was read, and are bounded in bytes, the least recently used going first; a page too large for that is
    served and not kept. With `ttl_seconds=0` or `max_bytes=0` every read goes to storage.
    """

    def __init__(
        self,
        inner: MyPostsReader,
        *,
        revisions: AuthorRevisions,
        shared: SharedPages | None = None,
        ttl_seconds: float,
        max_bytes: int,
        timer: Callable[[], float] = boot_time,
    ) -> None:
        self._inner = inner
        self._revisions = revisions
        self._shared = shared
        self._ttl = ttl_seconds
        self._max_bytes = max_bytes
        self._timer = timer
        self._enabled = ttl_seconds > 0 and max_bytes > 0
        self._entries: TLRUCache[PageKey, _Entry] = TLRUCache(max_bytes, _expiry, timer, _size)
        self._flights: dict[PageKey, _Flight] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._hits = self._misses = self._shared_hits = self._bypasses = 0

    @property
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(
            hits=self._hits,
            misses=self._misses,
            shared_hits=self._shared_hits,
            bypasses=self._bypasses,
            entries=len(self._entries),
            bytes=int(self._entries.currsize),
        )

    async def page(self, owner: UserId, request: PageRequest) -> EncodedPage:
        if not self._enabled:
            return await self._inner.page(owner, request)
        revision = await self._revisions.current(owner)
        if revision is None:
            self._bypasses += 1
            return await self._inner.page(owner, request)
        # From here to the end of the look-up nothing awaits: what was read above still holds.
        key = PageKey(owner, request.limit, request.cursor)
        try:
            entry = self._entries[key]
        except KeyError:
            pass
        else:
            if entry.revision == revision:
                self._hits += 1
                return entry.page
        self._misses += 1
        flight = self._flights.get(key)
        under_way = None if flight is None or flight.revision != revision else flight.page
        # Shielded: a reader that is cancelled would cancel the load that the others wait for.
        return await asyncio.shield(under_way or self._begin(key, request, revision))

    def _begin(self, key: PageKey, request: PageRequest, revision: int) -> asyncio.Task[EncodedPage]:
        load = self._spawn(self._load(key, request, revision, self._timer() + self._ttl))
        load.add_done_callback(_look_at_failure)
        # Takes the place of a flight under an older revision, which from then on keeps nothing.
        self._flights[key] = _Flight(revision, load)
        return load

    async def _load(self, key: PageKey, request: PageRequest, revision: int, expires_at: float) -> EncodedPage:
        shared = self._shared
        try:
            found = None if shared is None else await shared.get(key, revision)
            page = await self._inner.page(key.owner, request) if found is None else found.page
            if found is not None:
                self._shared_hits += 1
                expires_at = min(expires_at, self._timer() + found.seconds_left)
            entry = _Entry(page, revision, expires_at)
            if self._is_latest(key) and _size(entry) <= self._max_bytes:
                self._entries[key] = entry
        finally:
            if self._is_latest(key):
                del self._flights[key]
        seconds_left = expires_at - self._timer()
        if shared is not None and found is None and seconds_left > 0:
            # Nobody waits for it.
            self._spawn(shared.put(key, revision, page, ttl_seconds=seconds_left))
        return page

    def _is_latest(self, key: PageKey) -> bool:
        flight = self._flights.get(key)
        return flight is not None and flight.page is asyncio.current_task()

    def _spawn(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # The loop itself holds tasks weakly.
        task.add_done_callback(self._tasks.discard)
        return task


def _look_at_failure(load: asyncio.Task[EncodedPage]) -> None:
    # Everybody who waited may have gone, and then nobody else looks at it; asyncio would call that an error.
    if not load.cancelled():
        load.exception()


def _expiry(_key: PageKey, entry: _Entry, _now: float) -> float:
    return entry.expires_at


def _size(entry: _Entry) -> int:
    page = entry.page
    return ENTRY_OVERHEAD_BYTES + len(page.body) + len(page.etag) + len(page.next_cursor or "")
