"""The audit of counters finds what a hand in the database has done, and repairs it while votes go on."""

import asyncio
import random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.posts.rank_history import purge_rank_history
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.ports import RANKS_KEPT
from application.posts.recount import Recount, RecountCommand, RecountProgress
from domain.posts.vote import Direction
from entrypoints.storage import Storage, sql_storage
from tests.builders import NOW, a_post, a_user, an_actor
from tests.contracts.scenarios import given, retried
from tests.fakes import SettableClock
from tests.integration.sql.conftest import OpenDatabase


async def recounted(storage: Storage, *, repair: bool = True) -> list[RecountProgress]:
    command = RecountCommand(batch=2, repair=repair)
    return [batch async for batch in Recount(audit=storage.counters).execute(command)]


@pytest.mark.parametrize(
    "damage", ["upvotes = upvotes + 1, score = score + 1", "hot = hot - 1", "replies = replies + 3"]
)
async def test_what_is_wrong_is_found_and_repaired(open_with: OpenDatabase, behind: AsyncEngine, damage: str) -> None:
    storage = sql_storage(open_with())
    alice = a_user()
    posts = [a_post(alice) for _ in range(5)]
    await given(storage, alice, *posts, a_post(alice, reply_to=posts[2]))
    cast = CastVote(uow=storage.posts_units, clock=SettableClock())
    await cast.execute(CastVoteCommand(an_actor(alice), posts[2].id, Direction.UP))
    right = await storage.posts.get(posts[2].id, viewer=None)
    async with behind.connect() as connection:
        # The one with a vote and an answer.
        await connection.execute(text(f"UPDATE posts SET {damage} WHERE upvotes = 1"))

    looked = await recounted(storage, repair=False)
    assert [post_id for batch in looked for post_id in batch.wrong] == [posts[2].id]
    assert sum(batch.repaired for batch in looked) == 0
    assert sum(batch.repaired for batch in await recounted(storage)) == 1

    assert await storage.posts.get(posts[2].id, viewer=None) == right
    assert [batch.wrong for batch in await recounted(storage)] == [[], [], [], []]


async def test_nothing_looks_wrong_while_votes_go_on_and_a_repair_loses_none(
    open_with: OpenDatabase, behind: AsyncEngine
) -> None:
    storage = sql_storage(open_with())
    users = [a_user() for _ in range(6)]
    posts = [a_post(users[0]) for _ in range(4)]
    await given(storage, *users, *posts)
    cast = retried(storage.group_commit(CastVote(uow=storage.posts_units, clock=SettableClock())))

    async def voting(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            command = CastVoteCommand(
                an_actor(rng.choice(users)), rng.choice(posts).id, Direction(rng.choice([-1, 0, 1]))
            )
            await cast.execute(command)

    async with asyncio.TaskGroup() as group:
        voters = [group.create_task(voting(seed)) for seed in range(3)]
        false_alarms = 0
        while not all(voter.done() for voter in voters):
            false_alarms += sum(len(batch.wrong) for batch in await recounted(storage, repair=False))
    assert false_alarms == 0

    async with behind.connect() as connection:
        await connection.execute(text("UPDATE posts SET upvotes = upvotes + 5, score = score + 5"))
    async with asyncio.TaskGroup() as group:
        for seed in range(3, 6):
            group.create_task(voting(seed))
        repaired = sum(batch.repaired for batch in await recounted(storage))
    assert repaired == len(posts)
    assert sum(len(batch.wrong) for batch in await recounted(storage)) == 0


async def test_past_ranks_are_purged_when_nobody_may_ask_for_them(open_with: OpenDatabase, behind: AsyncEngine) -> None:
    database = open_with()
    storage = sql_storage(database)
    clock = SettableClock()
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    cast = CastVote(uow=storage.posts_units, clock=clock)
    for direction in (Direction.UP, Direction.DOWN):
        await cast.execute(CastVoteCommand(an_actor(alice), post.id, direction))
        clock.advance(2 * RANKS_KEPT)

    assert await purge_rank_history(database, now=NOW) == 0
    assert await purge_rank_history(database, now=clock.now()) == 1
    assert await purge_rank_history(database, now=clock.now() + RANKS_KEPT) == 1

    async with behind.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM past_ranks"))).scalar_one() == 0
