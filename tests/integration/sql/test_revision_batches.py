"""Revisions that are asked for at the same time are looked up together, and are as exact as if they were not."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Executable

from adapters.sql.batched_lookups import KEYS_A_LOOK_UP, LOOK_UPS_AT_ONCE
from adapters.sql.database import AnyRow, Database, Parameters
from adapters.sql.posts.revisions import SqlAuthorRevisions
from application.shared.errors import StorageUnavailable
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId, UserId
from entrypoints.storage import Storage, sql_storage
from tests.builders import NOW, a_user, an_actor, an_id
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import OpenDatabase


class Watched(SqlAuthorRevisions):
    """Counts the look-ups, and lets each go on when it is let."""

    def __init__(self, database: Database) -> None:
        super().__init__(self)  # type: ignore[arg-type]  # it stands in for the database that it asks
        self._real = database
        self.look_ups = 0
        self.most_under_way = 0
        self._now = 0
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def fetch_all(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        self.look_ups += 1
        self._now += 1
        self.most_under_way = max(self.most_under_way, self._now)
        try:
            if self.failure is not None:
                raise self.failure
            gate = self.open
            rows = await self._real.fetch_all(statement, parameters)
            await gate.wait()
            return rows
        finally:
            self._now -= 1


@pytest.fixture
def revisions(open_with: OpenDatabase) -> Watched:
    return Watched(open_with())


async def publish(storage: Storage, by: User, posts: int) -> None:
    for _ in range(posts):
        await given(storage, Post.publish(id=PostId(an_id()), by=an_actor(by), text=PostText("news"), at=NOW))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.005)


async def test_authors_of_one_moment_share_a_look_up_and_each_gets_their_own(revisions: Watched) -> None:
    storage = sql_storage(revisions._real)
    users = [a_user(username=f"user{number}") for number in range(7)]
    await given(storage, *users)
    for number, user in enumerate(users):
        await publish(storage, user, number)

    found = await asyncio.gather(*(revisions.current(user.id) for user in users for _ in range(5)))

    assert found == [number for number in range(7) for _ in range(5)]
    assert revisions.look_ups == 1


async def test_nobody_is_told_what_was_read_before_they_asked(revisions: Watched) -> None:
    storage = sql_storage(revisions._real)
    alice = a_user()
    await given(storage, alice)
    revisions.open.clear()
    early = [asyncio.ensure_future(revisions.current(alice.id)) for _ in range(3)]
    await settle()  # it was read, and the answer is on its way
    await publish(storage, alice, 1)
    late = asyncio.ensure_future(revisions.current(alice.id))
    await settle()
    revisions.open.set()
    assert await asyncio.gather(*early) == [0, 0, 0]
    assert await late == 1


async def test_few_look_ups_are_under_way_and_none_is_too_large(revisions: Watched) -> None:
    authors = [UserId(an_id()) for _ in range(3 * KEYS_A_LOOK_UP + 1)]
    assert set(await asyncio.gather(*(revisions.current(author) for author in authors))) == {0}
    assert revisions.look_ups == 4
    assert revisions.most_under_way <= LOOK_UPS_AT_ONCE


async def test_a_look_up_that_hangs_holds_up_only_its_own(revisions: Watched) -> None:
    revisions.open.clear()
    stuck = asyncio.ensure_future(revisions.current(UserId(an_id())))
    await settle()
    gate, revisions.open = revisions.open, asyncio.Event()
    revisions.open.set()
    assert await asyncio.wait_for(revisions.current(UserId(an_id())), 5) == 0
    assert not stuck.done()
    gate.set()
    assert await stuck == 0


async def test_when_it_fails_nobody_can_say_and_the_next_is_looked_up_again(revisions: Watched) -> None:
    author = UserId(an_id())
    revisions.failure = StorageUnavailable("away")
    assert await asyncio.gather(*(revisions.current(author) for _ in range(3))) == [None, None, None]
    revisions.failure = None
    assert await revisions.current(author) == 0


async def test_who_hangs_up_takes_nothing_from_the_others(revisions: Watched) -> None:
    author = UserId(an_id())
    revisions.open.clear()
    first, second = (asyncio.ensure_future(revisions.current(author)) for _ in range(2))
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    revisions.open.set()
    assert await second == 0
