"""When commit listeners are told, and of what."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from application.shared.pending import settled
from application.shared.unit_of_work import CommitListener
from domain.identity.events import PasswordChanged, UserSignedUp
from domain.identity.user import User
from domain.posts.events import PostDeleted, PostEdited, PostPublished
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.events import DomainEvent
from domain.shared.ids import PostId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given


class Recorder(CommitListener):
    """Notes what it is told, and looks around first when it is given a `look`."""

    def __init__(self, look: Callable[[], Awaitable[object]] | None = None) -> None:
        self.told: list[list[DomainEvent]] = []
        self.seen: list[object] = []
        self._look = look

    async def committed(self, events: Sequence[DomainEvent]) -> None:
        if self._look is not None:
            self.seen.append(await self._look())
        self.told.append(list(events))


def a_published_post(author: User) -> Post:
    return Post.publish(id=PostId(an_id()), by=an_actor(author), text=PostText("news"), at=NOW)


async def given_author(open_storage: OpenStorage) -> tuple[Storage, Recorder, User]:
    recorder = Recorder()
    storage = open_storage(recorder)
    alice = a_user()
    await given(storage, alice)
    recorder.told.clear()
    return storage, recorder, alice


async def test_listeners_are_told_before_commit_returns(open_storage: OpenStorage) -> None:
    storage, recorder, alice = await given_author(open_storage)
    post = a_published_post(alice)

    async with storage.posts_units() as uow:
        await uow.posts.add(post)
        assert recorder.told == []
        await uow.commit()
        assert recorder.told == [[PostPublished(at=NOW, post_id=post.id, author_id=alice.id, version=1)]]


async def test_listeners_are_told_after_the_commit(open_storage: OpenStorage) -> None:
    """A listener that reads must find what it is told of; otherwise whoever reloads on its word reloads the past."""
    alice = a_user()
    post = a_published_post(alice)

    async def look() -> tuple[bool, int | None]:
        seen = await storage.posts.get(post.id, viewer=None)
        return seen is not None, await settled(storage.revisions.current(alice.id))

    recorder = Recorder(look)
    storage = open_storage(recorder)
    await given(storage, alice)
    before = await settled(storage.revisions.current(alice.id))
    recorder.seen.clear()

    await given(storage, post)

    assert recorder.seen == [(True, await settled(storage.revisions.current(alice.id)))]
    assert recorder.seen != [(True, before)]


async def test_nothing_is_told_of_a_rollback(open_storage: OpenStorage) -> None:
    storage, recorder, alice = await given_author(open_storage)

    async with storage.posts_units() as uow:
        await uow.posts.add(a_published_post(alice))
    with pytest.raises(ZeroDivisionError):
        async with storage.posts_units() as uow:
            await uow.posts.add(a_published_post(alice))
            raise ZeroDivisionError

    assert recorder.told == []


async def test_added_saved_and_removed_aggregates_all_have_their_say_in_order(open_storage: OpenStorage) -> None:
    storage, recorder, alice = await given_author(open_storage)
    edited, deleted = a_post(alice), a_post(alice)
    await given(storage, edited, deleted)
    recorder.told.clear()
    actor, published = an_actor(alice), a_published_post(alice)

    async with storage.posts_units() as uow:
        first = await uow.posts.get(edited.id)
        first.edit(by=actor, text=PostText("edited"), at=NOW)
        await uow.posts.save(first, owner=alice.id)
        second = await uow.posts.get(deleted.id)
        second.delete(by=actor, at=NOW)
        await uow.posts.remove(second, owner=alice.id)
        await uow.posts.add(published)
        await uow.commit()

    assert recorder.told == [
        [
            PostEdited(at=NOW, post_id=edited.id, author_id=alice.id, version=2),
            PostDeleted(at=NOW, post_id=deleted.id, author_id=alice.id, version=1, deleted_by=alice.id),
            PostPublished(at=NOW, post_id=published.id, author_id=alice.id, version=1),
        ]
    ]


async def test_an_aggregate_saved_twice_is_told_of_once(open_storage: OpenStorage) -> None:
    recorder = Recorder()
    storage = open_storage(recorder)
    user = User.sign_up(
        id=UserId(an_id()),
        email=a_user().email,
        username=a_user().username,
        name=None,
        password_hash="first",
        at=NOW,
    )

    async with storage.identity_units() as uow:
        await uow.users.add(user)
        user.change_password("second", at=NOW)
        await uow.users.save(user)
        await uow.commit()

    signed_up = UserSignedUp(at=NOW, user_id=user.id, username=user.username.value)
    assert recorder.told == [[signed_up, PasswordChanged(at=NOW, user_id=user.id)]]
    assert user.pull_events() == []


async def test_an_aggregate_that_was_only_loaded_is_not_told_of(open_storage: OpenStorage) -> None:
    storage, recorder, alice = await given_author(open_storage)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(alice.id)
        loaded.change_password("never saved", at=NOW)
        await uow.commit()

    assert [event for events in recorder.told for event in events] == []


async def test_every_listener_is_told_in_the_order_they_were_given(open_storage: OpenStorage) -> None:
    order: list[str] = []

    async def note(name: str) -> None:
        await asyncio.sleep(0)
        order.append(name)

    storage = open_storage(Recorder(lambda: note("first")), Recorder(lambda: note("second")))
    alice = a_user()
    await given(storage, alice)
    order.clear()

    await given(storage, a_published_post(alice))

    assert order == ["first", "second"]


async def test_whoever_hangs_up_during_the_commit_does_not_keep_the_listeners_from_hearing(
    open_storage: OpenStorage,
) -> None:
    """What is committed is committed: a shared cache that never heard of it would go on serving what it has."""
    called, released = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        called.set()
        await released.wait()

    released.set()
    first, second = Recorder(hold), Recorder()
    storage = open_storage(first, second)
    alice = a_user()
    await given(storage, alice)
    called.clear()
    released.clear()
    for recorder in (first, second):
        recorder.told.clear()
    post = a_published_post(alice)

    async def publish() -> None:
        async with storage.posts_units() as uow:
            await uow.posts.add(post)
            await uow.commit()

    task = asyncio.create_task(publish())
    await asyncio.wait_for(called.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()

    event = PostPublished(at=NOW, post_id=post.id, author_id=alice.id, version=1)
    async with asyncio.timeout(10):
        while not second.told:  # noqa: ASYNC110 - the listener tells nobody that it was told
            await asyncio.sleep(0.01)
    assert (first.told, second.told) == ([[event]], [[event]])
    assert await storage.posts.get(post.id, viewer=None) is not None
