"""What removing an account promises: all that was its own goes with it, at once, and nothing of anybody else."""

import asyncio
import random
from datetime import datetime, timedelta

import pytest

from application.identity.delete_user import DeleteUser, DeleteUserCommand
from application.identity.replace_user import ReplaceUser, ReplaceUserCommand
from application.identity.suspend_user import SuspendUser, SuspendUserCommand
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.views import CastVoteView
from application.shared.errors import VersionConflict
from application.shared.retry import Retried
from application.shared.views import timestamp
from domain.identity.errors import LastAdmin, SessionNotFound, UserNotFound
from domain.identity.user import User
from domain.identity.values import UserStatus
from domain.posts.errors import AuthorGone
from domain.posts.post import Post
from domain.posts.ranking import Sort
from domain.posts.vote import Direction
from domain.shared.actor import Role
from domain.shared.errors import PosternError
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_session, a_user, an_actor
from tests.contracts.scenarios import given, load_user
from tests.fakes import SettableClock


async def remove(storage: Storage, user: User, *, at: datetime = NOW) -> None:
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        await uow.users.remove(loaded, at=at)
        await uow.commit()


async def test_an_account_takes_its_sessions_and_posts_along(storage: Storage) -> None:
    alice, bob = a_user("alice"), a_user("robert")
    session, post = a_session(alice), a_post(alice)
    kept_session, kept_post = a_session(bob), a_post(bob)
    await given(storage, alice, bob, session, post, kept_session, kept_post)

    await remove(storage, alice)

    async with storage.identity_units() as uow:
        with pytest.raises(UserNotFound):
            await uow.users.get(alice.id)
        with pytest.raises(SessionNotFound):
            await uow.sessions.get(session.id)
        assert (await uow.sessions.get(kept_session.id)).user_id == bob.id
    assert await storage.posts.get(PostId(post.id), viewer=None) is None
    assert await storage.posts.get(PostId(kept_post.id), viewer=None) is not None
    assert await storage.users.find(alice.id, full=True) is None
    assert await storage.credentials.by_email(alice.email.key) is None


async def test_address_and_username_are_free_again(storage: Storage) -> None:
    alice = a_user("alice")
    await given(storage, alice)
    await remove(storage, alice)

    again = a_user("alice")
    await given(storage, again)

    assert (await load_user(storage, again.id)).username.value == "alice"


