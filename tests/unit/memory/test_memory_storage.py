"""What is particular to the memory storage; what it shares with the others is in the contract suites."""

import asyncio

import pytest

from adapters.memory.fence import MemoryCacheFence
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from application.shared.errors import TransientFailure
from domain.shared.events import Aggregate
from tests.aggregates import fields_of
from tests.builders import NOW, a_post, a_recorder, a_session, a_user
from tests.filled import a_filled_order, a_filled_post


async def test_whoever_waits_too_long_for_the_lock_may_try_again() -> None:
    store = MemoryStore(lock_wait_seconds=0.01)
    user = a_user()

    async with MemoryUnitOfWork(store, a_recorder()) as first:
        await first.users.add(user)
        async with MemoryUnitOfWork(store, a_recorder()) as second:
            with pytest.raises(TransientFailure):
                await second.users.get(user.id)
        await first.commit()

    async with MemoryUnitOfWork(store, a_recorder()) as third:
        assert (await third.users.get(user.id)).id == user.id


async def test_units_of_work_take_turns_in_the_order_they_came() -> None:
    store = MemoryStore()
    order: list[int] = []

    async def take_a_turn(number: int) -> None:
        async with MemoryUnitOfWork(store, a_recorder()) as uow:
            await uow.users.add(a_user())
            order.append(number)
            await uow.commit()

    async with MemoryUnitOfWork(store, a_recorder()) as holder:
        await holder.users.add(a_user())
        waiting = [asyncio.create_task(take_a_turn(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2, 3, 4]


async def test_a_unit_of_work_that_has_ended_is_of_no_more_use() -> None:
    store = MemoryStore()
    unit = MemoryUnitOfWork(store, a_recorder())
    async with unit as uow:
        await uow.users.add(a_user())
        await uow.commit()
        with pytest.raises(RuntimeError, match="has ended"):
            await uow.users.add(a_user())
    with pytest.raises(RuntimeError, match="has ended"):
        await unit.commit()

    assert len(store.users) == 1


async def test_an_id_is_not_given_twice() -> None:
    user = a_user()
    session, post = a_session(user), a_post(user)

    async with MemoryUnitOfWork(MemoryStore(), a_recorder()) as uow:
        await uow.users.add(user)
        await uow.sessions.add(session)
        await uow.posts.add(post)
        with pytest.raises(ValueError, match="already"):
            await uow.users.add(a_user(id=user.id))
        with pytest.raises(ValueError, match="already"):
            await uow.sessions.add(a_session(user, id=session.id))
        with pytest.raises(ValueError, match="already"):
            await uow.posts.add(a_post(user, id=post.id))


async def test_a_closed_store_has_forgotten_everything() -> None:
    store = MemoryStore()
    async with MemoryUnitOfWork(store, a_recorder()) as uow:
        await uow.users.add(a_user())
        await uow.commit()

    store.clear()

    assert (store.users, store.emails, store.usernames) == ({}, {}, {})


async def test_a_fence_stands_for_as_long_as_it_was_raised() -> None:
    seconds = 100.0
    fence = MemoryCacheFence(MemoryStore(), now=lambda: seconds)
    await fence.raise_for(5)

    seconds = 104.9
    assert await fence.is_up() is True
    seconds = 105.0
    assert await fence.is_up() is False


def untouched(before: Aggregate, after: Aggregate) -> set[str]:
    was, now = fields_of(before), fields_of(after)
    return {name for name in was if was[name] == now[name]}


async def test_a_tombstone_keeps_no_field_but_those_that_are_structural() -> None:
    store = MemoryStore()
    alice = a_user()
    beginning = a_post(alice)
    post = a_filled_post(alice, beginning)
    async with MemoryUnitOfWork(store, a_recorder()) as uow:
        await uow.users.add(alice)
        await uow.posts.add(beginning)
        await uow.posts.add(post)
        await uow.commit()

    async with MemoryUnitOfWork(store, a_recorder()) as uow:
        await uow.posts.remove(await uow.posts.get(post.id), owner=alice.id)
        await uow.commit()

    # Its version has moved on. Whatever else a post has is emptied where `deleted` is set.
    kept = untouched(post, store.posts[post.id].post)
    assert kept == {"id", "reply_to", "replies", "created_at", "updated_at"}


async def test_an_order_whose_customer_is_gone_keeps_no_field_but_those_that_are_structural() -> None:
    store = MemoryStore()
    alice = a_user()
    order = a_filled_order(alice)
    async with MemoryUnitOfWork(store, a_recorder()) as uow:
        await uow.users.add(alice)
        await uow.orders.add(order)
        await uow.commit()

    async with MemoryUnitOfWork(store, a_recorder()) as uow:
        await uow.users.remove(await uow.users.get(alice.id), at=NOW)
        await uow.commit()

    assert untouched(order, store.orders[order.id]) == {"id", "lines", "status", "created_at", "updated_at"}
