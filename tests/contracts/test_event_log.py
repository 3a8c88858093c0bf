"""What every event log promises: all that was committed, nothing else, in an order that never changes for a reader."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from adapters.sql.database import Database
from adapters.sql.outbox import rows_for, statement_for
from adapters.sql.transaction import Transaction
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.shared.event_log import EventLog, LoggedEvent
from domain.identity.user import User
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.values import OrderLine, OrderLines, ProductId
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.posts.vote import Direction
from domain.shared.actor import Role
from domain.shared.ids import OrderId, PostId, UserId
from entrypoints.storage import Storage
from tests.builders import AN_ADDRESS, NOW, a_post, a_user, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given, race, retried
from tests.fakes import SettableClock


async def read_all(log: EventLog, *, after: int = 0, limit: int = 100) -> list[LoggedEvent]:
    """Settle what there is, and read page by page to the end."""
    while await log.assign_positions():
        pass
    found: list[LoggedEvent] = []
    while page := await log.read(after=found[-1].position if found else after, limit=limit):
        found += page
    return found


def types(events: Sequence[LoggedEvent]) -> list[str]:
    return [event.type for event in events]


def data_of(event: LoggedEvent) -> dict[str, Any]:
    found = json.loads(event.data)
    assert isinstance(found, dict)
    return found


async def publish(storage: Storage, author: User, text: str = "news") -> Post:
    post = Post.publish(id=PostId(an_id()), by=an_actor(author), text=PostText(text), at=NOW)
    await given(storage, post)
    return post


async def edit(storage: Storage, author: User, post_id: PostId, text: str) -> None:
    async with storage.posts_units() as uow:
        post = await uow.posts.get(post_id)
        post.edit(by=an_actor(author), text=PostText(text), at=NOW)
        await uow.posts.save(post, owner=author.id)
        await uow.commit()


async def test_an_empty_log_has_no_head_and_no_tail(storage: Storage) -> None:
    assert await read_all(storage.events) == []
    assert (await storage.events.head(), await storage.events.position_before_oldest()) == (0, 0)


async def test_a_post_tells_of_its_whole_life_without_a_word_of_its_text(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    post = await publish(storage, alice, "a secret text")
    await edit(storage, alice, post.id, "another secret text")
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.delete(by=an_actor(alice), at=NOW)
        await uow.posts.remove(loaded, owner=alice.id)
        await uow.commit()

    events = await read_all(storage.events)

    assert types(events) == ["post.published", "post.edited", "post.deleted"]
    assert [event.position for event in events] == sorted({event.position for event in events})
    assert {(event.subject, event.owner_id, event.public, event.time) for event in events} == {
        (post.id, alice.id, True, NOW)
    }
    assert [data_of(event)["version"] for event in events] == [1, 2, 2]
    assert data_of(events[0]) == {
        "post_id": str(post.id),
        "author_id": str(alice.id),
        "version": 1,
        "reply_to": None,
    }
    assert len({event.id for event in events}) == 3
    assert not any(b"secret" in event.data for event in events)


async def test_a_vote_tells_the_counts_that_it_led_to(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    vote = CastVote(uow=storage.posts_units, clock=clock)

    for voter, direction in ((alice, 1), (bob, 1), (bob, 1), (bob, -1), (alice, 0)):
        await vote.execute(CastVoteCommand(an_actor(voter), post.id, Direction(direction)))

    events = await read_all(storage.events)
    assert types(events) == ["vote.cast"] * 4  # the third changed nothing
    assert [(data_of(e)["dir"], data_of(e)["upvotes"], data_of(e)["downvotes"]) for e in events] == [
        (1, 1, 0),
        (1, 2, 0),
        (-1, 1, 1),
        (0, 0, 1),
    ]
    assert [data_of(event)["score"] for event in events] == [1, 2, 0, -1]
    assert {event.subject for event in events} == {post.id}
    assert [event.owner_id for event in events] == [alice.id, bob.id, bob.id, alice.id]


async def test_an_order_tells_whom_it_concerns_and_nobody_else_may_see_it(storage: Storage) -> None:
    alice, admin = a_user(), a_user(role=Role.ADMIN)
    await given(storage, alice, admin)
    lines = OrderLines.of([OrderLine.of(ProductId.parse("sku-1"), 2)])
    order = Order.place(id=OrderId(an_id()), by=an_actor(alice), lines=lines, address=AN_ADDRESS, at=NOW)
    async with storage.orders_units() as uow:
        await uow.orders.add(order)
        await uow.commit()
    async with storage.orders_units() as uow:
        loaded = await uow.orders.get(order.id)
        loaded.move(OrderStatus.CONFIRMED, by=an_actor(admin), at=NOW)
        await uow.orders.save(loaded)
        await uow.commit()

    placed, moved = await read_all(storage.events)

    assert types([placed, moved]) == ["order.placed", "order.status_changed"]
    assert {(event.subject, event.owner_id, event.public) for event in (placed, moved)} == {(order.id, alice.id, False)}
    assert (data_of(moved)["before"], data_of(moved)["after"], data_of(moved)["version"]) == (
        "pending",
        "confirmed",
        2,
    )
    assert b"Springfield" not in placed.data


async def test_what_concerns_nobody_outside_is_not_in_it(storage: Storage) -> None:
    user = User.sign_up(
        id=UserId(an_id()), email=a_user().email, username=a_user().username, name=None, password_hash="x", at=NOW
    )
    async with storage.identity_units() as uow:
        await uow.users.add(user)
        user.change_password("second", at=NOW)
        await uow.users.save(user)
        await uow.commit()

    [event] = await read_all(storage.events)
    assert (event.type, data_of(event)) == ("user.signed_up", {"user_id": str(user.id)})


async def test_events_of_one_commit_are_in_the_order_in_which_they_happened(storage: Storage) -> None:
    alice = a_user()
    posts = [a_post(alice) for _ in range(5)]
    await given(storage, alice, *posts)

    async with storage.posts_units() as uow:
        for post in posts:
            loaded = await uow.posts.get(post.id)
            loaded.edit(by=an_actor(alice), text=PostText("anew"), at=NOW)
            await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()

    assert [event.subject for event in await read_all(storage.events)] == [post.id for post in posts]


async def test_a_rollback_leaves_nothing(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    post = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW)
    with pytest.raises(ZeroDivisionError):
        async with storage.posts_units() as uow:
            await uow.posts.add(post)
            raise ZeroDivisionError
    async with storage.posts_units() as uow:
        await uow.posts.add(post)

    assert await read_all(storage.events) == []
    await publish(storage, alice)
    assert types(await read_all(storage.events)) == ["post.published"]


async def test_nothing_is_in_it_before_the_commit(open_storage: OpenStorage) -> None:
    here, there = open_storage(), open_storage()
    alice = a_user()
    await given(here, alice)
    async with here.posts_units() as uow:
        await uow.posts.add(Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW))
        assert await read_all(there.events) == []
        await uow.commit()

    assert types(await read_all(there.events)) == ["post.published"]


async def test_a_page_ends_where_it_is_told_to_and_the_next_begins_there(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    posts = [await publish(storage, alice) for _ in range(7)]

    events = await read_all(storage.events, limit=3)

    assert [event.subject for event in events] == [post.id for post in posts]
    assert await storage.events.head() == events[-1].position
    assert await storage.events.position_before_oldest() == events[0].position - 1
    assert await storage.events.read(after=events[-1].position, limit=10) == []
    assert await storage.events.read(after=events[3].position, limit=2) == events[4:6]


async def test_settling_a_little_at_a_time_skips_nothing(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    posts = [await publish(storage, alice) for _ in range(5)]

    while await storage.events.assign_positions(limit=2):
        pass

    found = await storage.events.read(after=0, limit=10)
    assert [event.subject for event in found] == [post.id for post in posts]


async def test_the_order_within_an_aggregate_is_that_of_its_changes_under_a_race(open_storage: OpenStorage) -> None:
    """Twenty voters and writers over two processes: the log's last word is what is stored, and each step is a step."""
    processes = [open_storage(), open_storage()]
    voters = [a_user() for _ in range(10)]
    posts = [a_post(voters[0]), a_post(voters[1])]
    await given(processes[0], *voters, *posts)
    clock = SettableClock()

    async def scenario(number: int) -> None:
        storage = processes[number % 2]
        vote = retried(CastVote(uow=storage.posts_units, clock=clock))
        voter, post = voters[number // 2], posts[number % 2]
        for direction in (Direction.UP, Direction.DOWN, Direction.NONE, Direction.UP):
            await vote.execute(CastVoteCommand(an_actor(voter), post.id, direction))
            if number % 3 == 0:
                await storage.events.assign_positions(limit=5)

    _, failures = await race(20, scenario)
    assert failures == []

    events = await read_all(processes[0].events)
    assert len(events) == 80
    for post in posts:
        votes: dict[str, int] = {}
        for event in [event for event in events if event.subject == post.id]:
            data = data_of(event)
            votes[data["voter_id"]] = data["dir"]
            assert (data["upvotes"], data["downvotes"]) == (
                list(votes.values()).count(1),
                list(votes.values()).count(-1),
            )


async def test_who_settles_at_once_gives_each_event_one_position(open_storage: OpenStorage) -> None:
    processes = [open_storage() for _ in range(4)]
    alice = a_user()
    await given(processes[0], alice)
    seen: list[int] = []
    done = asyncio.Event()

    async def read_along() -> list[LoggedEvent]:
        """Read as a subscriber does, who never looks back."""
        found: list[LoggedEvent] = []
        while True:
            last_round = done.is_set()
            await processes[3].events.assign_positions(limit=3)
            page = await processes[3].events.read(after=found[-1].position if found else 0, limit=4)
            found += page
            if last_round and not page and not await processes[3].events.assign_positions():
                return found
            await asyncio.sleep(0)

    async def write(storage: Storage) -> None:
        for _ in range(10):
            await publish(storage, alice)
            await storage.events.assign_positions(limit=2)
        seen.append(await storage.events.head())

    reading = asyncio.create_task(read_along())
    await asyncio.gather(*(write(storage) for storage in processes[:3]))
    done.set()
    found = await reading

    assert len({event.id for event in found}) == len(found) == 30
    assert found == await read_all(processes[0].events)
    assert max(seen) <= await processes[0].events.head()


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
async def test_a_transaction_that_takes_an_earlier_number_and_commits_later_is_still_read(
    open_storage: OpenStorage, open_database: Callable[[], Database | None]
) -> None:
    """Where many write at once. On SQLite and in memory the later one would have to wait for the earlier."""
    storage, database = open_storage(), open_database()
    assert database is not None
    alice = a_user()
    await given(storage, alice)
    early = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("early"), at=NOW)
    async with Transaction(database) as slow:
        await slow.run_many(statement_for(database.dialect), rows_for(database.dialect, early.pull_events(), an_id))

        late = await publish(storage, alice)
        [first] = await read_all(storage.events)
        await slow.commit()

    [second] = await read_all(storage.events, after=first.position)
    assert (first.subject, second.subject) == (late.id, early.id)
    assert second.position > first.position


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
async def test_a_transaction_that_is_not_through_does_not_hold_up_the_others_however_many(
    open_storage: OpenStorage, open_database: Callable[[], Database | None]
) -> None:
    """InnoDB waits for locked rows that a statement meets on its way, though it is after other ones."""
    storage, database = open_storage(), open_database()
    assert database is not None
    alice = a_user()

    def posts(number: int) -> list[dict[str, Any]]:
        made = [
            Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW) for _ in range(number)
        ]
        events = [event for post in made for event in post.pull_events()]
        return rows_for(database.dialect, events, an_id)

    async with Transaction(database) as slow, Transaction(database) as others:
        await slow.run_many(statement_for(database.dialect), posts(1))
        await others.run_many(statement_for(database.dialect), posts(300))
        await others.commit()

        assert await storage.events.assign_positions() == 300
        await slow.commit()
    assert await storage.events.assign_positions() == 1


async def test_the_oldest_are_forgotten_a_few_at_a_time_and_never_the_newest(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    for _ in range(5):
        await publish(storage, alice)
    events = await read_all(storage.events)
    log, later = storage.retention, NOW + timedelta(seconds=1)

    assert await log.purge(before=NOW, delivered_only=False) == 0
    assert await log.purge(before=later, delivered_only=True) == 0  # no relay has been there
    assert await log.purge(before=later, delivered_only=False, limit=3) == 3
    assert await storage.events.position_before_oldest() == events[2].position
    assert await storage.events.read(after=0, limit=10) == events[3:]
    assert await log.purge(before=later, delivered_only=False, limit=3) == 1
    assert await log.purge(before=later, delivered_only=False, limit=3) == 0

    await publish(storage, alice)
    kept = await read_all(storage.events)
    assert kept[0] == events[4]
    assert kept[1].position > events[4].position