async def test_a_rollback_leaves_everything_where_it_was(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.identity_units() as uow:
        await uow.users.remove(await uow.users.get(alice.id), at=NOW)

    assert (await load_user(storage, alice.id)).id == alice.id
    assert await storage.posts.get(post.id, viewer=None) is not None


async def test_an_account_that_has_changed_since_is_not_removed(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    kept = await load_user(storage, alice.id)
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(alice.id)
        loaded.change_profile(phone=None, name=None, username=a_user("renamed").username, at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    async with storage.identity_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.users.remove(kept, at=NOW)


async def test_only_active_administrators_are_locked_and_returned(storage: Storage) -> None:
    first = a_user(role=Role.ADMIN, created_at=NOW)
    second = a_user(role=Role.ADMIN, created_at=NOW + timedelta(seconds=1))
    suspended = a_user(role=Role.ADMIN, status=UserStatus.SUSPENDED)
    await given(storage, second, first, suspended, a_user(), a_user(role=Role.MODERATOR))

    async with storage.identity_units() as uow:
        assert await uow.users.lock_active_admins() == [first.id, second.id]


@pytest.mark.parametrize("attempt", range(3))
async def test_of_administrators_who_remove_each_other_one_stays(storage: Storage, attempt: int) -> None:
    """Five administrators, each of whom suspends or demotes the next one, all at once."""
    del attempt
    admins = [a_user(f"admin-{number}", role=Role.ADMIN) for number in range(5)]
    await given(storage, *admins)
    clock = SettableClock()
    suspend = Retried(
        SuspendUser(uow=storage.identity_units, clock=clock), sleep=asyncio.sleep, random=lambda: 0.5, attempts=20
    )
    replace = Retried(
        ReplaceUser(uow=storage.identity_units, clock=clock), sleep=asyncio.sleep, random=lambda: 0.7, attempts=20
    )

    async def remove_next(number: int) -> str:
        actor, target = an_actor(admins[number]), admins[(number + 1) % 5]
        try:
            if number % 2:
                await suspend.execute(SuspendUserCommand(actor, target.id))
            else:
                await replace.execute(
                    ReplaceUserCommand(
                        actor=actor,
                        user_id=target.id,
                        email=target.email,
                        email_verified=False,
                        username=target.username,
                        name=None,
                        phone=None,
                        role=Role.USER,
                        status=UserStatus.ACTIVE,
                    )
                )
        except PosternError as error:
            return type(error).__name__
        return "removed"

    outcomes = await asyncio.gather(*(remove_next(number) for number in range(5)))

    assert sorted(outcomes) == [LastAdmin.__name__, "removed", "removed", "removed", "removed"]
    async with storage.identity_units() as uow:
        assert len(await uow.users.lock_active_admins()) == 1


async def cast(storage: Storage, voter: User, post: Post, direction: Direction) -> None:
    use_case = CastVote(uow=storage.posts_units, clock=SettableClock())
    retried = Retried(use_case, sleep=asyncio.sleep, random=random.random, attempts=30)
    await retried.execute(CastVoteCommand(an_actor(voter), post.id, direction))


async def counts(storage: Storage, post: Post) -> tuple[int, int, int]:
    view = await storage.posts.get(post.id, viewer=None)
    assert view is not None
    return view.upvotes, view.downvotes, view.score


async def test_posts_that_the_account_had_voted_on_lose_its_votes_and_keep_the_others(storage: Storage) -> None:
    alice, bob, carol = a_user("alice"), a_user("robert"), a_user("carol")
    liked, disliked = a_post(bob), a_post(bob)
    await given(storage, alice, bob, carol, liked, disliked)
    await cast(storage, alice, liked, Direction.UP)
    await cast(storage, carol, liked, Direction.UP)
    await cast(storage, alice, disliked, Direction.DOWN)
    await cast(storage, carol, disliked, Direction.UP)
    assert len(await storage.votes.of_voter(alice.id, limit=10, after=None)) == 2

    await remove(storage, alice)

    assert await counts(storage, liked) == (1, 0, 1)
    assert await counts(storage, disliked) == (1, 0, 1)
    assert await storage.votes.of_voter(alice.id, limit=10, after=None) == []
    assert len(await storage.votes.of_voter(carol.id, limit=10, after=None)) == 2


@pytest.mark.parametrize("attempt", range(3))
async def test_votes_cast_while_the_account_goes_leave_exact_counts(storage: Storage, attempt: int) -> None:
    """The one who goes and others vote on the same posts meanwhile; what is counted is what the others said."""
    del attempt
    alice, bob = a_user("alice"), a_user("robert")
    others = [a_user(f"voter-{number}") for number in range(3)]
    posts = [a_post(bob) for _ in range(4)]
    await given(storage, alice, bob, *others, *posts)
    for post in posts[:2]:
        await cast(storage, alice, post, Direction.UP)

    async def vote(voter: User, post: Post) -> None:
        for direction in (Direction.DOWN, Direction.NONE, Direction.UP):
            try:
                await cast(storage, voter, post, direction)
            except AuthorGone:
                return

    async def go() -> None:
        command = DeleteUserCommand(an_actor(admin), alice.id)
        use_case = DeleteUser(uow=storage.identity_units, clock=SettableClock())
        await Retried(use_case, sleep=asyncio.sleep, random=random.random, attempts=50).execute(command)

    admin = a_user(role=Role.ADMIN)
    await asyncio.gather(*(vote(voter, post) for voter in (alice, *others) for post in posts), go())

    assert [await counts(storage, post) for post in posts] == [(3, 0, 3)] * 4
    assert (await storage.counters.check(after=None, limit=100)).wrong == []


async def test_votes_are_read_page_by_page(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    posts = [a_post(bob, created_at=NOW + timedelta(seconds=number)) for number in range(3)]
    await given(storage, alice, bob, *posts)
    for post, direction in zip(posts, (Direction.UP, Direction.DOWN, Direction.UP), strict=True):
        await cast(storage, alice, post, direction)

    first = await storage.votes.of_voter(alice.id, limit=2, after=None)
    rest = await storage.votes.of_voter(alice.id, limit=2, after=posts[1].id)

    assert [(vote.post_id, vote.dir) for vote in (*first, *rest)] == [
        (str(posts[0].id), 1),
        (str(posts[1].id), -1),
        (str(posts[2].id), 1),
    ]


async def test_a_vote_tells_since_when_it_stands_and_when_it_last_turned(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    use_case = CastVote(uow=storage.posts_units, clock=clock)
    cast_at = clock.now()
    await use_case.execute(CastVoteCommand(an_actor(alice), post.id, Direction.UP))
    clock.advance(timedelta(minutes=1, microseconds=1))
    turned_at = clock.now()
    await use_case.execute(CastVoteCommand(an_actor(alice), post.id, Direction.DOWN))

    (turned,) = await storage.votes.of_voter(alice.id, limit=2, after=None)
    assert turned == CastVoteView(str(post.id), -1, timestamp(cast_at), timestamp(turned_at))

    for direction in (Direction.DOWN, Direction.NONE, Direction.UP):
        clock.advance(timedelta(minutes=1))
        await use_case.execute(CastVoteCommand(an_actor(alice), post.id, direction))
    (again,) = await storage.votes.of_voter(alice.id, limit=2, after=None)
    assert again == CastVoteView(str(post.id), 1, timestamp(clock.now()), timestamp(clock.now()))


async def test_votes_go_at_the_moment_that_the_account_is_removed_at(storage: Storage) -> None:
    """Whoever scrolls a ranked list as of before keeps the order of then."""
    alice, bob = a_user("alice"), a_user("robert")
    liked, newer = a_post(bob, created_at=NOW), a_post(bob, created_at=NOW + timedelta(seconds=1))
    await given(storage, alice, bob, liked, newer)
    await cast(storage, alice, liked, Direction.UP)
    gone_at = SettableClock().now() + timedelta(seconds=30)

    await remove(storage, alice, at=gone_at)

    async def top(as_of: datetime) -> list[str]:
        found = await storage.posts.ranked(Sort.TOP, limit=5, after=None, as_of=as_of, viewer=None)
        return [item.id for item in found.items]

    assert await top(gone_at - timedelta(microseconds=1)) == [str(liked.id), str(newer.id)]
    assert await top(gone_at) == [str(newer.id), str(liked.id)]
