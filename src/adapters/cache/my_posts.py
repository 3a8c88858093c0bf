"""The cache of own posts: encoded pages in this process's memory, each checked against its author's revision."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from adapters.cache.pages import Loaded, RevisedPages, boot_time
from application.posts.ports import AuthorRevisions, MyPostsReader
from application.shared.paging import PageRequest
from application.shared.pending import Pending, settled
from application.shared.views import EncodedPage
from domain.shared.ids import UserId


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


class CachedMyPosts(MyPostsReader):
    """Serves a page from memory as long as its author's revision is the one it was loaded under.

    `RevisedPages` says why that is exact. Without a revision (`None`) the page comes from storage and nothing is kept.
    Entries live for `ttl_seconds` from the moment their revision was read. With `ttl_seconds=0` or `max_bytes=0` every
    read goes to storage.
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
        self._timer = timer
        self._enabled = ttl_seconds > 0 and max_bytes > 0
        self._pages: RevisedPages[_Name] = RevisedPages(max_bytes=max_bytes, timer=timer)
        self._hits = self._misses = self._shared_hits = self._bypasses = 0

    @property
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(
            hits=self._hits,
            misses=self._misses,
            shared_hits=self._shared_hits,
            bypasses=self._bypasses,
            entries=len(self._pages),
            bytes=self._pages.bytes,
        )

    def page(self, owner: UserId, request: PageRequest) -> Pending[EncodedPage]:
        if not self._enabled:
            return self._inner.page(owner, request)
        revision = self._revisions.current(owner)
        if not isinstance(revision, int):
            return self._page_later(owner, request, revision)
        page = self._pages.kept((owner.int, request.limit, request.cursor), revision)
        if page is None:
            return self._begin(owner, request, revision)
        self._hits += 1
        return page

    async def _page_later(self, owner: UserId, request: PageRequest, pending: Pending[int | None]) -> EncodedPage:
        revision = await settled(pending)
        # From here to the end of the look-up nothing awaits: what was read above still holds.
        if revision is None:
            self._bypasses += 1
            return await settled(self._inner.page(owner, request))
        page = self._pages.kept((owner.int, request.limit, request.cursor), revision)
        if page is None:
            return await self._begin(owner, request, revision)
        self._hits += 1
        return page

    def _begin(self, owner: UserId, request: PageRequest, revision: int) -> Awaitable[EncodedPage]:
        self._misses += 1
        name = owner.int, request.limit, request.cursor
        return self._pages.loaded(
            name, revision, self._ttl, lambda expires_at: self._load(owner, request, revision, expires_at)
        )

    async def _load(self, owner: UserId, request: PageRequest, revision: int, expires_at: float) -> Loaded:
        shared = self._shared
        if shared is None:
            return Loaded(await settled(self._inner.page(owner, request)), expires_at)
        key = PageKey(owner, request.limit, request.cursor)
        found = await shared.get(key, revision)
        if found is not None:
            self._shared_hits += 1
            return Loaded(found.page, min(expires_at, self._timer() + found.seconds_left))
        page = await settled(self._inner.page(owner, request))
        seconds_left = expires_at - self._timer()
        if seconds_left > 0:
            # Nobody waits for it.
            self._pages.spawn(shared.put(key, revision, page, ttl_seconds=seconds_left))
        return Loaded(page, expires_at)


_Name = tuple[int, int, str | None]
"""A `PageKey` whose hash costs nothing: that of a UUID is computed in Python, each time."""
