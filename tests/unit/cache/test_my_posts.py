"""The cache of own posts: always current, one load at a time, bounded."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import pytest

from adapters.cache.my_posts import CachedMyPosts, PageKey, SharedPages, StoredPage
from adapters.cache.pages import ENTRY_OVERHEAD_BYTES
from application.posts.ports import AuthorRevisions, MyPostsReader
from application.shared.errors import StorageUnavailable
from application.shared.paging import InvalidCursor, PageRequest
from application.shared.pending import Pending, settled
from application.shared.views import EncodedPage
from domain.shared.ids import UserId
from tests.builders import an_id

ALICE, BOB = UserId(an_id()), UserId(an_id())
FIRST_PAGE = PageRequest()


@dataclass
class Posts(MyPostsReader, AuthorRevisions):
    """Somebody's posts and their revision, with loads that can be held up after they have read."""

    text: dict[UserId, str] = field(default_factory=dict)
    revision: dict[UserId, int] = field(default_factory=dict)
    nobody_knows: bool = False
    tells_at_once: bool = False
    """Whether the revision is known without waiting, as it is on SQLite."""
    loads: list[tuple[UserId, PageRequest]] = field(default_factory=list)
    failures: deque[Exception] = field(default_factory=deque)
    gates: deque[asyncio.Event] = field(default_factory=deque)
    """Each load takes the next gate, and waits there with what it has read."""
    size: int = 100

    def write(self, text: str, owner: UserId = ALICE) -> None:
        """Commit and acknowledge a write."""
        self.text[owner] = text
        self.revision[owner] = self.revision.get(owner, 0) + 1

    def current(self, author_id: UserId) -> Pending[int | None]:
        revision = None if self.nobody_knows else self.revision.get(author_id, 0)
        return revision if self.tells_at_once else settled(revision)

    async def page(self, owner: UserId, request: PageRequest) -> EncodedPage:
        self.loads.append((owner, request))
        read = self.text.get(owner, "")
        if self.gates:
            await self.gates.popleft().wait()
        if self.failures:
            raise self.failures.popleft()
        return EncodedPage(read.encode().ljust(self.size), f"etag of {read}", None)

    def gate(self) -> asyncio.Event:
        self.gates.append(asyncio.Event())
        return self.gates[-1]


@dataclass
class Timer:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Shelf(SharedPages):
    """What other processes have loaded, with seconds left to live."""

    def __init__(self, seconds_left: float = 200.0) -> None:
        self.pages: dict[tuple[PageKey, int], EncodedPage] = {}
        self.lives: list[float] = []
        self.seconds_left = seconds_left

    async def get(self, key: PageKey, revision: int) -> StoredPage | None:
        page = self.pages.get((key, revision))
        return None if page is None else StoredPage(page, self.seconds_left)

    async def put(self, key: PageKey, revision: int, page: EncodedPage, *, ttl_seconds: float) -> None:
        self.pages[key, revision] = page
        self.lives.append(ttl_seconds)


@pytest.fixture
def posts() -> Posts:
    posts = Posts()
    posts.write("one")
    return posts


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def cache(posts: Posts, timer: Timer) -> CachedMyPosts:
    return a_cache(posts, timer)


def a_cache(
    posts: Posts,
    timer: Timer | None = None,
    *,
    ttl_seconds: float = 300,
    max_bytes: int = 1_000_000,
    shared: SharedPages | None = None,
) -> CachedMyPosts:
    return CachedMyPosts(
        posts, revisions=posts, shared=shared, ttl_seconds=ttl_seconds, max_bytes=max_bytes, timer=timer or Timer()
    )


async def read(cache: CachedMyPosts, owner: UserId = ALICE, request: PageRequest = FIRST_PAGE) -> str:
    return (await settled(cache.page(owner, request))).body.decode().strip()


def reading(cache: CachedMyPosts) -> asyncio.Task[str]:
    return asyncio.create_task(read(cache))


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_page_is_loaded_once(cache: CachedMyPosts, posts: Posts) -> None:
    pages = [await settled(cache.page(ALICE, FIRST_PAGE)) for _ in range(5)]

    assert len(posts.loads) == 1
    assert all(page is pages[0] for page in pages)


