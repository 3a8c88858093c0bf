"""What every unit of work promises: all of it or nothing, one after the other."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from adapters.shared.request import current
from application.shared.errors import StorageUnavailable
from application.shared.unit_of_work import CommitListener
from domain.identity.errors import EmailTaken, UserNotFound
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.errors import PosternError
from domain.shared.events import DomainEvent
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_post, a_session, a_user, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import changed, given, load_post, load_user
from tests.contracts.test_group_commit import FunctionUseCase
from tests.fakes import ARequest


async def test_what_is_not_committed_is_not_stored(storage: Storage) -> None:
    user = a_user()

    async with storage.identity_units() as uow:
        await uow.users.add(user)

    assert await storage.accounts.account(user.id) is None


async def test_an_error_rolls_everything_back_and_goes_on_its_way(storage: Storage) -> None:
    known, fresh = a_user(), a_user()
    await given(storage, known)

    with pytest.raises(ZeroDivisionError):
        async with storage.identity_units() as uow:
            loaded = await uow.users.get(known.id)
            loaded.change_password("never", at=NOW)
            await uow.users.save(loaded)
            await uow.users.add(fresh)
            await uow.sessions.add(a_session(fresh))
            raise ZeroDivisionError

    assert fields_of(await load_user(storage, known.id)) == fields_of(known)
    assert await storage.accounts.account(fresh.id) is None


async def test_a_refused_step_takes_the_steps_before_it_along(storage: Storage) -> None:
    stranger, user = a_user(), a_user()

    with pytest.raises(UserNotFound):
        async with storage.identity_units() as uow:
            await uow.users.add(user)
            await uow.sessions.add(a_session(stranger))
            await uow.commit()

    assert await storage.accounts.account(user.id) is None


async def test_a_removed_post_is_back_after_a_rollback(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        await uow.posts.remove(await uow.posts.get(post.id), owner=alice.id)

    assert fields_of(await load_post(storage, post.id)) == fields_of(post)
    assert [item.id for item in (await storage.posts.newest(limit=5, before=None, viewer=None)).items] == [str(post.id)]


async def test_after_a_rollback_the_names_are_free_again(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        await uow.users.add(a_user("alice"))

    taker = a_user("Alice")
    await given(storage, taker)

    assert (await load_user(storage, taker.id)).username.value == "Alice"


async def test_what_was_committed_outlives_an_error_after_the_commit(storage: Storage) -> None:
    user = a_user()

    with pytest.raises(ZeroDivisionError):
        async with storage.identity_units() as uow:
            await uow.users.add(user)
            await uow.commit()
            raise ZeroDivisionError

    assert fields_of(await load_user(storage, user.id)) == fields_of(user)


async def test_a_request_knows_whether_anything_was_committed_for_it(storage: Storage) -> None:
    asked = ARequest()
    current.set(asked)
    known, user = a_user(email="alice@example.org"), a_user(email="alice@example.org")

    async def add(who: User, *, commits: bool) -> None:
        async with storage.identity_units() as uow:
            await uow.users.add(who)
            if commits:
                await uow.commit()

    group_commit = storage.group_commit(FunctionUseCase[User, None](lambda who: add(who, commits=True)))
    noted = []
    await add(known, commits=False)
    noted.append(asked.has_committed)
    await add(known, commits=True)
    noted.append(asked.has_committed)

    asked.has_committed = False
    with pytest.raises(EmailTaken):
        await add(user, commits=True)
    with pytest.raises(EmailTaken):
        await group_commit.execute(user)
    noted.append(asked.has_committed)
    await group_commit.execute(a_user())
    noted.append(asked.has_committed)

    assert noted == [False, True, False, True]


async def test_a_request_knows_of_a_commit_although_who_is_told_of_it_fails(open_storage: OpenStorage) -> None:
    class Failing(CommitListener):
        async def committed(self, events: Sequence[DomainEvent]) -> None:
            del events
            raise StorageUnavailable

    storage, alice = open_storage(Failing()), a_user()
    await given(open_storage(), alice)

    async def publish(post: Post) -> None:
        async with storage.posts_units() as uow:
            await uow.posts.add(post)
            await uow.commit()

    for way in (publish, storage.group_commit(FunctionUseCase[Post, None](publish)).execute):
        asked = ARequest()
        current.set(asked)
        post = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW)
        with pytest.raises(StorageUnavailable):
            await way(post)
        assert await storage.posts.get(post.id, viewer=None) is not None
        assert asked.has_committed


async def test_a_unit_of_work_that_did_nothing_may_commit(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        await uow.commit()


async def test_a_cancelled_unit_of_work_leaves_no_trace_and_no_lock(storage: Storage) -> None:
    known, fresh = a_user(), a_user()
    await given(storage, known)
    halfway = asyncio.Event()

    async def interrupted() -> None:
        async with storage.identity_units() as uow:
            loaded = await uow.users.get(known.id)
            loaded.change_password("never", at=NOW)
            await uow.users.save(loaded)
            await uow.users.add(fresh)
            halfway.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(interrupted())
    await asyncio.wait_for(halfway.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(10):
        assert fields_of(await load_user(storage, known.id)) == fields_of(known)
        await given(storage, fresh)


async def test_whoever_is_cancelled_while_waiting_for_a_lock_harms_nobody(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)

    async def wait_in_line() -> None:
        async with storage.identity_units() as uow:
            await uow.users.get(user.id)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        waiting = asyncio.create_task(wait_in_line())
        _, pending = await asyncio.wait([waiting], timeout=0.1)
        assert pending == {waiting}, "the account was not locked"
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        loaded.change_password("changed", at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    async with asyncio.timeout(10):
        assert (await load_user(storage, user.id)).password_hash == "changed"


async def test_units_of_work_cancelled_at_any_moment_leave_all_or_nothing(storage: Storage) -> None:
    """A client may hang up at any await: between two statements, within one, within the commit."""
    alice = a_user()
    await given(storage, alice)
    posts = [a_post(alice) for _ in range(24)]

    async def publish_two(first: int) -> None:
        async with storage.posts_units() as uow:
            await uow.posts.add(posts[first])
            await uow.posts.add(posts[first + 1])
            await uow.commit()

    for first in range(0, len(posts), 2):
        task = asyncio.create_task(publish_two(first))
        for _ in range(first):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        # A cancellation or, where it met a busy database, a failure by name; nothing else.
        assert task.cancelled() or task.exception() is None or isinstance(task.exception(), PosternError)

    async with asyncio.timeout(20):
        stored = [await storage.posts.get(post.id, viewer=None) is not None for post in posts]
        assert stored[0::2] == stored[1::2]
        last = a_post(alice)
        await given(storage, last)
        assert await storage.posts.get(last.id, viewer=None) is not None


async def test_what_was_loaded_stays_locked_until_the_end(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async def edit_after(first: asyncio.Event) -> str:
        async with storage.posts_units() as uow:
            loaded = await uow.posts.get(post.id)
            seen = loaded.text.value
            assert first.is_set(), "two units of work held one post"
            loaded.edit(by=an_actor(alice), text=PostText(f"{seen}, second"), at=NOW)
            await uow.posts.save(loaded, owner=alice.id)
            await uow.commit()
        return seen

    first_done = asyncio.Event()
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        second = asyncio.create_task(edit_after(first_done))
        await asyncio.wait([second], timeout=0.1)
        loaded.edit(by=an_actor(alice), text=PostText("first"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)
        first_done.set()
        await uow.commit()

    assert await asyncio.wait_for(second, 10) == "first"
    assert (await load_post(storage, post.id)).text.value == "first, second"


async def test_nobody_else_sees_what_is_not_committed_yet(storage: Storage) -> None:
    alice = a_user(name="Alice")
    post = a_post(alice, "as published")
    await given(storage, alice, post)
    newcomer = a_user()

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText("not yet"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)
        await uow.posts.add(a_post(alice))

        slice_ = await storage.posts.by_author(alice.id, limit=10, before=None, viewer=None)
        assert [item.text for item in slice_.items] == ["as published"]
        assert await storage.accounts.account(newcomer.id) is None


async def test_a_reader_sees_a_committed_write_at_once(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    await storage.posts.newest(limit=10, before=None, viewer=None)

    for number in range(5):
        post = a_post(alice, f"post {number}")
        async with storage.posts_units() as uow:
            await uow.posts.add(post)
            await uow.commit()
            newest = await storage.posts.newest(limit=1, before=None, viewer=None)
        assert [item.id for item in newest.items] == [str(post.id)]


async def test_another_process_sees_a_committed_write_at_once(open_storage: OpenStorage) -> None:
    here, there = open_storage(), open_storage()
    alice = a_user()
    await given(there, alice)
    await here.posts.newest(limit=10, before=None, viewer=None)

    for number in range(5):
        post = a_post(alice, f"post {number}")
        await given(there, post)
        newest = await here.posts.newest(limit=1, before=None, viewer=None)
        assert [item.id for item in newest.items] == [str(post.id)]


async def test_a_lock_holds_against_other_processes(open_storage: OpenStorage) -> None:
    here, there = open_storage(), open_storage()
    user = a_user(password_hash="0")
    await given(here, user)

    await asyncio.gather(changed(here, user.id, times=4), changed(there, user.id, times=4))

    assert (await load_user(here, user.id)).password_hash == "8"
