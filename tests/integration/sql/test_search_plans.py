"""How a search is answered: by the full-text index, without a look at every post."""

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.database import Database
from adapters.sql.mapping import new_post_values, user_values
from adapters.sql.tables import PostRow, PostWordsRow, UserRow, table_of
from application.posts.ports import Period
from application.posts.search import SearchCriteria
from domain.posts.search import SearchableText, SearchQuery
from domain.shared.ids import UserId
from entrypoints.storage import sql_storage
from tests.builders import NOW, a_post, a_user
from tests.integration.sql.conftest import Captured, OpenDatabase, writing
from tests.integration.sql.test_plans import explained

POSTS = 3000
RARE = 6
"""Posts that hold the rare word."""


async def filled(database: Database, behind: AsyncEngine, backend: str) -> UserId:
    """Store posts that all say the same, and a few of them one word more."""
    author = a_user()
    same = "the quick brown fox " * 15
    texts = [same + ("needle" if number % (POSTS // RARE) == 1 else "") for number in range(POSTS)]
    posts = [a_post(author, text) for text in texts]
    words = [
        {"post_id": post.id, "words": found.words, "word_count": found.count}
        for post in posts
        for found in [SearchableText.of(post.text.value)]
    ]
    async with writing(database) as session:
        await session.run_many(insert(table_of(UserRow)), [{**user_values(author), "version": 1}])
        await session.run_many(insert(table_of(PostRow)), [new_post_values(post) for post in posts])
        await session.run_many(insert(table_of(PostWordsRow)), words)
    # On PostgreSQL this also merges what an index has pending, as autovacuum does in time.
    analyze = {"sqlite": "ANALYZE", "postgresql": "VACUUM ANALYZE"}.get(backend, "ANALYZE TABLE")
    async with behind.connect() as connection:
        for table in ("users", "posts", "post_words"):
            await connection.exec_driver_sql(f"{analyze} {table}")
    return author.id


def is_by_the_full_text_index(plan: str, backend: str) -> bool:
    """Tell whether the words are found by their index, and posts by their keys."""
    match backend:
        case "sqlite":
            found = "SCAN fts_post_words VIRTUAL TABLE INDEX" in plan and "SEARCH post_words USING INTEGER" in plan
            return found and "SEARCH posts USING INDEX" in plan and "SCAN post" not in plan
        case "postgresql":
            return "Bitmap Index Scan on fts_post_words" in plan and "Seq Scan" not in plan
        case _:
            plan = plan.replace(" partitions=None", "")  # a column that MySQL has and MariaDB has not
            found = "table=post_words type=fulltext" in plan and "key=fts_post_words" in plan
            return found and "table=post_words type=ALL" not in plan and "table=posts type=eq_ref" in plan


async def test_a_search_is_answered_by_the_full_text_index(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    author = await filled(database, behind, sql_backend)
    captured.statements.clear()

    for q in ("needle", "needle fox", '"fox needle"'):
        for criteria in (
            SearchCriteria(query=SearchQuery.parse(q)),
            SearchCriteria(query=SearchQuery.parse(q), author=author, period=Period(since=NOW)),
        ):
            first = await storage.search.find(criteria, limit=3, after=None)
            assert len(first) == 3
            plan = await explained(behind, sql_backend, captured)
            assert is_by_the_full_text_index(plan, sql_backend), plan

            rest = await storage.search.find(criteria, limit=POSTS, after=first[-1].position)
            assert len(rest) == RARE - 3
            plan = await explained(behind, sql_backend, captured)
            assert is_by_the_full_text_index(plan, sql_backend), plan