async def test_a_write_is_seen_by_the_next_read(cache: CachedMyPosts, posts: Posts) -> None:
    assert await read(cache) == "one"

    posts.write("two")

    assert await read(cache) == "two"
    assert len(posts.loads) == 2


async def test_owners_limits_and_cursors_are_kept_apart(cache: CachedMyPosts, posts: Posts) -> None:
    posts.write("of bob", BOB)
    requests = [FIRST_PAGE, PageRequest(limit=5), PageRequest(cursor="c"), PageRequest(limit=5, cursor="c")]

    for request in requests * 2:
        assert await read(cache, ALICE, request) == "one"
        assert await read(cache, BOB, request) == "of bob"

    assert len(posts.loads) == 8


async def test_a_write_of_one_owner_leaves_the_pages_of_another(cache: CachedMyPosts, posts: Posts) -> None:
    await read(cache, BOB)

    posts.write("two", ALICE)
    await read(cache, BOB)

    assert len(posts.loads) == 1


async def test_a_page_lives_as_long_as_it_may_and_no_longer(cache: CachedMyPosts, posts: Posts, timer: Timer) -> None:
    await read(cache)
    timer.now += 299.9
    await read(cache)
    assert len(posts.loads) == 1

    timer.now += 0.2
    await read(cache)
    assert len(posts.loads) == 2


async def test_a_hit_does_not_lengthen_a_life(cache: CachedMyPosts, posts: Posts, timer: Timer) -> None:
    for _ in range(4):
        await read(cache)
        timer.now += 100

    assert len(posts.loads) == 2


async def test_a_life_begins_before_the_load(cache: CachedMyPosts, posts: Posts, timer: Timer) -> None:
    gate = posts.gate()
    slow = reading(cache)
    await settle()
    timer.now += 200
    gate.set()
    await slow

    timer.now += 150
    await read(cache)

    assert len(posts.loads) == 2


async def test_a_load_that_outlasts_a_life_is_served_and_not_kept(
    cache: CachedMyPosts, posts: Posts, timer: Timer
) -> None:
    gate = posts.gate()
    slow = reading(cache)
    await settle()
    timer.now += 301
    gate.set()

    assert await slow == "one"
    assert cache.statistics.entries == 0


async def test_many_readers_share_one_load(cache: CachedMyPosts, posts: Posts) -> None:
    gate = posts.gate()
    readers = [reading(cache) for _ in range(50)]
    await settle()
    gate.set()

    assert await asyncio.gather(*readers) == ["one"] * 50
    assert len(posts.loads) == 1


async def test_a_slow_load_from_before_a_write_is_not_what_a_read_after_it_gets(
    cache: CachedMyPosts, posts: Posts
) -> None:
    gate = posts.gate()
    before = reading(cache)
    await settle()
    posts.write("two")

    after = reading(cache)
    await settle()
    assert after.done(), "it must not wait for a load that began before the write"
    assert after.result() == "two"

    gate.set()
    assert await before == "one"


async def test_a_slow_load_from_before_a_write_is_not_kept(cache: CachedMyPosts, posts: Posts) -> None:
    gate = posts.gate()
    before = reading(cache)
    await settle()
    posts.write("two")
    gate.set()
    assert await before == "one"

    assert await read(cache) == "two"


async def test_a_slow_load_that_ends_last_does_not_replace_a_newer_page(cache: CachedMyPosts, posts: Posts) -> None:
    gate = posts.gate()
    before = reading(cache)
    await settle()
    posts.write("two")
    assert await read(cache) == "two"
    gate.set()
    await before

    assert await read(cache) == "two"
    assert len(posts.loads) == 2, "the newer page was still there"


async def test_a_newer_load_is_not_ended_by_an_older_one(cache: CachedMyPosts, posts: Posts) -> None:
    first, second = posts.gate(), posts.gate()
    before = reading(cache)
    await settle()
    posts.write("two")
    after = [reading(cache) for _ in range(3)]
    await settle()
    first.set()
    await before
    after.append(reading(cache))
    await settle()
    second.set()

    assert await asyncio.gather(*after) == ["two"] * 4
    assert len(posts.loads) == 2


