"""Votes on servers, which lock nothing before they are written: whoever comes too late is told, and then locks."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from adapters.sql.database import Database
from adapters.sql.posts.ballots.contention import CONTENDED_SECONDS, ContentionTracker
from adapters.sql.posts.ballots.locking import LockingBallots
from adapters.sql.tables import OutboxRow, PostRow, RankHistoryRow, VoteRow, table_of
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.recount import Recount, RecountCommand
from application.posts.views import VoteView
from application.shared.errors import TransientFailure
from domain.identity.user import User
from domain.posts.errors import AuthorGone, PostNotFound
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.posts.vote import Direction
from domain.shared.errors import PosternError
from entrypoints.storage import Storage, ballots_on, sql_storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given, retried
from tests.fakes import SettableClock
from tests.integration.sql.conftest import Captured, OpenDatabase, connections_out, on_servers, writing

_POSTS = table_of(PostRow)
_PAST = table_of(RankHistoryRow)
Meanwhile = Callable[[Database, Storage, User, User, Post], Awaitable[object]]


async def cast(storage: Storage, voter: User, post: Post, direction: Direction = Direction.UP) -> VoteView:
    use_case = CastVote(uow=storage.posts_units, clock=SettableClock())
    return await retried(use_case).execute(CastVoteCommand(an_actor(voter), post.id, direction))


async def another_vote(_: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    del voter
    return await cast(storage, author, post)


async def the_same_voter(_: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    del author
    return await cast(storage, voter, post, Direction.DOWN)


async def a_vote_and_back(_: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    del voter
    await cast(storage, author, post)
    return await cast(storage, author, post, Direction.NONE)


async def an_edit(_: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    del voter
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(author), text=PostText("second thoughts"), at=NOW)
        await uow.posts.save(loaded, owner=author.id)
        await uow.commit()
    return None


async def a_repair(database: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    """Counters were wrong when they were looked at, and were set right since."""
    del database, author, voter
    assert await storage.counters.repair(post.id)
    return None


async def a_deletion(_: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    del voter
    async with storage.posts_units() as uow:
        await uow.posts.remove(await uow.posts.get(post.id), owner=author.id)
        await uow.commit()
    return None


async def a_burial(database: Database, storage: Storage, author: User, voter: User, post: Post) -> object:
    await given(storage, a_post(voter, reply_to=post))
    return await a_deletion(database, storage, author, voter, post)


async def rows_of(database: Database, *models: type) -> list[int]:
    return [len(await database.fetch_all(table_of(model).select(), {})) for model in models]


@on_servers
@pytest.mark.parametrize(
    "meanwhile", [another_vote, the_same_voter, a_vote_and_back, an_edit, a_repair, a_deletion, a_burial]
)
async def test_a_vote_on_what_is_no_longer_as_it_was_seen_changes_nothing(
    open_with: OpenDatabase, meanwhile: Meanwhile
) -> None:
    database = open_with()
    # It forgets in a second, which a busy machine may take for what follows.
    contention = ContentionTracker(lambda: 0.0)
    storage = sql_storage(database, ballots=ballots_on(database, contention))
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    if meanwhile is a_repair:
        async with writing(database) as unit:
            await unit.run(update(_POSTS).where(_POSTS.c.id == post.id).values(upvotes=3, score=3), {})

    async with storage.posts_units() as uow:
        ballot = await uow.ballots.get(post.id, bob.id)
        ballot.cast(Direction.UP, at=NOW)
        await uow.ballots.save(ballot, at=NOW)
        await meanwhile(database, storage, alice, bob, post)
        before = await database.fetch_all(_POSTS.select(), {})
        written = await rows_of(database, VoteRow, RankHistoryRow, OutboxRow)
        with pytest.raises(TransientFailure):
            await uow.commit()

    assert await database.fetch_all(_POSTS.select(), {}) == before
    assert await rows_of(database, VoteRow, RankHistoryRow, OutboxRow) == written
    assert connections_out(database) == 0
    assert post.id in contention


@on_servers
async def test_whoever_came_too_late_locks_and_so_does_the_next_but_not_for_ever(
    open_with: OpenDatabase, captured: Captured
) -> None:
    database = open_with()
    now = 0.0
    contention = ContentionTracker(lambda: now)
    storage = sql_storage(database, ballots=ballots_on(database, contention))
    alice, bob = a_user(), a_user()
    post, other = a_post(alice), a_post(alice)
    await given(storage, alice, bob, post, other)

    async def locks(voter: User, on: Post, direction: Direction) -> bool:
        captured.statements.clear()
        await cast(storage, voter, on, direction)
        return any("UPDATE" in statement.partition("FOR ")[2] for statement, _ in captured.statements)

    assert not await locks(bob, post, Direction.UP)
    contention.note(post.id)
    assert await locks(bob, post, Direction.DOWN)
    assert await locks(alice, post, Direction.UP)
    assert not await locks(bob, other, Direction.UP)
    now += CONTENDED_SECONDS
    assert not await locks(bob, post, Direction.UP)


@on_servers
async def test_a_vote_on_what_was_deleted_meanwhile_is_not_found_when_run_again(open_with: OpenDatabase) -> None:
    database = open_with()
    storage = sql_storage(database)
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    runs = 0

    class Interrupted(CastVote):
        async def execute(self, command: CastVoteCommand) -> VoteView:
            nonlocal runs
            runs += 1
            async with storage.posts_units() as uow:
                ballot = await uow.ballots.get(command.post_id, command.actor.user_id)
                if runs == 1:
                    await a_deletion(database, storage, alice, bob, post)
                ballot.cast(command.direction, at=NOW)
                await uow.ballots.save(ballot, at=NOW)
                await uow.commit()
            return await super().execute(command)

    use_case = retried(Interrupted(uow=storage.posts_units, clock=SettableClock()))
    with pytest.raises(PostNotFound):
        await use_case.execute(CastVoteCommand(an_actor(bob), post.id, Direction.UP))
    assert runs == 2


@on_servers
async def test_a_voter_who_is_gone_by_the_commit_is_told_so(open_with: OpenDatabase) -> None:
    storage = sql_storage(open_with())
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)

    with pytest.raises(AuthorGone):
        async with storage.posts_units() as uow:
            ballot = await uow.ballots.get(post.id, bob.id)
            async with storage.identity_units() as identity:
                await identity.users.remove(await identity.users.get(bob.id), at=NOW + timedelta(hours=1))
                await identity.commit()
            ballot.cast(Direction.UP, at=NOW)
            await uow.ballots.save(ballot, at=NOW)
            await uow.commit()


@on_servers
async def test_both_repositories_give_the_same_verdicts(open_with: OpenDatabase) -> None:
    """The same votes on two posts, on one with a lock and on the other without: the same views, refusals and ranks."""
    database = open_with()
    storages = sql_storage(database, ballots=LockingBallots), sql_storage(database)
    alice, bob, gone = a_user(), a_user(), a_user()
    posts = a_post(alice), a_post(alice)
    await given(storages[0], alice, bob, *posts)
    seen: list[list[object]] = [[], []]

    for storage, post, verdicts in zip(storages, posts, seen, strict=True):
        for voter, direction in [(bob, 1), (alice, 1), (bob, 1), (bob, -1), (alice, 0), (alice, 0), (alice, -1)]:
            view = await cast(storage, voter, post, Direction(direction))
            verdicts.append((view.dir, view.score, view.upvotes, view.downvotes))
        for voter, on in [(gone, post), (bob, a_post(alice))]:
            with pytest.raises(PosternError) as refused:
                await cast(storage, voter, on)
            verdicts.append(type(refused.value))
        ranks = _PAST.select().where(_PAST.c.post_id == post.id).order_by(_PAST.c.valid_until)
        rows = await database.fetch_all(ranks, {})
        verdicts.append([(row.valid_from, row.valid_until, row.score, row.hot - rows[0].hot) for row in rows])

    assert seen[0] == seen[1]
    assert seen[0][-3:-1] == [AuthorGone, PostNotFound]


@on_servers
async def test_a_ballot_may_be_saved_twice_in_one_unit_of_work(open_with: OpenDatabase) -> None:
    storage = sql_storage(open_with())
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        ballot = await uow.ballots.get(post.id, alice.id)
        for direction in (Direction.UP, Direction.DOWN, Direction.NONE, Direction.UP):
            ballot.cast(direction, at=NOW)
            await uow.ballots.save(ballot, at=NOW)
        await uow.commit()

    view = await storage.posts.get(post.id, viewer=alice.id)
    assert view is not None
    assert (view.upvotes, view.downvotes, view.score, view.my_vote) == (1, 0, 1, 1)
    assert [batch.wrong async for batch in Recount(audit=storage.counters).execute(RecountCommand(batch=9))] == [[]]


def test_contention_is_forgotten_after_a_second_and_the_oldest_when_there_is_much() -> None:
    now = 0.0
    contention = ContentionTracker(lambda: now)
    first, *others = [an_id() for _ in range(1024)]
    for id in (first, *others):
        contention.note(id)
    assert first in contention

    contention.note(an_id())
    assert first not in contention
    assert others[0] in contention

    now += CONTENDED_SECONDS / 2
    contention.note(others[0])
    now += CONTENDED_SECONDS / 2
    assert others[0] in contention
    assert others[1] not in contention
