"""What a page does with long texts and with changes between its two reads."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import Executable, delete, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.database import AnyRow, Database, DatabaseSettings, Parameters
from adapters.sql.posts.reader import SqlPostReader
from adapters.sql.tables import UserRow, VoteRow, table_of
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import TEXT_MAX_BYTES, PostText
from entrypoints.storage import Storage, sql_storage
from tests.builders import NOW, a_post, a_session, a_user, an_actor
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import Captured, OpenDatabase, writing

LONG = "a" * 300_000
"""Longer than its share of a page of twenty, so that it comes with the second read."""


class Interrupted(Database):
    """A database that something happens to after the first read."""

    def __init__(self, settings: DatabaseSettings, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(settings)
        self._happens: Callable[[], Awaitable[None]] | None = happens

    async def fetch_all(
        self, statement: Executable, parameters: Parameters, *, on_loop: bool = False
    ) -> Sequence[AnyRow]:
        rows = await super().fetch_all(statement, parameters, on_loop=on_loop)
        if self._happens is not None:
            happens, self._happens = self._happens, None
            await happens()
        return rows


@dataclass
class Written:
    storage: Storage
    alice: User
    posts: list[Post]
    """Oldest first."""

    async def read(self, url: str, happens: Callable[[], Awaitable[None]], limit: int = 20) -> tuple[list[str], bool]:
        """Read a page during which something happens; return the ids shown and whether it goes on."""
        database = Interrupted(DatabaseSettings(url=url), happens)
        found = await SqlPostReader(database).newest(limit=limit, before=None, viewer=self.alice.id)
        await database.dispose()
        return [item.id for item in found.items], found.more

    async def remove(self, *posts: Post) -> None:
        for post in posts:
            async with self.storage.posts_units() as uow:
                await uow.posts.remove(await uow.posts.get(post.id), owner=None)
                await uow.commit()

    async def edit(self, post: Post, text: str) -> None:
        async with self.storage.posts_units() as uow:
            loaded = await uow.posts.get(post.id)
            loaded.edit(by=an_actor(self.alice), text=PostText(text), at=NOW)
            await uow.posts.save(loaded, owner=self.alice.id)
            await uow.commit()


@pytest.fixture
async def written(open_with: OpenDatabase) -> Written:
    storage = sql_storage(open_with())
    alice = a_user()
    posts = [a_post(alice, text) for text in ("oldest", LONG, "between", LONG, "newest")]
    await given(storage, alice, *posts)
    return Written(storage, alice, posts)


def ids(*posts: Post) -> list[str]:
    return [str(post.id) for post in posts]


async def test_long_texts_are_loaded_only_as_far_as_the_page_goes(open_with: OpenDatabase, captured: Captured) -> None:
    database = open_with()
    storage = sql_storage(database)
    alice = a_user()
    posts = [a_post(alice, "a" * TEXT_MAX_BYTES) for _ in range(8)]
    await given(storage, alice, *posts)
    await storage.posts.newest(limit=1, before=None, viewer=None)
    captured.statements.clear()

    found = await storage.posts.newest(limit=100, before=None, viewer=None)

    assert (len(found.items), found.more) == (4, True)
    assert len(captured.statements) == 2
    _, parameters = captured.statements[1]
    assert len(parameters) == 4, "the second read asked for more than the page shows"


async def test_short_texts_take_one_read(open_with: OpenDatabase, captured: Captured) -> None:
    database = open_with()
    storage = sql_storage(database)
    alice = a_user()
    await given(storage, alice, a_post(alice), a_post(alice))
    captured.statements.clear()

    await storage.posts.by_author(alice.id, limit=20, before=None, viewer=alice.id)

    assert len(captured.statements) == 1


async def test_a_long_post_deleted_in_between_is_left_out(written: Written, database_url: str) -> None:
    _, second, _, fourth, _ = written.posts

    shown, more = await written.read(database_url, lambda: written.remove(fourth))

    assert (shown, more) == (ids(*(post for post in reversed(written.posts) if post is not fourth)), False)
    assert str(second.id) in shown


async def test_a_page_all_of_which_was_deleted_in_between_is_the_one_after_it(
    written: Written, database_url: str
) -> None:
    *_, newest = written.posts
    await written.edit(newest, "a" * TEXT_MAX_BYTES)
    await written.edit(written.posts[3], "a" * TEXT_MAX_BYTES)
    big = a_post(written.alice, "a" * TEXT_MAX_BYTES)
    bigger = a_post(written.alice, "a" * TEXT_MAX_BYTES)
    await given(written.storage, big, bigger)

    shown, more = await written.read(database_url, lambda: written.remove(big, bigger, newest, written.posts[3]), 6)

    assert shown == ids(*reversed(written.posts[:3]))
    assert more is False


async def test_a_text_never_stands_under_the_version_before_it(written: Written, database_url: str) -> None:
    long = written.posts[3]
    database = Interrupted(DatabaseSettings(url=database_url), lambda: written.edit(long, "edited"))

    found = await SqlPostReader(database).newest(limit=20, before=None, viewer=None)
    await database.dispose()

    item = next(item for item in found.items if item.id == str(long.id))
    assert (item.text, item.version) == ("edited", 2)


async def test_texts_that_grew_in_between_close_the_page_early(open_with: OpenDatabase, database_url: str) -> None:
    storage = sql_storage(open_with())
    alice = a_user()
    posts = [a_post(alice, LONG) for _ in range(8)]
    await given(storage, alice, *posts)
    written = Written(storage, alice, posts)

    async def grow() -> None:
        for post in posts:
            await written.edit(post, "b" * TEXT_MAX_BYTES)

    shown, more = await written.read(database_url, grow)

    assert (shown, more) == (ids(*posts[:3:-1]), True)


async def test_my_vote_is_the_viewers_own(open_with: OpenDatabase, behind: AsyncEngine) -> None:
    storage = sql_storage(open_with())
    alice, bob, carol = a_user(), a_user(), a_user()
    liked, disliked, ignored = (a_post(alice) for _ in range(3))
    await given(storage, alice, bob, carol, liked, disliked, ignored)
    votes = [(bob, liked, 1), (bob, disliked, -1), (carol, liked, -1), (carol, ignored, 1)]
    async with behind.connect() as connection:
        await connection.execute(
            insert(table_of(VoteRow)),
            [
                {"user_id": user.id, "post_id": post.id, "direction": way, "created_at": NOW, "updated_at": NOW}
                for user, post, way in votes
            ],
        )

    for viewer, expected in ((alice, [0, 0, 0]), (bob, [0, -1, 1]), (carol, [1, 0, -1])):
        feed = await storage.posts.newest(limit=10, before=None, viewer=viewer.id)
        own = await storage.posts.by_author(alice.id, limit=10, before=None, viewer=viewer.id)
        one = await storage.posts.get(liked.id, viewer=viewer.id)
        assert [item.my_vote for item in feed.items] == expected
        assert own.items == feed.items
        assert one == feed.items[2]


async def test_everything_of_an_account_goes_with_it(open_with: OpenDatabase) -> None:
    database = open_with()
    storage = sql_storage(database)
    alice, bob = a_user(), a_user()
    session, post, staying = a_session(alice), a_post(alice), a_post(bob)
    await given(storage, alice, bob, session, post, staying)

    async with writing(database) as connection:
        await connection.run(delete(UserRow).where(UserRow.id == alice.id), {})

    feed = await storage.posts.newest(limit=10, before=None, viewer=None)
    assert [item.id for item in feed.items] == [str(staying.id)]
