"""The feed for who is signed in: kept as long as nothing was committed, never longer."""

import asyncio
from typing import Final

import pytest

from adapters.cache.feed import CheckedFeed
from adapters.cache.pages import ENTRY_OVERHEAD_BYTES
from application.posts.list_feed import ListFeedQuery
from application.posts.read_feed import ExactFeed
from application.shared.commit_counter import CommitCounter
from application.shared.errors import StorageUnavailable
from application.shared.paging import PageRequest
from application.shared.pending import settled
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort
from domain.shared.ids import UserId
from tests.builders import an_id
from tests.unit.cache.test_feed import Timer

ALICE, BOB = UserId(an_id()), UserId(an_id())
MINE: Final = ListFeedQuery(PageRequest(), ALICE)


class Marks(CommitCounter):
    def __init__(self) -> None:
        self.version: int | None = 1

    def current(self) -> int | None:
        return self.version


class CountedFeed(ExactFeed):
    """Answers with the number of the load and the mark it began under, when it is let."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.loads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def page(self, query: ListFeedQuery) -> EncodedPage:
        self.loads += 1
        body = f"{self.loads} at {self.marks.version}".encode()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return EncodedPage(body, "tag", None)


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def feed(marks: Marks) -> CountedFeed:
    return CountedFeed(marks)


async def body(cache: ExactFeed, query: ListFeedQuery = MINE) -> bytes:
    return (await settled(cache.page(query))).body


async def test_a_page_is_served_again_until_something_is_committed(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    assert [await body(cache), await body(cache)] == [b"1 at 1", b"1 at 1"]
    marks.version = 2
    assert [await body(cache), await body(cache)] == [b"2 at 2", b"2 at 2"]


async def test_what_is_kept_is_there_at_once_until_something_is_committed(marks: Marks, feed: CountedFeed) -> None:
    timer = Timer()
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=timer)
    page = await settled(cache.page(MINE))
    assert cache.page(MINE) is page
    assert await settled(cache.page(ListFeedQuery(PageRequest(), BOB))) is not page
    timer.now += 61
    page = await settled(cache.page(MINE))
    assert cache.page(MINE) is page
    marks.version = 2
    assert await settled(cache.page(MINE)) is not page
    assert feed.loads == 4


async def test_a_commit_during_a_load_is_in_the_next_read(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    feed.open.clear()
    early = asyncio.create_task(body(cache))
    await asyncio.sleep(0.01)
    marks.version = 2
    late = asyncio.create_task(body(cache))
    await asyncio.sleep(0.01)
    feed.open.set()
    assert (await early, await late) == (b"1 at 1", b"2 at 2")
    assert await body(cache) == b"2 at 2"


async def test_readers_of_one_state_share_a_load(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    assert set(await asyncio.gather(*(body(cache) for _ in range(20)))) == {b"1 at 1"}
    assert feed.loads == 1


@pytest.mark.parametrize(
    "other",
    [
        ListFeedQuery(PageRequest(), BOB),
        ListFeedQuery(PageRequest(limit=5), ALICE),
        ListFeedQuery(PageRequest(cursor="later"), ALICE),
        ListFeedQuery(PageRequest(), ALICE, sort=Sort.TOP),
        ListFeedQuery(PageRequest(), ALICE, author=BOB),
    ],
)
async def test_nobody_is_shown_what_another_asked_for(marks: Marks, feed: CountedFeed, other: ListFeedQuery) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    assert await body(cache) == b"1 at 1"
    assert await body(cache, other) == b"2 at 1"
    assert await body(cache) == b"1 at 1"


async def test_nothing_is_kept_while_nobody_can_say_what_is_current(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    assert await body(cache) == b"1 at 1"
    marks.version = None
    assert [await body(cache), await body(cache)] == [b"2 at None", b"3 at None"]
    marks.version = 1
    assert await body(cache) == b"1 at 1"


async def test_a_page_ends_with_its_time_all_the_same(marks: Marks, feed: CountedFeed) -> None:
    timer = Timer()
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=timer)
    assert await body(cache) == b"1 at 1"
    timer.now += 60
    assert await body(cache) == b"2 at 1"


async def test_a_failure_is_not_kept(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    feed.failure = StorageUnavailable("away")
    with pytest.raises(StorageUnavailable):
        await body(cache)
    feed.failure = None
    assert await body(cache) == b"2 at 1"


async def test_it_is_bounded_in_bytes(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, max_bytes=3 * ENTRY_OVERHEAD_BYTES, timer=Timer())
    for limit in range(1, 20):
        await body(cache, ListFeedQuery(PageRequest(limit), ALICE))
        assert cache.bytes <= 3 * ENTRY_OVERHEAD_BYTES


async def test_it_can_be_turned_off(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=0, timer=Timer())
    assert [await body(cache), await body(cache)] == [b"1 at 1", b"2 at 1"]


async def test_it_tells_how_often_it_was_hit_missed_and_could_not_vouch(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=60, timer=Timer())
    for _ in range(4):
        await body(cache)
    marks.version = None
    await body(cache)
    found = cache.statistics

    assert (found.hits, found.misses, found.shared_hits, found.bypasses, found.entries) == (3, 1, 0, 1, 1)
    assert found.bytes == cache.bytes > 0


async def test_one_that_is_off_counts_nothing(marks: Marks, feed: CountedFeed) -> None:
    cache = CheckedFeed(feed, commits=marks, ttl_seconds=0, timer=Timer())
    await body(cache)

    assert (cache.statistics.hits, cache.statistics.misses, cache.statistics.bypasses) == (0, 0, 0)