async def test_writes_and_slow_loads_in_any_order_never_show_the_past(cache: CachedMyPosts, posts: Posts) -> None:
    """Every read begins after a write was acknowledged, and must see it, however the loads overlap."""
    seen: list[tuple[int, str]] = []
    written = 1

    async def check() -> None:
        expected = written
        seen.append((expected, await read(cache)))

    posts.write("1")
    checks: list[asyncio.Task[None]] = []
    open_gates: list[asyncio.Event] = []
    for step in range(300):
        if step % 3 == 0:
            written += 1
            posts.write(str(written))
        if step % 2 == 0:
            open_gates.append(posts.gate())
        checks.append(asyncio.create_task(check()))
        await asyncio.sleep(0)
        if step % 5 == 4 and open_gates:
            open_gates.pop((step * 7) % len(open_gates)).set()
    for gate in (*open_gates, *posts.gates):
        gate.set()
    await asyncio.gather(*checks)

    assert len(seen) == 300
    assert all(int(text) >= expected for expected, text in seen)


async def test_a_reader_who_gives_up_takes_nothing_from_the_others(cache: CachedMyPosts, posts: Posts) -> None:
    gate = posts.gate()
    leader, *followers = [reading(cache) for _ in range(4)]
    await settle()

    leader.cancel()
    followers[0].cancel()
    await settle()
    gate.set()

    assert await asyncio.gather(*followers[1:]) == ["one", "one"]
    assert leader.cancelled()
    assert followers[0].cancelled()
    assert len(posts.loads) == 1


async def test_when_all_readers_give_up_the_load_still_fills_the_cache(cache: CachedMyPosts, posts: Posts) -> None:
    gate = posts.gate()
    reader = reading(cache)
    await settle()
    reader.cancel()
    await settle()
    gate.set()
    await settle()

    assert await read(cache) == "one"
    assert len(posts.loads) == 1


