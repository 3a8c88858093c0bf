"""What every `BallotRepository` and every `CounterAudit` promises: one vote a voter, and counters that count them."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.ports import RankedSlice
from application.posts.recount import Recount, RecountCommand
from application.posts.views import VoteView
from application.shared.pending import settled
from domain.identity.user import User
from domain.posts.errors import AuthorGone, PostChanged, PostNotFound
from domain.posts.post import Post
from domain.posts.ranking import Sort
from domain.posts.vote import Direction
from domain.shared.ids import PostId, UserId
from entrypoints.storage import Storage
from tests.backends import BACKENDS, LOCKING
from tests.builders import a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given, race, retried
from tests.fakes import SettableClock

pytestmark = pytest.mark.parametrize("backend", [*BACKENDS, *LOCKING], indirect=True)


async def vote(storage: Storage, clock: SettableClock, voter: User, post: Post, dir: int) -> VoteView:
    command = CastVoteCommand(an_actor(voter), post.id, Direction(dir))
    return await retried(storage.group_commit(CastVote(uow=storage.posts_units, clock=clock))).execute(command)


async def counters(storage: Storage, post: Post, viewer: User | None = None) -> tuple[int, int, int, object]:
    view = await storage.posts.get(post.id, viewer=viewer.id if viewer else None)
    assert view is not None
    return view.score, view.upvotes, view.downvotes, view.my_vote if viewer else None


async def drift(storage: Storage) -> list[PostId]:
    """Return the posts whose counters or ranks are not what they count."""
    command = RecountCommand(batch=50, repair=False)
    return [post_id async for batch in Recount(audit=storage.counters).execute(command) for post_id in batch.wrong]


async def test_a_vote_is_set_turned_and_taken_back(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)

    for dir, expected in [
        (1, (1, 1, 0)),
        (1, (1, 1, 0)),
        (-1, (-1, 0, 1)),
        (0, (0, 0, 0)),
        (0, (0, 0, 0)),
        (-1, (-1, 0, 1)),
    ]:
        answer = await vote(storage, clock, bob, post, dir)
        assert answer == VoteView(str(post.id), dir, *expected)
        assert await counters(storage, post, bob) == (*expected, dir)
        assert await counters(storage, post, alice) == (*expected, 0)
    assert await drift(storage) == []


async def test_a_vote_leaves_version_and_time_of_a_post_alone(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    before = await storage.posts.get(post.id, viewer=None)
    clock.advance(timedelta(hours=1))

    await vote(storage, clock, bob, post, 1)

    after = await storage.posts.get(post.id, viewer=None)
    assert before is not None
    assert after is not None
    assert (after.version, after.updated_at) == (before.version, before.updated_at)


async def test_a_vote_on_a_version_that_is_no_longer_there_is_refused(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    cast = CastVote(uow=storage.posts_units, clock=clock)

    with pytest.raises(PostChanged):
        await cast.execute(CastVoteCommand(an_actor(alice), post.id, Direction.UP, if_version=2))

    assert await counters(storage, post) == (0, 0, 0, None)


async def test_what_is_not_there_takes_no_vote_and_who_is_not_there_casts_none(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    with pytest.raises(PostNotFound):
        await vote(storage, clock, alice, a_post(alice), 1)
    with pytest.raises(AuthorGone):
        await vote(storage, clock, a_user(), post, 1)

    assert await counters(storage, post) == (0, 0, 0, None)


async def test_a_vote_that_is_not_committed_never_was(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        ballot = await uow.ballots.get(post.id, alice.id)
        ballot.cast(Direction.UP, at=clock.now())
        await uow.ballots.save(ballot, at=clock.now())

    assert await counters(storage, post, alice) == (0, 0, 0, 0)


async def test_a_vote_on_an_own_post_changes_the_authors_revision_and_a_vote_of_another_does_not(
    storage: Storage, clock: SettableClock
) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    before = await settled(storage.revisions.current(alice.id))

    await vote(storage, clock, bob, post, 1)
    assert await settled(storage.revisions.current(alice.id)) == before

    await vote(storage, clock, alice, post, 1)
    assert await settled(storage.revisions.current(alice.id)) not in (None, before)


async def test_my_vote_is_in_every_list(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    answer = a_post(bob, reply_to=post)
    await given(storage, alice, bob, post, answer)
    await vote(storage, clock, bob, post, -1)
    await vote(storage, clock, bob, answer, 1)

    for viewer, on_post, on_answer in ((bob.id, -1, 1), (alice.id, 0, 0)):
        found = [
            (await storage.posts.newest(limit=5, before=None, viewer=viewer)).items,
            (await storage.posts.by_author(alice.id, limit=5, before=None, viewer=viewer)).items,
            *[(await ranked(storage, clock, sort, viewer=viewer)).items for sort in (Sort.TOP, Sort.HOT)],
        ]
        assert [[item.my_vote for item in items] for items in found] == [[on_post]] * 4
        replies = await storage.posts.replies(post.id, limit=5, after=None, viewer=viewer)
        assert [item.my_vote for item in replies.items] == [on_answer]


async def ranked(storage: Storage, clock: SettableClock, sort: Sort, *, viewer: UserId | None = None) -> RankedSlice:
    return await storage.posts.ranked(sort, limit=20, after=None, as_of=clock.now(), viewer=viewer)


@pytest.mark.untraced
async def test_five_hundred_votes_of_one_user_at_once_are_one(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)

    # As many at once as one process lets through; more would wait for a connection, and be refused at last.
    door = asyncio.Semaphore(50)

    async def scenario(_: int) -> VoteView:
        async with door:
            return await vote(storage, clock, bob, post, 1)

    answers, failures = await race(500, scenario)

    assert failures == []
    assert {(answer.upvotes, answer.score) for answer in answers} == {(1, 1)}
    assert await counters(storage, post, bob) == (1, 1, 0, 1)
    assert await drift(storage) == []


@pytest.mark.untraced
async def test_a_thousand_users_vote_on_one_post(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    voters = [a_user() for _ in range(1000)]
    post = a_post(alice)
    async with storage.identity_units() as uow:
        for user in (alice, *voters):
            await uow.users.add(user)
        await uow.commit()
    await given(storage, post)
    directions = [random.Random(7).choice([1, 1, -1]) for _ in voters]

    door = asyncio.Semaphore(50)

    async def scenario(number: int) -> VoteView:
        async with door:
            return await vote(storage, clock, voters[number], post, directions[number])

    answers, failures = await race(len(voters), scenario)

    assert failures == []
    assert len(answers) == 1000
    cast = Counter(directions)
    assert await counters(storage, post) == (cast[1] - cast[-1], cast[1], cast[-1], None)
    assert await drift(storage) == []


@pytest.mark.untraced
async def test_random_votes_of_eight_at_once_leave_no_drift(storage: Storage, clock: SettableClock) -> None:
    """The long one, of 100,000 votes by 8 processes, is `make torture`."""
    users = [a_user() for _ in range(12)]
    posts = [a_post(users[n % 3]) for n in range(6)]
    await given(storage, *users, *posts)

    async def scenario(number: int) -> None:
        rng = random.Random(number)
        for _ in range(60):
            await vote(storage, clock, rng.choice(users), rng.choice(posts), rng.choice([1, 1, 0, -1]))

    _, failures = await race(8, scenario)

    assert failures == []
    assert await drift(storage) == []


async def test_an_account_that_goes_takes_its_votes_along(storage: Storage, clock: SettableClock) -> None:
    alice, bob, carol = a_user(), a_user(), a_user()
    first, second = a_post(alice), a_post(alice)
    await given(storage, alice, bob, carol, first, second)
    for voter, post, dir in ((bob, first, 1), (carol, first, 1), (bob, second, -1)):
        await vote(storage, clock, voter, post, dir)

    async with storage.identity_units() as uow:
        await uow.users.remove(await uow.users.get(bob.id), at=clock.now())
        await uow.commit()

    assert await counters(storage, first) == (1, 1, 0, None)
    assert await counters(storage, second) == (0, 0, 0, None)
    assert await drift(storage) == []


async def test_the_audit_goes_through_all_posts_in_batches(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice, *[a_post(alice) for _ in range(7)])

    progress = [batch async for batch in Recount(audit=storage.counters).execute(RecountCommand(batch=3))]

    assert [batch.checked for batch in progress] == [3, 3, 1]
    assert [batch.wrong for batch in progress] == [[], [], []]


async def test_a_post_that_is_not_there_needs_no_repair(storage: Storage) -> None:
    assert await storage.counters.repair(PostId(an_id())) is False
