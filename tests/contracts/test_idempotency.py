"""What keeping answers by idempotency key promises, over every storage."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256

import pytest

from adapters.security.keys import DerivedKeys
from adapters.security.response_cipher import AesGcmResponseCipher
from application.orders.place_order import PlaceOrder, PlaceOrderCommand
from application.orders.ports import OrdersUnitOfWork
from application.orders.views import OrderView
from application.posts.publish_post import PublishPost, PublishPostCommand
from application.shared.idempotency import (
    CallerGone,
    Idempotency,
    IdempotencyClaim,
    IdempotencyInFlight,
    IdempotencyKey,
    IdempotencyKeyReused,
    IdempotentResponse,
    KeyTaken,
)
from domain.identity.user import User
from domain.orders.errors import OrderNotFound
from domain.orders.values import OrderLine, OrderLines, ProductId, ShippingAddress
from domain.posts.values import PostText
from domain.shared.ids import OrderId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_user, an_actor, an_id, an_order
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given, race, retried
from tests.fakes import CountedIds, SettableClock

DAY = timedelta(hours=24)
KEY = IdempotencyKey("a-key")
ASKED = sha256(b"one order").digest()
VAULT = AesGcmResponseCipher(keys=DerivedKeys("a key that everybody knows"))
LINES = OrderLines.of([OrderLine.of(ProductId.parse("sku-1"), 1)])
ADDRESS = ShippingAddress("1 Main Street", "Springfield", "IL", "62701", None)


def once(
    user: User, key: IdempotencyKey = KEY, *, at: timedelta = timedelta(), answer: bytes = b"an answer"
) -> IdempotencyClaim[str]:
    return IdempotencyClaim(user.id, key, NOW + at, lambda view: answer + view.encode())


async def keep(storage: Storage, claimed: IdempotencyClaim[str]) -> None:
    async with storage.orders_units() as uow:
        await uow.idempotency.claim(claimed, "!")
        await uow.commit()


async def has_happened(uow: OrdersUnitOfWork) -> None:
    """Have what was done so far be sent, where that is put off: whatever is read comes after it."""
    with suppress(OrderNotFound):
        await uow.orders.get(OrderId(an_id()))


async def orders_of(storage: Storage, user: User) -> list[OrderView]:
    return (await storage.orders.newest(limit=100, before=None, customer=user.id)).items


class Shop:
    """One process that takes orders, with keys of its own that are in flight."""

    def __init__(self, storage: Storage, clock: SettableClock, customer: User) -> None:
        self._place = retried(storage.group_commit(PlaceOrder(uow=storage.orders_units, ids=CountedIds(), clock=clock)))
        self._idempotency = Idempotency(kept=storage.stored_responses, vault=VAULT, clock=clock)
        self._customer = customer

    async def order(self, *, digest: bytes = ASKED, customer: User | None = None) -> IdempotentResponse:
        customer = customer or self._customer
        return await self._idempotency.run_once(
            lambda once: self._place.execute(PlaceOrderCommand(an_actor(customer), LINES, ADDRESS, once)),
            owner=customer.id,
            key=KEY,
            digest=digest,
            render=lambda view: view.id.encode(),
        )


async def test_the_keys_of_an_account_are_counted_as_far_as_is_asked(storage: Storage, alice: User) -> None:
    other = a_user("robert")
    await given(storage, other)
    for owner, key in ((alice, "a"), (alice, "b"), (alice, "c"), (other, "a")):
        async with storage.orders_units() as uow:
            await uow.idempotency.claim(IdempotencyClaim(owner.id, IdempotencyKey(key), NOW, str.encode), "!")
            await uow.commit()

    assert [await storage.stored_responses.count(alice.id, limit=limit) for limit in (2, 3, 4)] == [2, 3, 3]
    assert await storage.stored_responses.count(UserId(an_id()), limit=2) == 0


@pytest.fixture
async def alice(storage: Storage) -> User:
    user = a_user()
    await given(storage, user)
    return user


async def test_a_kept_answer_comes_back_to_the_byte(storage: Storage, alice: User) -> None:
    longest = IdempotencyKey("".join(chr(0x21 + n % 94) for n in range(255)))
    answer = bytes(range(256)) * 4400  # more than the largest post
    await keep(storage, once(alice, longest, answer=answer))

    kept = await storage.stored_responses.find(alice.id, longest)

    assert kept is not None
    assert (kept.sealed, kept.at) == (answer + b"!", NOW)


async def test_what_is_rolled_back_leaves_no_key(storage: Storage, alice: User) -> None:
    async with storage.orders_units() as uow:
        await uow.idempotency.claim(once(alice), "!")

    assert await storage.stored_responses.find(alice.id, KEY) is None
    await keep(storage, once(alice))


async def test_a_key_that_is_taken_takes_the_rest_of_its_unit_of_work_along(storage: Storage, alice: User) -> None:
    await keep(storage, once(alice))
    order = an_order(alice)

    with pytest.raises(KeyTaken):
        async with storage.orders_units() as uow:
            await uow.orders.add(order)
            await uow.idempotency.claim(once(alice), "!")
            await uow.commit()

    assert await storage.orders.get(order.id) is None


async def test_keys_are_told_apart_by_owner_and_by_byte(storage: Storage, alice: User) -> None:
    other = a_user()
    await given(storage, other)
    claims = [
        once(alice, answer=b"1"),
        once(other, answer=b"2"),
        once(alice, IdempotencyKey("A-key"), answer=b"3"),
        once(alice, IdempotencyKey("a-key\\"), answer=b"4"),
    ]
    for claimed in claims:
        await keep(storage, claimed)

    kept = [await storage.stored_responses.find(claimed.owner, claimed.key) for claimed in claims]
    assert [found and found.sealed for found in kept] == [b"1!", b"2!", b"3!", b"4!"]


async def test_without_a_key_nothing_is_claimed(storage: Storage, alice: User) -> None:
    async with storage.orders_units() as uow:
        await uow.idempotency.claim(None, "!")
        await uow.commit()

    assert await storage.stored_responses.purge(until=NOW + DAY, limit=10) == 0


async def test_an_account_that_is_gone_claims_nothing(storage: Storage) -> None:
    async with storage.orders_units() as uow:
        with pytest.raises(CallerGone):  # by one or the other
            await uow.idempotency.claim(once(a_user()), "!")
            await uow.commit()


async def test_an_account_that_goes_takes_its_keys_along(storage: Storage, alice: User) -> None:
    other = a_user()
    await given(storage, other)
    await keep(storage, once(alice))
    await keep(storage, once(other))

    async with storage.identity_units() as uow:
        user = await uow.users.get(alice.id)
        await uow.users.remove(user, at=NOW)
        await uow.commit()

    assert await storage.stored_responses.find(alice.id, KEY) is None
    assert await storage.stored_responses.find(other.id, KEY) is not None


async def test_only_what_is_old_enough_is_forgotten(storage: Storage, alice: User) -> None:
    await keep(storage, once(alice, at=DAY))

    await storage.stored_responses.forget(alice.id, KEY, until=NOW + DAY - timedelta(microseconds=1))
    assert await storage.stored_responses.find(alice.id, KEY) is not None
    await storage.stored_responses.forget(alice.id, KEY, until=NOW + DAY)
    assert await storage.stored_responses.find(alice.id, KEY) is None


async def test_a_purge_takes_the_oldest_first_and_no_more_than_it_may(storage: Storage, alice: User) -> None:
    keys = [IdempotencyKey(f"key-{n}") for n in range(6)]
    for hours, key in zip((4, 1, 5, 2, 3, 6), keys, strict=True):
        await keep(storage, once(alice, key, at=timedelta(hours=hours)))

    async def left() -> list[str]:
        return [key.value for key in keys if await storage.stored_responses.find(alice.id, key) is not None]

    assert await storage.stored_responses.purge(until=NOW + timedelta(hours=5), limit=2) == 2
    assert await left() == ["key-0", "key-2", "key-4", "key-5"]
    assert await storage.stored_responses.purge(until=NOW + timedelta(hours=5), limit=10) == 3
    assert await left() == ["key-5"]
    assert await storage.stored_responses.purge(until=NOW + timedelta(hours=5), limit=10) == 0


async def test_the_second_time_the_first_answer_is_given_and_nothing_written(
    storage: Storage, clock: SettableClock, alice: User
) -> None:
    shop = Shop(storage, clock, alice)

    first, second = await shop.order(), await shop.order()

    assert (first.replayed, second.replayed, second.answer) == (False, True, first.answer)
    assert [order.id.encode() for order in await orders_of(storage, alice)] == [first.answer]


async def test_another_request_under_the_same_key_is_refused(
    storage: Storage, clock: SettableClock, alice: User
) -> None:
    shop = Shop(storage, clock, alice)
    await shop.order()

    with pytest.raises(IdempotencyKeyReused):
        await shop.order(digest=sha256(b"two orders").digest())

    assert len(await orders_of(storage, alice)) == 1


async def test_after_24_hours_a_key_is_free_and_not_before(storage: Storage, clock: SettableClock, alice: User) -> None:
    shop = Shop(storage, clock, alice)
    first = await shop.order()
    clock.advance(DAY - timedelta(microseconds=1))
    assert await shop.order() == IdempotentResponse(first.answer, replayed=True)

    clock.advance(timedelta(microseconds=1))
    anew = await shop.order(digest=sha256(b"two orders").digest())

    assert not anew.replayed
    assert len(await orders_of(storage, alice)) == 2


async def test_the_mechanism_purges_what_is_older_than_24_hours(
    storage: Storage, clock: SettableClock, alice: User
) -> None:
    await keep(storage, once(alice, IdempotencyKey("old")))
    await keep(storage, once(alice, IdempotencyKey("young"), at=timedelta(microseconds=1)))
    clock.advance(DAY)

    await Idempotency(kept=storage.stored_responses, vault=VAULT, clock=clock).purge()

    assert await storage.stored_responses.find(alice.id, IdempotencyKey("old")) is None
    assert await storage.stored_responses.find(alice.id, IdempotencyKey("young")) is not None


async def test_twenty_processes_that_are_sent_one_key_write_one_order(
    open_storage: OpenStorage, storage: Storage, clock: SettableClock, alice: User
) -> None:
    processes = [storage, open_storage()]

    async def scenario(number: int) -> IdempotentResponse:
        return await Shop(processes[number % 2], clock, alice).order()

    answered, refused = await race(20, scenario)

    assert {type(failure) for failure in refused} <= {IdempotencyInFlight}
    assert len({answer.answer for answer in answered}) == 1
    assert [answer.replayed for answer in answered].count(False) == 1
    assert len(await orders_of(storage, alice)) == 1


async def test_twenty_processes_that_are_sent_one_key_publish_one_post(
    open_storage: OpenStorage, storage: Storage, clock: SettableClock, alice: User
) -> None:
    """Where nothing is asked between the claim and the commit, all of it may be one statement."""
    processes = [storage, open_storage()]

    async def scenario(number: int) -> IdempotentResponse:
        process = processes[number % 2]
        publish = retried(
            process.group_commit(
                PublishPost(uow=process.posts_units, authors=process.authors, ids=CountedIds(), clock=clock)
            )
        )
        return await Idempotency(kept=process.stored_responses, vault=VAULT, clock=clock).run_once(
            lambda once: publish.execute(PublishPostCommand(an_actor(alice), PostText("news"), idempotency=once)),
            owner=alice.id,
            key=KEY,
            digest=ASKED,
            render=lambda view: view.id.encode(),
        )

    answered, refused = await race(20, scenario)

    posts = (await storage.posts.by_author(alice.id, limit=100, before=None, viewer=None)).items
    assert {type(failure) for failure in refused} <= {IdempotencyInFlight}
    assert [answer.replayed for answer in answered].count(False) == 1
    assert {answer.answer for answer in answered} == {post.id.encode() for post in posts}
    assert len(posts) == 1


async def test_when_the_first_gives_up_one_of_those_who_waited_for_it_writes(
    storage: Storage, clock: SettableClock, alice: User
) -> None:
    """InnoDB gives all who wait a shared lock on what was rolled back, and breaks the deadlock that comes of it."""

    async def scenario(_: int) -> IdempotentResponse:
        return await Shop(storage, clock, alice).order()

    async with storage.orders_units() as uow:
        await uow.idempotency.claim(once(alice), "!")
        await has_happened(uow)
        waiting = asyncio.create_task(race(8, scenario))
        await asyncio.sleep(0.3)
    answered, refused = await waiting

    assert {type(failure) for failure in refused} <= {IdempotencyInFlight}
    assert [answer.replayed for answer in answered].count(False) == 1
    assert len(await orders_of(storage, alice)) == 1


async def test_within_one_process_the_second_is_told_at_once(
    storage: Storage, clock: SettableClock, alice: User
) -> None:
    shop = Shop(storage, clock, alice)

    answered, refused = await race(100, lambda _: shop.order())

    assert len(answered) + len(refused) == 100
    assert {type(failure) for failure in refused} <= {IdempotencyInFlight}
    assert [answer.replayed for answer in answered].count(False) == 1
    assert len(await orders_of(storage, alice)) == 1
