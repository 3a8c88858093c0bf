"""Votes that come at the same time, and share a commit: each stands or falls by itself."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from adapters.sql.database import Database
from adapters.sql.engine.fast.servers.batches import BATCH_RUNNERS, Batch
from adapters.sql.engine.fast.servers.drivers import Link
from adapters.sql.posts.ballots.contention import ContentionTracker
from adapters.sql.tables import OutboxRow, PostRow, RankHistoryRow, VoteRow, table_of
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.ports import PostsUnitOfWork
from application.posts.recount import Recount, RecountCommand
from application.posts.views import VoteView
from application.shared.errors import OutcomeUnknown, TransientFailure
from domain.identity.user import User
from domain.posts.errors import AuthorGone
from domain.posts.post import Post
from domain.posts.vote import Direction
from entrypoints.storage import Storage, ballots_on, sql_storage
from tests.builders import NOW, a_post, a_user, an_actor
from tests.contracts.scenarios import given
from tests.fakes import SettableClock
from tests.integration.sql.conftest import OpenDatabase, connections_out, on_servers, writing

_POSTS = table_of(PostRow)
Wanted = tuple[User, Post, Direction]


class Groups:
    """How many were committed together, each time that several were."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun = asyncio.Event()

    def note(self, size: int) -> None:
        self.sizes.append(size)
        self.begun.set()


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    found = Groups()
    for kind in {type(together) for together in BATCH_RUNNERS.values()}:

        async def noted(self: Any, link: Link, batches: Sequence[Batch], finish_all: Any = kind.commit_batches) -> None:
            found.note(len(batches))
            await finish_all(self, link, batches)

        monkeypatch.setattr(kind, "commit_batches", noted)
    return found


async def cast(storage: Storage, wanted: Sequence[Wanted]) -> list[VoteView | BaseException]:
    """Cast these at the same time, each once, without running again what came too late."""
    use_case = CastVote(uow=storage.posts_units, clock=SettableClock())
    commands = [CastVoteCommand(an_actor(voter), post.id, direction) for voter, post, direction in wanted]
    return await asyncio.gather(*map(use_case.execute, commands), return_exceptions=True)


async def given_posts(storage: Storage, number: int) -> tuple[User, User, list[Post]]:
    alice, bob = a_user(), a_user()
    posts = [a_post(alice) for _ in range(number)]
    await given(storage, alice, bob, *posts)
    return alice, bob, posts


async def given_ballots(storage: Storage, wanted: Sequence[tuple[User, Post]]) -> list[PostsUnitOfWork]:
    """Return units of work that have but to be committed."""
    units: list[PostsUnitOfWork] = []
    for voter, post in wanted:
        uow = storage.posts_units()
        ballot = await uow.ballots.get(post.id, voter.id)
        ballot.cast(Direction.UP, at=NOW)
        await uow.ballots.save(ballot, at=NOW)
        units.append(uow)
    return units


async def said_of(storage: Storage, posts: Sequence[Post], viewer: User) -> list[tuple[int, object]]:
    views = [await storage.posts.get(post.id, viewer=viewer.id) for post in posts]
    return [(view.score, view.my_vote) for view in views if view is not None]


async def rows_of(database: Database, *models: type) -> list[int]:
    return [len(await database.fetch_all(table_of(model).select(), {})) for model in models]


async def nothing_is_wrong(storage: Storage) -> bool:
    command = RecountCommand(batch=100)
    return not [wrong async for batch in Recount(audit=storage.counters).execute(command) for wrong in batch.wrong]


@on_servers
async def test_votes_that_come_at_the_same_time_share_commits(open_with: OpenDatabase, groups: Groups) -> None:
    database = open_with()
    storage = sql_storage(database)
    _, bob, posts = await given_posts(storage, 40)

    answers = await cast(storage, [(bob, post, Direction.UP) for post in posts])

    assert [answer.score for answer in answers if isinstance(answer, VoteView)] == [1] * 40
    assert await said_of(storage, posts, bob) == [(1, 1)] * 40
    assert await rows_of(database, VoteRow, RankHistoryRow, OutboxRow) == [40, 40, 40]
    assert max(groups.sizes) > 1
    assert await nothing_is_wrong(storage)
    assert connections_out(database) == 0


@on_servers
async def test_votes_of_every_kind_go_together(open_with: OpenDatabase, groups: Groups) -> None:
    """First ones, other ones, ones that are taken back, and own ones, which move the author's revision besides."""
    database = open_with()
    storage = sql_storage(database)
    alice, bob, posts = await given_posts(storage, 40)
    await cast(storage, [(bob, post, Direction.UP) for post in posts[:20]])
    groups.sizes.clear()

    answers = await cast(
        storage,
        [
            *((bob, post, Direction.DOWN) for post in posts[:10]),
            *((bob, post, Direction.NONE) for post in posts[10:20]),
            *((bob, post, Direction.DOWN) for post in posts[20:30]),
            *((alice, post, Direction.UP) for post in posts[30:]),
        ],
    )

    assert [answer for answer in answers if not isinstance(answer, VoteView)] == []
    assert await said_of(storage, posts, bob) == [*[(-1, -1)] * 10, *[(0, 0)] * 10, *[(-1, -1)] * 10, *[(1, 0)] * 10]
    assert await said_of(storage, posts[30:], alice) == [(1, 1)] * 10
    assert max(groups.sizes) > 1
    assert await nothing_is_wrong(storage)


