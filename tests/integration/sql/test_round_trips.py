"""How often the hot operations ask the database: what a network makes dear, and nobody notices on one machine."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from adapters.sql.database import Database
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.publish_post import PublishPost, PublishPostCommand
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.posts.vote import Direction
from domain.shared.actor import Actor
from entrypoints.storage import Storage, sql_storage
from tests.backends import SQL_BACKENDS
from tests.builders import a_post, a_user, an_actor
from tests.contracts.stories import given
from tests.fakes import CountedIds, SettableClock
from tests.integration.sql.conftest import Captured, OpenDatabase, writing

Operation = Callable[[Storage, Actor, Post], Awaitable[object]]


async def one_post(storage: Storage, actor: Actor, post: Post) -> object:
    return await storage.posts.get(post.id, viewer=actor.user_id)


async def own_list(storage: Storage, actor: Actor, post: Post) -> object:
    del post
    return await storage.posts.by_author(actor.user_id, limit=20, before=None, viewer=actor.user_id)


async def feed(storage: Storage, actor: Actor, post: Post) -> object:
    del post
    return await storage.posts.newest(limit=20, before=None, viewer=actor.user_id)


async def create(storage: Storage, actor: Actor, post: Post) -> object:
    del post
    use_case = PublishPost(uow=storage.posts_units, authors=storage.authors, ids=CountedIds(), clock=SettableClock())
    return await storage.grouped(use_case).execute(PublishPostCommand(actor, PostText("news")))


async def vote(storage: Storage, actor: Actor, post: Post) -> object:
    use_case = CastVote(uow=storage.posts_units, clock=SettableClock())
    return await storage.grouped(use_case).execute(CastVoteCommand(actor, post.id, Direction.UP))


async def given_a_reader(open_with: OpenDatabase) -> tuple[Database, Storage, Actor, Post]:
    database = open_with(pool_size=2, max_overflow=0)
    storage = sql_storage(database)
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    return database, storage, an_actor(bob), post


@pytest.mark.parametrize(
    ("operation", "statements"),
    [
        (one_post, 1),
        (own_list, 1),
        (feed, 1),
        # The author; the post, its words, the author's revision, and the event.
        (create, 5),
        # The tally and what was said, the vote, the counters, the ranks that were, and the event.
        (vote, 5),
    ],
)
async def test_an_operation_takes_so_many_statements(
    open_with: OpenDatabase, sql_backend: str, captured: Captured, *, operation: Operation, statements: int
) -> None:
    _, storage, actor, post = await given_a_reader(open_with)
    captured.statements.clear()

    await operation(storage, actor, post)

    # PostgreSQL asks for what was said by itself, see `ballots`.
    asks_twice = operation is vote and sql_backend == "postgresql"
    assert len(captured.statements) == statements + asks_twice


MYSQL_LIKE = [backend for backend in SQL_BACKENDS if backend in {"mariadb", "mysql"}]


@pytest.mark.parametrize("sql_backend", MYSQL_LIKE, indirect=True)
@pytest.mark.parametrize(("operation", "round_trips"), [(create, 5), (vote, 6)])
async def test_a_unit_of_work_takes_one_round_trip_a_statement_and_one_to_commit(
    open_with: OpenDatabase, *, operation: Operation, round_trips: int
) -> None:
    """As the server counts them, on the one connection for writing that there is."""
    database, storage, actor, post = await given_a_reader(open_with)

    async def asked() -> int:
        async with writing(database) as unit:
            told = (await unit.execute(text("SHOW SESSION STATUS LIKE 'Questions'"), {})).mappings().one()
            return int(told["Value"])

    before, again = await asked(), await asked()
    await operation(storage, actor, post)

    assert await asked() - again - (again - before) == round_trips


@pytest.mark.parametrize("sql_backend", MYSQL_LIKE, indirect=True)
@pytest.mark.parametrize("operation", [one_post, own_list, feed])
async def test_a_read_takes_one_round_trip(open_with: OpenDatabase, operation: Operation) -> None:
    database, storage, actor, post = await given_a_reader(open_with)

    async def asked() -> int:
        row = await database.fetch_one(text("SHOW SESSION STATUS LIKE 'Questions'"), {})
        assert row is not None
        return int(row[1])

    before = await asked()
    await operation(storage, actor, post)

    assert await asked() - before - 1 == 1
