"""What a use case may rely on that shares its commit with others: everything that it would have by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

import pytest

from adapters.shared.request import current
from adapters.system.origin import ContextOrigins
from application.posts.publish_post import PublishPost, PublishPostCommand
from application.shared.unit_of_work import CommitListener
from domain.identity.errors import EmailTaken
from domain.identity.user import User
from domain.posts.errors import PostNotFound
from domain.posts.values import PostText
from domain.shared.events import DomainEvent
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given
from tests.fakes import ARequest, CountedIds, SettableClock

C = TypeVar("C")
R = TypeVar("R")


class FunctionUseCase(Generic[C, R]):
    """A use case made of a function."""

    def __init__(self, scenario: Callable[[C], Awaitable[R]]) -> None:
        self._story = scenario

    async def execute(self, command: C, /) -> R:
        return await self._story(command)


async def add(storage: Storage, user: User) -> None:
    async with storage.identity_units() as uow:
        await uow.users.add(user)
        await uow.commit()


async def test_what_fails_takes_nobody_else_along(storage: Storage) -> None:
    taken = a_user(email="alice@example.org")
    await given(storage, taken)
    users = [a_user(email="alice@example.org") if number % 3 == 0 else a_user() for number in range(30)]
    group_commit = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))

    outcomes = await asyncio.gather(*(group_commit.execute(user) for user in users), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [
        EmailTaken if number % 3 == 0 else type(None) for number in range(30)
    ]
    stored = [await storage.accounts.account(user.id) is not None for user in users]
    assert stored == [number % 3 != 0 for number in range(30)]


async def test_what_is_not_committed_is_not_stored_though_others_are(storage: Storage) -> None:
    users = [a_user() for _ in range(20)]

    async def scenario(number: int) -> None:
        async with storage.identity_units() as uow:
            await uow.users.add(users[number])
            if number % 2:
                await uow.commit()

    group_commit = storage.group_commit(FunctionUseCase(scenario))
    await asyncio.gather(*(group_commit.execute(number) for number in range(20)))

    stored = [await storage.accounts.account(user.id) is not None for user in users]
    assert stored == [number % 2 == 1 for number in range(20)]


async def test_a_refused_step_takes_the_steps_before_it_along(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    posts = [a_post(alice) for _ in range(10)]

    async def scenario(number: int) -> None:
        async with storage.posts_units() as uow:
            await uow.posts.add(posts[number])
            await uow.posts.get(posts[number].id if number % 2 else PostId(an_id()))
            await uow.commit()

    group_commit = storage.group_commit(FunctionUseCase(scenario))
    outcomes = await asyncio.gather(*(group_commit.execute(number) for number in range(10)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None) if n % 2 else PostNotFound for n in range(10)]
    stored = [await storage.posts.get(post.id, viewer=None) is not None for post in posts]
    assert stored == [number % 2 == 1 for number in range(10)]


async def test_what_is_committed_before_it_is_refused_stays(storage: Storage) -> None:
    """A wrong code is counted, and then refused."""
    users = [a_user() for _ in range(20)]

    async def scenario(number: int) -> None:
        await add(storage, users[number])
        if number % 2:
            raise PostNotFound

    group_commit = storage.group_commit(FunctionUseCase(scenario))
    outcomes = await asyncio.gather(*(group_commit.execute(number) for number in range(20)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [PostNotFound if n % 2 else type(None) for n in range(20)]
    assert all([await storage.accounts.account(user.id) is not None for user in users])


async def test_it_reads_what_it_has_committed(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)

    async def scenario(_: int) -> bool:
        post = a_post(alice)
        async with storage.posts_units() as uow:
            await uow.posts.add(post)
            await uow.commit()
        found = await storage.posts.by_author(alice.id, limit=1, before=None, viewer=alice.id)
        return await storage.posts.get(post.id, viewer=None) is not None and bool(found.items)

    group_commit = storage.group_commit(FunctionUseCase(scenario))

    assert all(await asyncio.gather(*(group_commit.execute(number) for number in range(10))))


async def test_who_is_answered_finds_it_stored_and_the_listeners_told(open_storage: OpenStorage) -> None:
    told: list[DomainEvent] = []

    class Listener(CommitListener):
        async def committed(self, events: Sequence[DomainEvent]) -> None:
            await asyncio.sleep(0)
            told.extend(events)

    storage, elsewhere = open_storage(Listener()), open_storage()
    alice = a_user()
    await given(elsewhere, alice)
    publish = storage.group_commit(
        PublishPost(uow=storage.posts_units, authors=storage.authors, ids=CountedIds(), clock=SettableClock())
    )

    async def publish_and_look(number: int) -> None:
        view = await publish.execute(PublishPostCommand(an_actor(alice), PostText(f"post {number}")))
        assert view.id in {str(getattr(event, "post_id", None)) for event in told}
        assert await elsewhere.posts.get(PostId(UUID(view.id)), viewer=None) is not None

    await asyncio.gather(*(publish_and_look(number) for number in range(20)))
    assert len(told) == 20


async def test_a_listener_that_fails_fails_its_own_caller_alone(open_storage: OpenStorage) -> None:
    class Listener(CommitListener):
        async def committed(self, events: Sequence[DomainEvent]) -> None:
            if getattr(events[0], "user_id", None) == unlucky.id:
                raise ZeroDivisionError

    storage = open_storage(Listener())
    users = [
        User.sign_up(id=a.id, email=a.email, username=a.username, name=None, password_hash="x", at=NOW)
        for a in (a_user() for _ in range(6))
    ]
    unlucky = users[2]
    group_commit = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))

    outcomes = await asyncio.gather(*(group_commit.execute(user) for user in users), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [
        ZeroDivisionError if user is unlucky else type(None) for user in users
    ]
    # It was committed all the same.
    assert await storage.accounts.account(unlucky.id) is not None


async def test_callers_who_hang_up_leave_all_or_nothing_and_the_others_unharmed(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    posts = [a_post(alice) for _ in range(60)]

    async def scenario(first: int) -> None:
        async with storage.posts_units() as uow:
            await uow.posts.add(posts[first])
            await uow.posts.add(posts[first + 1])
            await uow.commit()

    group_commit = storage.group_commit(FunctionUseCase(scenario))
    tasks = [asyncio.create_task(group_commit.execute(first)) for first in range(0, 60, 2)]
    for moments, task in enumerate(tasks[::2]):
        for _ in range(moments):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(tasks)

    assert all(task.exception() is None for task in tasks[1::2])
    async with asyncio.timeout(10):
        stored = [await storage.posts.get(post.id, viewer=None) is not None for post in posts]
    assert stored[0::2] == stored[1::2]
    assert all(stored[2::4])
    await given(storage, a_post(alice))


async def test_grouped_and_other_units_of_work_take_turns(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    group_commit = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))
    users = [a_user() for _ in range(40)]

    async def slow(user: User) -> None:
        async with storage.identity_units() as uow:
            await uow.users.add(user)
            await asyncio.sleep(0.001)
            await uow.commit()

    async with asyncio.timeout(20):
        await asyncio.gather(
            *(slow(user) if n % 4 == 0 else group_commit.execute(user) for n, user in enumerate(users))
        )

    assert all([await storage.accounts.account(user.id) is not None for user in users])


async def test_each_acts_on_behalf_of_its_own_caller(storage: Storage) -> None:
    """Where a request came from goes by a context variable, which is the caller's, not the group's."""

    async def scenario(_: int) -> str:
        return ContextOrigins().current().request_id

    group_commit = storage.group_commit(FunctionUseCase(scenario))

    async def asked(number: int) -> str:
        current.set(ARequest(request_id=f"request {number}"))
        return await group_commit.execute(number)

    requests = await asyncio.gather(*(asyncio.create_task(asked(number)) for number in range(10)))

    assert requests == [f"request {number}" for number in range(10)]


@pytest.mark.parametrize("attempts", [1, 50])
async def test_one_after_the_other_works_as_well(storage: Storage, attempts: int) -> None:
    group_commit = storage.group_commit(FunctionUseCase[User, None](lambda user: add(storage, user)))

    for _ in range(attempts):
        user = a_user()
        await group_commit.execute(user)
        assert await storage.accounts.account(user.id) is not None