@on_servers
async def test_of_two_votes_on_one_post_that_come_together_one_is_told_that_it_came_too_late(
    open_with: OpenDatabase, groups: Groups
) -> None:
    database = open_with()
    storage = sql_storage(database)
    alice, bob, posts = await given_posts(storage, 10)

    answers = await cast(storage, [(who, post, Direction.UP) for post in posts for who in (alice, bob)])

    late = [answer for answer in answers if isinstance(answer, TransientFailure)]
    assert len(late) + sum(isinstance(answer, VoteView) for answer in answers) == 20
    assert len(late) >= 1
    assert (await rows_of(database, VoteRow, RankHistoryRow)) == [20 - len(late)] * 2
    assert await nothing_is_wrong(storage)


@on_servers
async def test_one_that_the_database_refuses_fails_alone(open_with: OpenDatabase, groups: Groups) -> None:
    database = open_with()
    storage = sql_storage(database)
    _, bob, posts = await given_posts(storage, 16)
    carol = a_user()
    await given(storage, carol)

    units = await given_ballots(storage, [(carol if number == 7 else bob, post) for number, post in enumerate(posts)])
    async with storage.identity_units() as identity:
        await identity.users.remove(await identity.users.get(carol.id), at=NOW + timedelta(hours=1))
        await identity.commit()

    outcomes = await asyncio.gather(*(uow.commit() for uow in units), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [AuthorGone]
    assert isinstance(outcomes[7], AuthorGone)
    assert await said_of(storage, posts, bob) == [(0, 0) if number == 7 else (1, 1) for number in range(16)]
    assert max(groups.sizes) > 1
    assert await nothing_is_wrong(storage)
    assert connections_out(database) == 0


@on_servers
async def test_one_that_waits_too_long_for_a_lock_fails_alone(open_with: OpenDatabase, groups: Groups) -> None:
    database = open_with(lock_timeout_seconds=1.0)
    storage = sql_storage(database)
    _, bob, posts = await given_posts(storage, 16)
    lock = select(_POSTS.c.id).where(_POSTS.c.id == posts[7].id).with_for_update()

    async with writing(database) as another:
        await another.run(lock, {})
        answers = await cast(storage, [(bob, post, Direction.UP) for post in posts])

    assert isinstance(answers[7], TransientFailure)
    assert await said_of(storage, posts, bob) == [(0, 0) if number == 7 else (1, 1) for number in range(16)]
    assert max(groups.sizes) > 1


@on_servers
async def test_when_the_connection_is_lost_all_are_told_that_nobody_knows(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_with()
    storage = sql_storage(database)
    _, bob, posts = await given_posts(storage, 16)

    async def lost(*_: object) -> None:
        raise ConnectionResetError

    for kind in {type(together) for together in BATCH_RUNNERS.values()}:
        monkeypatch.setattr(kind, "commit_batches", lost)

    answers = await cast(storage, [(bob, post, Direction.UP) for post in posts])

    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 16
    assert connections_out(database) == 0
    monkeypatch.undo()
    answers = await cast(storage, [(bob, post, Direction.UP) for post in posts])
    assert [type(answer) for answer in answers] == [VoteView] * 16


@on_servers
async def test_who_hangs_up_takes_nothing_from_those_who_shared_the_commit(
    open_with: OpenDatabase, groups: Groups
) -> None:
    database = open_with()
    storage = sql_storage(database)
    _, bob, posts = await given_posts(storage, 16)
    use_case = CastVote(uow=storage.posts_units, clock=SettableClock())
    voting = [
        asyncio.create_task(use_case.execute(CastVoteCommand(an_actor(bob), post.id, Direction.UP))) for post in posts
    ]
    await groups.begun.wait()
    for task in voting[::2]:
        task.cancel()

    outcomes = await asyncio.gather(*voting, return_exceptions=True)

    assert all(isinstance(outcome, VoteView) for outcome in outcomes[1::2])
    assert [score for score, _ in (await said_of(storage, posts, bob))[1::2]] == [1] * 8
    assert await nothing_is_wrong(storage)


@on_servers
async def test_what_was_changed_since_it_was_seen_is_left_out_of_the_group(
    open_with: OpenDatabase, groups: Groups
) -> None:
    database = open_with()
    # It forgets in a second, which a busy machine may take for what follows.
    contention = ContentionTracker(lambda: 0.0)
    storage = sql_storage(database, ballots=ballots_on(database, contention))
    _, bob, posts = await given_posts(storage, 8)
    units = await given_ballots(storage, [(bob, post) for post in posts])
    async with writing(database) as another:
        await another.run(update(_POSTS).where(_POSTS.c.id == posts[3].id).values(ranked_at=7), {})

    outcomes = await asyncio.gather(*(uow.commit() for uow in units), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [TransientFailure]
    assert isinstance(outcomes[3], TransientFailure)
    assert await said_of(storage, posts, bob) == [(0, 0) if number == 3 else (1, 1) for number in range(8)]
    assert groups.sizes == [8]
    assert posts[3].id in contention
