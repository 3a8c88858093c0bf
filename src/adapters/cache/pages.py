"""Encoded pages in this process's memory, each good for one revision of what it was made from."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

from application.shared.views import EncodedPage

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

ENTRY_OVERHEAD_BYTES: Final = 2048
"""What an entry takes besides its bytes, rounded up: key, page, what was prepared of it to be sent, entry, and the
cache's own links."""

COMPRESSED_FROM_BYTES: Final = 1024
"""Shorter bodies are never compressed."""

_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


boot_time: Final[Callable[[], float]] = partial(time.clock_gettime, _BOOT_CLOCK)
"""Returns seconds that never run backwards and, on Linux, count the time that the machine was suspended. No function
of ours, since every request asks twice."""


class Loaded(NamedTuple):
    page: EncodedPage
    expires_at: float


class _Entry:
    __slots__ = ("expires_at", "page", "revision", "size")

    def __init__(self, page: EncodedPage, revision: int, expires_at: float) -> None:
        self.page = page
        self.revision = revision
        self.expires_at = expires_at
        self.size = size_of(page)


class _PendingLoad(NamedTuple):
    """A load under way, and the revision that was current before it began."""

    revision: int
    page: asyncio.Task[EncodedPage]


class RevisedPages(Generic[K]):
    """Keeps pages, each under the revision that was current before its load began.

    Why that is exact, where a revision changes after each write is committed and before it is acknowledged: every
    read asks for the revision first. A page under revision r was loaded after r was read, so it holds every write that
    was acknowledged up to then; and if r is still current now, no other has been since. For the same reason a reader
    may join a load under way only if that began under the very revision the reader has just read: one begun under an
    older revision may have read the database before the write that the reader must see. So there is one load at a
    time for a key and a revision, and only the latest load for a key is kept.

    A load runs as a task of its own: readers that give up take nothing away from those that wait on. When it fails,
    it fails for those who wait, and the next reader tries anew. Pages are bounded in bytes, the least recently used
    going first, those that have expired too; a page too large for that is served and not kept.
    """

    def __init__(self, *, max_bytes: int, timer: Callable[[], float] = boot_time) -> None:
        self._max_bytes = max_bytes
        self._timer = timer
        self._entries: OrderedDict[K, _Entry] = OrderedDict()
        """The least recently used first. A cache of cachetools takes two calls in Python for each look."""
        self._bytes = 0
        self._flights: dict[K, _PendingLoad] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """What the entries take."""
        return self._bytes

    def kept(self, key: K, revision: int) -> EncodedPage | None:
        """Return the page, if there is one that is good for `revision`, which was read just now."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        if entry.revision == revision and self._timer() < entry.expires_at:
            return entry.page
        return None

    async def loaded(
        self, key: K, revision: int, ttl_seconds: float, load: Callable[[float], Awaitable[Loaded]]
    ) -> EncodedPage:
        """Return the page from a load, one under way or a new one, and keep it until it expires.

        `load` is told when what it loads now expires, and may say that it does sooner. `revision` was read just now.
        """
        flight = self._flights.get(key)
        under_way = None if flight is None or flight.revision != revision else flight.page
        if under_way is None:
            under_way = self.spawn(self._load(key, revision, load, self._timer() + ttl_seconds))
            under_way.add_done_callback(_retrieve_exception)
            # Takes the place of a flight under an older revision, which from then on keeps nothing.
            self._flights[key] = _PendingLoad(revision, under_way)
        # Shielded: a reader that is cancelled would cancel the load that the others wait for.
        return await asyncio.shield(under_way)

    async def _load(
        self, key: K, revision: int, load: Callable[[float], Awaitable[Loaded]], expires_at: float
    ) -> EncodedPage:
        try:
            page, expires_at = await load(expires_at)
            entry = _Entry(page, revision, expires_at)
            if self._is_latest(key) and self._timer() < expires_at and entry.size <= self._max_bytes:
                self._keep(key, entry)
        finally:
            if self._is_latest(key):
                del self._flights[key]
        return page

    def _keep(self, key: K, entry: _Entry) -> None:
        former = self._entries.pop(key, None)
        if former is not None:
            self._bytes -= former.size
        self._entries[key] = entry
        self._bytes += entry.size
        self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self._max_bytes:
            self._bytes -= self._entries.popitem(last=False)[1].size

    def _is_latest(self, key: K) -> bool:
        flight = self._flights.get(key)
        return flight is not None and flight.page is asyncio.current_task()

    def spawn(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run `work` for which nobody may be waiting."""
        task = asyncio.create_task(work)
        self._tasks.add(task)  # The loop itself holds tasks weakly.
        task.add_done_callback(self._tasks.discard)
        return task


def _retrieve_exception(load: asyncio.Task[EncodedPage]) -> None:
    # Everybody who waited may have gone, and then nobody else looks at it; asyncio would call that an error.
    if not load.cancelled():
        load.exception()


def size_of(page: EncodedPage) -> int:
    """Return what a page takes in a cache at the most.

    The compressed bytes may be kept with it, for as long as it is kept. A short body has none, and those of a long one
    are shorter than it is, or longer by less than the overhead has room for. So a long body counts twice from the
    beginning, and no bound is exceeded when they are made.
    """
    size = len(page.body)
    bodies = size if size < COMPRESSED_FROM_BYTES else 2 * size
    return ENTRY_OVERHEAD_BYTES + bodies + len(page.etag) + len(page.next_cursor or "")
