"""What every `PostReader` promises of ranked lists: their order, their bounds, and scrolling while votes come in."""

import random
from datetime import datetime, timedelta

import pytest

from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.list_feed import ListFeed, ListFeedQuery
from application.posts.ports import RANKS_KEPT, Period, RankedPosition
from application.posts.views import PostPageView
from application.shared.paging import PageRequest
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.ranking import Sort, hot_rank
from domain.posts.vote import Direction
from domain.shared.ids import UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor
from tests.contracts.scenarios import given
from tests.fakes import PlainCursorCodec, SettableClock

SORTS = (Sort.TOP, Sort.HOT)


async def voted(storage: Storage, clock: SettableClock, post: Post, voters: list[User], score: int) -> None:
    """Move a post's score to `score` by as many votes as it takes."""
    for voter in voters[: abs(score)]:
        command = CastVoteCommand(an_actor(voter), post.id, Direction.UP if score > 0 else Direction.DOWN)
        clock.advance(timedelta(microseconds=7))
        await CastVote(uow=storage.posts_units, clock=clock).execute(command)


async def listed(
    storage: Storage, clock: SettableClock, sort: Sort, *, author: UserId | None = None, period: Period | None = None
) -> list[str]:
    found = await storage.posts.ranked(
        sort,
        limit=100,
        after=None,
        as_of=clock.now(),
        viewer=None,
        author_id=author,
        period=period or Period(),
    )
    assert not found.more
    return [item.id for item in found.items]


