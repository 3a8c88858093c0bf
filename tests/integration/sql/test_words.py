"""What is stored for searching goes with what it was found in."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.identity.user import User
from domain.posts.values import PostText
from entrypoints.storage import Storage, sql_storage
from tests.builders import NOW, a_post, a_user, an_actor
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import OpenDatabase


async def words_stored(behind: AsyncEngine) -> list[str]:
    async with behind.connect() as connection:
        rows = (await connection.execute(text("SELECT words FROM post_words ORDER BY id"))).scalars().all()
    return [row.strip() for row in rows]


async def removed(storage: Storage, user: User) -> None:
    async with storage.identity_units() as uow:
        await uow.users.remove(await uow.users.get(user.id), at=NOW)
        await uow.commit()


async def test_neither_an_edit_nor_a_deletion_leaves_words_behind(open_with: OpenDatabase, behind: AsyncEngine) -> None:
    storage = sql_storage(open_with())
    alice = a_user()
    edited, deleted, answered = a_post(alice, "old"), a_post(alice, "deleted"), a_post(alice, "answered")
    answer = a_post(alice, "answer", reply_to=answered)
    await given(storage, alice, edited, deleted, answered, answer)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(edited.id)
        loaded.edit(by=an_actor(alice), text=PostText("new"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)
        for post_id in (answered.id, deleted.id):
            gone = await uow.posts.get(post_id)
            gone.delete(by=an_actor(alice), at=NOW)
            await uow.posts.remove(gone, owner=alice.id)
        await uow.commit()

    assert sorted(await words_stored(behind)) == ["wwanswer", "wwnew"]


async def test_an_account_that_goes_leaves_no_words_behind_even_where_it_was_answered(
    open_with: OpenDatabase, behind: AsyncEngine
) -> None:
    storage = sql_storage(open_with())
    alice, bob = a_user(), a_user()
    alone, answered = a_post(alice, "alone"), a_post(alice, "answered")
    answer = a_post(bob, "answer", reply_to=answered)
    await given(storage, alice, bob, alone, answered, answer)

    await removed(storage, alice)

    assert await words_stored(behind) == ["wwanswer"]


async def test_the_index_of_sqlite_agrees_with_the_words_after_all_of_that(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    storage = sql_storage(open_with())
    alice, bob = a_user(), a_user()
    posts = [a_post(author, f"some words {number}") for number in range(10) for author in (alice, bob)]
    await given(storage, alice, bob, *posts)
    await removed(storage, alice)

    if sql_backend == "sqlite":
        async with behind.connect() as connection:
            # It raises when they differ.
            check = "INSERT INTO fts_post_words (fts_post_words, rank) VALUES ('integrity-check', 1)"
            await connection.exec_driver_sql(check)
    assert len(await words_stored(behind)) == 10
