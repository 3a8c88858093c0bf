"""Posts that were there before search was are found as well."""

import pytest

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.schema.migrate import downgrade, upgrade
from application.posts.search import SearchCriteria
from domain.posts.search import SearchQuery
from domain.shared.ids import PostId
from entrypoints.storage import Storage, sql_storage
from tests.backends import run_apart
from tests.builders import a_post, a_user, an_actor
from tests.contracts.scenarios import given

pytestmark = pytest.mark.untraced

BATCH = 100


async def found_by(storage: Storage, q: str) -> list[PostId]:
    criteria = SearchCriteria(query=SearchQuery.parse(q))
    return [hit.position.post_id for hit in await storage.search.find(criteria, limit=1000, after=None)]


def test_search_finds_the_posts_that_were_there_before_it(fresh_url: str) -> None:
    """More of them than are read at once, a tombstone among them, and those that came after."""
    alice = a_user()
    posts = [a_post(alice, f"Wörter number{number}") for number in range(2 * BATCH + 1)]
    answered = a_post(alice, "Wörter that will be gone")
    answer = a_post(alice, "an answer", reply_to=answered)

    async def fill() -> None:
        storage = sql_storage(Database(DatabaseSettings(url=fresh_url)))
        await given(storage, alice, answered, answer)
        async with storage.posts_units() as uow:
            for post in posts:
                await uow.posts.add(post)
            buried = await uow.posts.get(answered.id)
            buried.delete(by=an_actor(alice), at=buried.created_at)
            await uow.posts.remove(buried, owner=alice.id)
            await uow.commit()
        await storage.close()

    async def search() -> None:
        storage = sql_storage(Database(DatabaseSettings(url=fresh_url)))
        assert set(await found_by(storage, "WÖRTER")) == {post.id for post in posts}
        assert await found_by(storage, "number7") == [posts[7].id]
        later = a_post(alice, "wörter later")
        await given(storage, later)
        assert await found_by(storage, "wörter later") == [later.id]
        await storage.close()

    upgrade(fresh_url)
    run_apart(fill)
    downgrade(fresh_url, "0004")
    upgrade(fresh_url)
    run_apart(search)