async def test_top_is_by_score_and_then_by_age_the_newest_first(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    voters = [a_user() for _ in range(3)]
    posts = [a_post(alice) for _ in range(5)]
    await given(storage, alice, *voters, *posts)
    for post, score in zip(posts, (0, 3, -2, 3, 1), strict=True):
        await voted(storage, clock, post, voters, score)

    assert await listed(storage, clock, Sort.TOP) == [str(posts[n].id) for n in (3, 1, 4, 0, 2)]


async def test_hot_weighs_ten_votes_as_much_as_half_a_day(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    voters = [a_user() for _ in range(10)]
    old, older = (a_post(alice, created_at=NOW - timedelta(hours=hours)) for hours in (12, 13))
    fresh, disliked = a_post(alice, created_at=NOW), a_post(alice, created_at=NOW)
    await given(storage, alice, *voters, older, old, fresh, disliked)
    for post, score in ((old, 10), (older, 10), (disliked, -10)):
        await voted(storage, clock, post, voters, score)

    assert await listed(storage, clock, Sort.HOT) == [str(post.id) for post in (old, fresh, older, disliked)]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_ranked_list_is_of_posts_and_an_authors_of_answers_too(
    storage: Storage, clock: SettableClock, sort: Sort
) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    answer = a_post(bob, reply_to=post)
    own = a_post(bob)
    await given(storage, alice, bob, post, answer, own)
    await voted(storage, clock, answer, [alice, bob], 2)

    assert set(await listed(storage, clock, sort)) == {str(post.id), str(own.id)}
    assert await listed(storage, clock, sort, author=bob.id) == [str(answer.id), str(own.id)]


async def test_a_period_bounds_every_list(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    posts = [a_post(alice, created_at=NOW + timedelta(seconds=second)) for second in range(6)]
    await given(storage, alice, *posts)
    await voted(storage, clock, posts[0], [alice], 1)
    period = Period(NOW + timedelta(seconds=1), NOW + timedelta(seconds=4))
    expected = [str(post.id) for post in posts[3:0:-1]]

    for sort in SORTS:
        assert await listed(storage, clock, sort, period=period) == expected
        assert await listed(storage, clock, sort, period=period, author=alice.id) == expected
    newest = await storage.posts.newest(limit=10, before=None, viewer=None, period=period)
    own = await storage.posts.by_author(alice.id, limit=10, before=None, viewer=None, period=period)
    assert [[item.id for item in found.items] for found in (newest, own)] == [expected, expected]
    later = await storage.posts.newest(limit=10, before=posts[3].id, viewer=None, period=period)
    assert [item.id for item in later.items] == expected[1:]


class Scroll:
    """Somebody who goes through a list page by page, as the API has it."""

    def __init__(self, storage: Storage, clock: SettableClock, sort: Sort, author: UserId | None) -> None:
        self._feed = ListFeed(reader=storage.posts, cursors=PlainCursorCodec(), clock=clock)
        self._sort = sort
        self._author = author
        self._cursor: str | None = None
        self.more = True
        self.read: list[str] = []

    async def go_on(self, limit: int) -> PostPageView:
        query = ListFeedQuery(PageRequest(limit, self._cursor), None, self._author, self._sort)
        page = await self._feed.execute(query)
        self.read += [item.id for item in page.items]
        self._cursor = page.next_cursor
        self.more = page.next_cursor is not None
        return page


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("by_author", [False, True])
async def test_a_scroll_keeps_the_order_it_began_with_whatever_is_voted(
    storage: Storage, clock: SettableClock, sort: Sort, by_author: bool
) -> None:
    """Votes lift posts over the place that was read last and sink others below it, between all pages."""
    rng = random.Random(11)
    alice = a_user()
    voters = [a_user() for _ in range(6)]
    posts = [a_post(alice, created_at=NOW + timedelta(milliseconds=n)) for n in range(24)]
    await given(storage, alice, *voters, *posts)
    for post in posts:
        await voted(storage, clock, post, voters, rng.randint(-2, 3))
    author = alice.id if by_author else None
    clock.advance(timedelta(seconds=1))
    expected = await listed(storage, clock, sort, author=author)
    scroll = Scroll(storage, clock, sort, author)

    while scroll.more:
        await scroll.go_on(5)
        for _ in range(8):
            voter, post = rng.choice(voters), rng.choice(posts)
            clock.advance(timedelta(milliseconds=3))
            command = CastVoteCommand(an_actor(voter), post.id, Direction(rng.choice([-1, 0, 1])))
            await CastVote(uow=storage.posts_units, clock=clock).execute(command)

    assert scroll.read == expected
    assert await listed(storage, clock, sort, author=author) != expected, "the votes changed nothing"


async def test_what_is_shown_of_a_post_is_always_as_of_now(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    low, high = a_post(alice), a_post(alice)
    await given(storage, alice, bob, low, high)
    scroll = Scroll(storage, clock, Sort.TOP, None)
    await scroll.go_on(1)
    clock.advance(timedelta(seconds=1))

    await voted(storage, clock, low, [alice, bob], 2)

    [shown] = (await scroll.go_on(1)).items
    assert (shown.id, shown.score) == (str(low.id), 2)


async def test_a_post_deleted_in_mid_scroll_is_left_out_and_nothing_else(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    posts = [a_post(alice) for _ in range(6)]
    await given(storage, alice, *posts)
    scroll = Scroll(storage, clock, Sort.TOP, None)
    await scroll.go_on(2)
    clock.advance(timedelta(seconds=1))
    await voted(storage, clock, posts[2], [alice], 1)
    for gone in (posts[4], posts[2]):
        async with storage.posts_units() as uow:
            await uow.posts.remove(await uow.posts.get(gone.id), owner=None)
            await uow.commit()

    while scroll.more:
        await scroll.go_on(2)

    assert scroll.read == [str(posts[n].id) for n in (5, 4, 3, 1, 0)]


async def test_a_scroll_that_rests_for_too_long_goes_on_as_of_now(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    posts = [a_post(alice) for _ in range(4)]
    await given(storage, alice, *posts)
    scroll = Scroll(storage, clock, Sort.TOP, None)
    await scroll.go_on(2)

    clock.advance(timedelta(seconds=1))
    await voted(storage, clock, posts[1], [alice], 1)
    clock.advance(RANKS_KEPT)
    await scroll.go_on(2)

    # Lifted over the place that was read, it is no longer found behind it.
    assert scroll.read == [str(posts[n].id) for n in (3, 2, 0)]


async def test_the_place_of_a_slice_is_that_of_its_last_post(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    first, second = a_post(alice), a_post(alice)
    await given(storage, alice, first, second)
    await voted(storage, clock, first, [alice], 1)
    now: datetime = clock.now()

    top = await storage.posts.ranked(Sort.TOP, limit=1, after=None, as_of=now, viewer=None)
    hot = await storage.posts.ranked(Sort.HOT, limit=2, after=None, as_of=now, viewer=None)

    assert (top.last, top.more) == (RankedPosition(1, first.id), True)
    assert (hot.last, hot.more) == (RankedPosition(hot_rank(1, NOW), first.id), False)
    empty = await storage.posts.ranked(Sort.TOP, limit=1, after=RankedPosition(-5, first.id), as_of=now, viewer=None)
    assert (empty.items, empty.more, empty.last) == ([], False, None)


async def test_long_texts_close_a_ranked_page_early(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    posts = [a_post(alice, "a" * 1_048_576) for _ in range(5)]
    await given(storage, alice, *posts)
    await voted(storage, clock, posts[0], [alice], 1)
    scroll = Scroll(storage, clock, Sort.TOP, None)

    pages = [len((await scroll.go_on(100)).items), len((await scroll.go_on(100)).items)]

    assert pages == [4, 1]
    assert scroll.read == [str(posts[n].id) for n in (0, 4, 3, 2, 1)]