async def test_a_failing_load_fails_those_who_wait_and_nobody_after(cache: CachedMyPosts, posts: Posts) -> None:
    gate = posts.gate()
    posts.failures.append(StorageUnavailable())
    readers = [reading(cache) for _ in range(3)]
    await settle()
    gate.set()

    outcomes = await asyncio.gather(*readers, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
    assert await read(cache) == "one"
    assert len(posts.loads) == 2


async def test_a_failure_that_nobody_waits_for_any_more_is_no_unhandled_error(
    cache: CachedMyPosts, posts: Posts
) -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    gate = posts.gate()
    posts.failures.append(StorageUnavailable())
    reader = reading(cache)
    await settle()
    reader.cancel()
    gate.set()
    await settle()
    del reader

    assert await read(cache) == "one"
    assert unhandled == []


async def test_an_invalid_cursor_is_never_kept(cache: CachedMyPosts, posts: Posts) -> None:
    for _ in range(2):
        posts.failures.append(InvalidCursor())
        with pytest.raises(InvalidCursor):
            await read(cache, ALICE, PageRequest(cursor="forged"))

    assert len(posts.loads) == 2
    assert cache.statistics.entries == 0


async def test_without_a_revision_every_read_goes_to_storage_and_nothing_is_kept(
    cache: CachedMyPosts, posts: Posts
) -> None:
    await read(cache)
    posts.nobody_knows = True

    posts.text[ALICE] = "two"
    assert await read(cache) == "two"
    posts.text[ALICE] = "three"
    assert await read(cache) == "three"

    assert cache.statistics.bypasses == 2
    assert cache.statistics.entries == 1


async def test_a_page_from_before_serves_again_when_its_revision_is_current_again(
    cache: CachedMyPosts, posts: Posts
) -> None:
    await read(cache)
    posts.nobody_knows = True
    await read(cache)
    posts.nobody_knows = False
    await read(cache)

    assert len(posts.loads) == 2


@pytest.mark.parametrize(("ttl_seconds", "max_bytes"), [(0, 1_000_000), (300, 0)])
async def test_it_can_be_turned_off(posts: Posts, ttl_seconds: int, max_bytes: int) -> None:
    cache = a_cache(posts, ttl_seconds=ttl_seconds, max_bytes=max_bytes)

    for _ in range(3):
        assert await read(cache) == "one"

    assert len(posts.loads) == 3


async def test_memory_is_bounded_in_bytes_and_the_least_recently_used_goes_first(posts: Posts) -> None:
    posts.size = 10_000
    room = 3 * (ENTRY_OVERHEAD_BYTES + 2 * 10_250)  # twice: it may be kept compressed too
    cache = a_cache(posts, max_bytes=room)
    for cursor in ("a", "b", "c"):
        await read(cache, ALICE, PageRequest(cursor=cursor))
    await read(cache, ALICE, PageRequest(cursor="a"))

    await read(cache, ALICE, PageRequest(cursor="d"))
    assert cache.statistics.entries == 3
    assert 60_000 < cache.statistics.bytes <= room

    await read(cache, ALICE, PageRequest(cursor="a"))
    assert len(posts.loads) == 4, "a was used a moment ago, so b had to go"
    await read(cache, ALICE, PageRequest(cursor="b"))
    assert len(posts.loads) == 5


async def test_a_page_that_is_too_large_is_served_and_not_kept(posts: Posts) -> None:
    cache = a_cache(posts, max_bytes=5_000)
    await read(cache)
    posts.size = 5_000

    assert await read(cache, BOB) == ""
    assert await read(cache, BOB) == ""

    assert len(posts.loads) == 3
    assert cache.statistics.entries == 1


async def test_what_is_kept_is_there_at_once_where_its_revision_is(posts: Posts, timer: Timer) -> None:
    posts.tells_at_once = True
    cache = a_cache(posts, timer=timer)
    page = await settled(cache.page(ALICE, FIRST_PAGE))
    assert cache.page(ALICE, FIRST_PAGE) is page
    assert cache.statistics.hits == 1

    for owner, request in ((BOB, FIRST_PAGE), (ALICE, PageRequest(limit=2))):
        assert await settled(cache.page(owner, request)) is not page
    posts.tells_at_once = False
    later = cache.page(ALICE, FIRST_PAGE)
    assert later is not page
    assert await settled(later) is page
    posts.tells_at_once = True
    posts.write("another")
    page = await settled(cache.page(ALICE, FIRST_PAGE))
    assert cache.page(ALICE, FIRST_PAGE) is page
    timer.now += 1_000
    assert await settled(cache.page(ALICE, FIRST_PAGE)) is not page
    assert len(posts.loads) == 5


async def test_what_is_counted(posts: Posts) -> None:
    cache = a_cache(posts)
    for _ in range(3):
        await read(cache)
    posts.nobody_knows = True
    await read(cache)

    statistics = cache.statistics
    assert (statistics.hits, statistics.misses, statistics.bypasses, statistics.shared_hits) == (2, 1, 1, 0)
    assert statistics.entries == 1
    assert statistics.bytes == ENTRY_OVERHEAD_BYTES + 100 + len("etag of one")


async def test_what_one_process_loaded_another_need_not(posts: Posts) -> None:
    shelf = Shelf()
    ours, theirs = a_cache(posts, shared=shelf), a_cache(posts, shared=shelf)
    await read(ours)
    await settle()

    assert await read(theirs) == "one"
    assert await read(theirs) == "one"

    assert len(posts.loads) == 1
    assert theirs.statistics.shared_hits == 1


async def test_a_shared_page_of_an_older_revision_is_not_taken(posts: Posts) -> None:
    shelf = Shelf()
    ours, theirs = a_cache(posts, shared=shelf), a_cache(posts, shared=shelf)
    await read(ours)
    await settle()
    posts.write("two")

    assert await read(theirs) == "two"


async def test_a_shared_page_keeps_the_age_it_has(posts: Posts, timer: Timer) -> None:
    shelf = Shelf(seconds_left=20)
    ours, theirs = a_cache(posts, shared=shelf), a_cache(posts, timer, shared=shelf)
    await read(ours)
    await settle()
    await read(theirs)
    shelf.pages.clear()

    timer.now += 19
    await read(theirs)
    assert len(posts.loads) == 1
    timer.now += 2
    await read(theirs)
    assert len(posts.loads) == 2


async def test_a_page_is_shared_for_what_is_left_of_its_life(posts: Posts, timer: Timer) -> None:
    shelf = Shelf()
    cache = a_cache(posts, timer, shared=shelf)
    gate = posts.gate()
    slow = reading(cache)
    await settle()
    timer.now += 100
    gate.set()
    await slow
    await settle()

    assert shelf.lives == [200]
