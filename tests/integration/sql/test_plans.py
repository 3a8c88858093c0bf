"""How the lists are found: along an index, in its order, however deep the page lies."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.database import Database
from adapters.sql.mapping import new_order_values, new_post_values, user_values
from adapters.sql.tables import IdempotencyKeyRow, OrderRow, PostRow, UserRow, table_of
from application.posts.ports import ALWAYS, Period, RankedPosition
from domain.posts.post import Post
from domain.posts.ranking import Sort, hot_rank
from domain.shared.ids import OrderId, PostId, UserId
from entrypoints.storage import sql_storage
from tests.builders import NOW, a_post, a_user, an_order
from tests.integration.sql.conftest import Captured, OpenDatabase, on_sqlite, writing

AUTHORS, POSTS_EACH = 40, 100
PRIMARY_OF_ORDERS = {
    "sqlite": "sqlite_autoindex_orders_1",
    "postgresql": "orders_pkey",
    "mariadb": "PRIMARY",
    "mysql": "PRIMARY",
}


async def filled(database: Database, behind: AsyncEngine, backend: str) -> tuple[Any, list[Any]]:
    """Store a few thousand posts by few authors: what tempts an optimizer to begin with the authors, and to sort."""
    authors = [a_user() for _ in range(AUTHORS)]
    posts = [a_post(author) for _ in range(POSTS_EACH) for author in authors]
    async with writing(database) as session:
        users = [{**user_values(user), "version": 1} for user in authors]
        await session.run_many(insert(table_of(UserRow)), users)
        await session.run_many(insert(table_of(PostRow)), [_stored(post, number) for number, post in enumerate(posts)])
    async with behind.connect() as connection:
        for table in ("users", "posts"):
            await connection.exec_driver_sql(f"ANALYZE{' TABLE' if backend in {'mariadb', 'mysql'} else ''} {table}")
    return authors[0], posts


def _stored(post: Post, number: int) -> dict[str, Any]:
    # Most posts have no votes, as in life, so that a place is found by its id among many of one score.
    votes = number % 7 if number % 3 == 0 else 0
    ranks = {"upvotes": votes, "score": votes, "hot": hot_rank(votes, post.created_at) + number}
    return {**new_post_values(post), **ranks}


async def explained(behind: AsyncEngine, backend: str, captured: Captured) -> str:
    statement, parameters = captured.statements[-1]
    prefix = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}.get(backend, "EXPLAIN FORMAT=TRADITIONAL")
    async with behind.connect() as connection:
        rows = (await connection.exec_driver_sql(f"{prefix} {statement}", parameters)).mappings().all()
    return "\n".join(" ".join(f"{key}={value}" for key, value in row.items()) for row in rows)


def is_along_an_index(plan: str, backend: str, index: str, table: str = "posts") -> bool:
    """Tell whether the plan begins with `table`, by `index`, and neither sorts nor reads the whole table."""
    first = plan.partition("\n")[0]
    match backend:
        case "sqlite":
            # It looks the one author up first, which changes nothing.
            by_index = f"SEARCH {table} USING INDEX {index}" in plan
            return by_index and "TEMP B-TREE" not in plan and "SCAN" not in plan
        case "postgresql":
            # A page that was cut before it was joined may be put in order after that, with its 21 rows.
            cut = "Limit" in plan and plan.index("Limit") < plan.index(f"Index Scan Backward using {index} on {table}")
            sorts_more = "Sort" in plan and plan.index("Sort") > plan.index("Limit")
            return cut and not sorts_more and f"Seq Scan on {table}" not in plan and "Filter: (author_id" not in plan
        case _:
            begins = f"table={table}" in first and f"key={index}" in first and "type=ALL" not in first
            return begins and "filesort" not in plan and "temporary" not in plan


async def test_the_lists_run_along_an_index_at_any_depth(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    author, posts = await filled(database, behind, sql_backend)
    captured.statements.clear()
    middle = sorted(post.id for post in posts)[len(posts) // 2]

    for viewer in (None, author.id):
        for before in (None, PostId(middle)):
            found = await storage.posts.newest(limit=20, before=before, viewer=viewer)
            assert len(found.items) == 20
            plan = await explained(behind, sql_backend, captured)
            assert is_along_an_index(plan, sql_backend, "ix_posts_listed_id"), plan

            own = await storage.posts.by_author(author.id, limit=20, before=before, viewer=viewer)
            assert len(own.items) == 20
            plan = await explained(behind, sql_backend, captured)
            assert is_along_an_index(plan, sql_backend, "ix_posts_author_id_id"), plan


@on_sqlite
async def test_the_author_of_a_list_is_looked_up_once_not_for_each_post(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    author, _ = await filled(database, behind, sql_backend)

    await storage.posts.by_author(author.id, limit=20, before=None, viewer=author.id)
    by_id = await explained(behind, sql_backend, captured)
    await storage.posts.ranked(Sort.TOP, limit=20, after=None, as_of=NOW, viewer=None, author_id=author.id)
    by_rank = await explained(behind, sql_backend, captured)

    for plan in (by_id, by_rank):
        assert plan.index("SEARCH users") < plan.index("SEARCH posts"), plan


@pytest.mark.parametrize("sort", [Sort.TOP, Sort.HOT])
@pytest.mark.parametrize("bounded", [False, True], ids=["of all times", "of a period"])
async def test_ranked_lists_run_along_an_index_at_any_depth(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured, *, sort: Sort, bounded: bool
) -> None:
    database = open_with()
    storage = sql_storage(database)
    author, posts = await filled(database, behind, sql_backend)
    captured.statements.clear()
    period = Period(NOW - timedelta(days=1), NOW + timedelta(days=1)) if bounded else ALWAYS
    column = {Sort.TOP: "score", Sort.HOT: "hot"}[sort]

    for viewer, author_id, of in ((None, None, "listed"), (author.id, None, "listed"), (None, author.id, "author_id")):
        after: RankedPosition | None = None
        for _ in range(2):
            found = await storage.posts.ranked(
                sort, limit=20, after=after, as_of=NOW, viewer=viewer, author_id=author_id, period=period
            )
            assert len(found.items) == 20
            plan = await explained(behind, sql_backend, captured)
            assert is_along_an_index(plan, sql_backend, f"ix_posts_{of}_{column}_id"), plan
            # Far down, among the many that have no votes.
            after = RankedPosition(
                0 if sort is Sort.TOP else hot_rank(0, NOW) + len(posts) // 2, posts[len(posts) // 2].id
            )


async def test_a_thread_runs_along_its_index(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    author, posts = await filled(database, behind, sql_backend)
    answers = [a_post(author, reply_to=posts[0]) for _ in range(60)]
    async with writing(database) as session:
        await session.run_many(insert(table_of(PostRow)), [new_post_values(answer) for answer in answers])
    captured.statements.clear()

    for after in (None, answers[30].id):
        found = await storage.posts.replies(posts[0].id, limit=20, after=after, viewer=None)
        assert len(found.items) == 20
        plan = (await explained(behind, sql_backend, captured)).replace("Index Scan using", "Index Scan Backward using")
        assert is_along_an_index(plan, sql_backend, "ix_posts_reply_to_id"), plan


async def test_the_lists_of_orders_run_along_an_index_at_any_depth(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    customers = [a_user() for _ in range(AUTHORS)]
    seldom, often = customers[0], customers[1]
    # Somebody whose few orders are the oldest of all is where walking along the wrong index costs most.
    orders = [an_order(seldom) for _ in range(50)]
    orders += [an_order(customer) for _ in range(POSTS_EACH) for customer in customers[1:]]
    async with writing(database) as session:
        users = [{**user_values(user), "version": 1} for user in customers]
        await session.run_many(insert(table_of(UserRow)), users)
        await session.run_many(insert(table_of(OrderRow)), [new_order_values(order) for order in orders])
    async with behind.connect() as connection:
        await connection.exec_driver_sql(f"ANALYZE{' TABLE' if sql_backend in {'mariadb', 'mysql'} else ''} orders")
    middle = {user: [order.id for order in orders if order.customer_id == user.id][25] for user in (seldom, often)}
    own = "ix_orders_user_id_id"
    lists: list[tuple[UserId | None, str, OrderId | None]]
    lists = [(user.id, own, before) for user in (seldom, often) for before in (None, middle[user])]
    lists += [(None, PRIMARY_OF_ORDERS[sql_backend], before) for before in (None, middle[often])]

    for customer, index, before in lists:
        captured.statements.clear()
        found = await storage.orders.newest(limit=20, before=before, customer=customer)
        assert len(found.items) == 20
        captured.statements.pop()  # that of the lines
        plan = await explained(behind, sql_backend, captured)
        assert is_along_an_index(plan, sql_backend, index, "orders"), plan


async def test_old_idempotency_keys_are_found_along_their_index(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    owner = a_user()
    keys = [
        {"owner_id": owner.id, "idempotency_key": f"key-{n}", "created_at": NOW + timedelta(seconds=n), "answer": b""}
        for n in range(AUTHORS * POSTS_EACH)
    ]
    async with writing(database) as session:
        await session.run_many(insert(table_of(UserRow)), [{**user_values(owner), "version": 1}])
        await session.run_many(insert(table_of(IdempotencyKeyRow)), keys)
    analyze = "ANALYZE TABLE" if sql_backend in {"mariadb", "mysql"} else "ANALYZE"
    async with behind.connect() as connection:
        await connection.exec_driver_sql(f"{analyze} idempotency_keys")
    captured.statements.clear()

    assert await storage.stored_responses.purge(until=NOW + timedelta(hours=1), limit=20) == 20
    captured.statements[:] = [sent for sent in captured.statements if sent[0].startswith("SELECT")]
    plan = await explained(behind, sql_backend, captured)
    plan = plan.replace("Index Scan using", "Index Scan Backward using")
    assert is_along_an_index(plan, sql_backend, "ix_idempotency_keys_created_at", "idempotency_keys"), plan


async def test_the_revision_and_the_account_are_found_by_their_keys(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str, captured: Captured
) -> None:
    database = open_with()
    storage = sql_storage(database)
    author, _ = await filled(database, behind, sql_backend)
    captured.statements.clear()

    for read in (
        storage.accounts.account(author.id),
        storage.credentials.by_email(author.email.key),
        storage.authors.find(author.id),
    ):
        assert await read is not None
        plan = await explained(behind, sql_backend, captured)
        # PostgreSQL reads a table of one page whole, and is right to; the others say how they would.
        if sql_backend == "sqlite":
            assert "SEARCH users USING INDEX" in plan, plan
        elif sql_backend != "postgresql":
            assert "type=const" in plan, plan
