"""The public feed's cache: some seconds, one load at a time, bounded."""

import asyncio

import pytest

from adapters.cache.feed import CachedPublicFeed
from adapters.cache.pages import ENTRY_OVERHEAD_BYTES
from application.posts.read_feed import PublicFeed, PublicFeedQuery
from application.shared.errors import StorageUnavailable
from application.shared.paging import InvalidCursor, PageRequest
from application.shared.pending import settled
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort

NEW = PublicFeedQuery(Sort.NEW, PageRequest())


class Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountedFeed(PublicFeed):
    """Answers with the number of the load, when it is let."""

    def __init__(self, *, size: int = 10) -> None:
        self.loads = 0
        self.size = size
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def page(self, query: PublicFeedQuery) -> EncodedPage:
        self.loads += 1
        number = self.loads
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return EncodedPage(f"{number}".encode().ljust(self.size), f"tag-{number}", None)


async def body(cache: CachedPublicFeed, query: PublicFeedQuery = NEW) -> bytes:
    return (await settled(cache.page(query))).body.strip()


async def test_a_page_is_served_again_until_its_time_is_over() -> None:
    feed, timer = CountedFeed(), Timer()
    cache = CachedPublicFeed(feed, ttl_seconds=2, timer=timer)

    assert [await body(cache), await body(cache)] == [b"1", b"1"]
    timer.now += 1.999
    assert await body(cache) == b"1"
    timer.now += 0.001
    assert await body(cache) == b"2"


async def test_what_is_kept_is_there_at_once_until_its_time_is_over() -> None:
    feed, timer = CountedFeed(), Timer()
    cache = CachedPublicFeed(feed, ttl_seconds=5, timer=timer)
    page = await settled(cache.page(NEW))
    assert cache.page(NEW) is page
    timer.now += 5
    assert await settled(cache.page(NEW)) is not page
    assert (cache.statistics.hits, cache.statistics.misses) == (1, 2)


async def test_its_time_begins_before_the_load() -> None:
    feed, timer = CountedFeed(), Timer()
    feed.open.clear()
    cache = CachedPublicFeed(feed, ttl_seconds=2, timer=timer)
    slow = asyncio.create_task(body(cache))
    await asyncio.sleep(0)
    timer.now += 1.5
    feed.open.set()
    assert await slow == b"1"

    timer.now += 0.5

    assert await body(cache) == b"2"


async def test_a_hundred_readers_make_one_load() -> None:
    feed = CountedFeed()
    feed.open.clear()
    cache = CachedPublicFeed(feed, ttl_seconds=2)
    readers = [asyncio.create_task(body(cache)) for _ in range(100)]
    await asyncio.sleep(0)
    feed.open.set()

    assert set(await asyncio.gather(*readers)) == {b"1"}


async def test_a_reader_that_gives_up_takes_nothing_from_the_others() -> None:
    feed = CountedFeed()
    feed.open.clear()
    cache = CachedPublicFeed(feed, ttl_seconds=2)
    first, second = asyncio.create_task(body(cache)), asyncio.create_task(body(cache))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    feed.open.set()

    assert await second == b"1"
    assert feed.loads == 1


async def test_each_order_length_and_place_is_a_page_of_its_own() -> None:
    cache = CachedPublicFeed(CountedFeed(), ttl_seconds=2)
    queries = [
        PublicFeedQuery(sort, PageRequest(limit, cursor))
        for sort in Sort
        for limit in (10, 20)
        for cursor in (None, "a", "b")
    ]

    pages = [await body(cache, query) for query in queries]

    assert len(set(pages)) == len(queries)
    assert [await body(cache, query) for query in queries] == pages


@pytest.mark.parametrize("failure", [StorageUnavailable(), InvalidCursor()])
async def test_a_failure_is_told_to_all_who_wait_and_not_kept(failure: Exception) -> None:
    feed = CountedFeed()
    feed.failure = failure
    feed.open.clear()
    cache = CachedPublicFeed(feed, ttl_seconds=2)
    readers = [asyncio.create_task(body(cache)) for _ in range(3)]
    await asyncio.sleep(0)
    feed.open.set()
    outcomes = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(failure)] * 3

    feed.failure = None

    assert await body(cache) == b"2"


async def test_it_takes_no_more_room_than_it_is_given() -> None:
    feed = CountedFeed(size=1000)
    room = 5 * (ENTRY_OVERHEAD_BYTES + 1100)
    cache = CachedPublicFeed(feed, ttl_seconds=2, max_bytes=room)

    for number in range(50):
        await body(cache, PublicFeedQuery(Sort.NEW, PageRequest(20, f"{number}")))

    assert 0 < cache.bytes <= room
    loads = feed.loads
    await body(cache, PublicFeedQuery(Sort.NEW, PageRequest(20, "49")))
    assert feed.loads == loads, "the last one is kept"


async def test_a_page_that_is_too_large_is_served_and_not_kept() -> None:
    feed = CountedFeed(size=5000)
    cache = CachedPublicFeed(feed, ttl_seconds=2, max_bytes=2000)

    assert [await body(cache), await body(cache)] == [b"1", b"2"]
    assert cache.bytes == 0


async def test_without_time_every_read_goes_to_storage() -> None:
    cache = CachedPublicFeed(CountedFeed(), ttl_seconds=0)

    assert [await body(cache), await body(cache)] == [b"1", b"2"]
