"""What is left in the tables of a deleted post and of a deleted account: by an explicit list of every column.

A column that is in no list fails by its name, and so does one that is listed as erased and is not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sql.tables import AuthorRevisionRow, IdempotencyKeyRow, Row, table_of
from domain.identity.one_time_token import OneTimeToken, OneTimeTokenHash, Purpose
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.vote import Direction
from entrypoints.storage import Storage, sql_storage
from tests.builders import NOW, a_post, a_user
from tests.contracts.scenarios import given
from tests.contracts.test_every_field import add_factor, add_order, vote
from tests.filled import (
    a_filled_api_key,
    a_filled_order,
    a_filled_post,
    a_filled_second_factor,
    a_filled_session,
    a_filled_user,
)
from tests.integration.sql.conftest import OpenDatabase

TABLES: Final = Row.metadata.tables

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A table whose rows outlive what they tell of: which columns are emptied, and which are not of a person."""

    erased: str = ""
    structural: str = ""
    moved: str = ""
    """Structural, and changed by the deletion."""

    @property
    def columns(self) -> list[str]:
        return [*self.erased.split(), *self.structural.split(), *self.moved.split()]


GONE: Final = "the rows go, with all their columns"
NOBODYS: Final = "the installation's: nothing in it is of an account or a post"

FATES: Final[Mapping[str, str | Kept]] = {
    "users": GONE,
    "sessions": GONE,
    "one_time_tokens": GONE,
    "second_factors": GONE,
    "api_keys": GONE,
    "idempotency_keys": GONE,
    "author_revisions": GONE,
    "votes": GONE,
    "post_words": GONE,
    # The row of a post that was answered; any other goes. `hot` is its last rank, which nothing shows.
    "posts": Kept(
        erased="author_id text text_bytes listed score upvotes downvotes",
        structural="id reply_to replies hot ranked_at created_at updated_at",
        moved="version",
    ),
    # What a post scored for a moment, by the post's id; purged after two hours.
    "past_ranks": Kept(structural="valid_until post_id valid_from score hot"),
    "orders": Kept(
        erased="user_id street city state zip country", structural="id status created_at", moved="updated_at version"
    ),
    "order_lines": Kept(structural="order_id position product_id quantity"),
    # Kept on purpose, for as long as the trail is: who did what to whom, from where.
    "audit_entries": Kept(structural="id at event actor_id subject_id address user_agent request_id details"),
    "revocations": Kept(structural="id session_id generation created_at"),
    # Thin: ids, states and counts, until retention purges them.
    "outbox": Kept(structural="id event_id type version subject shard owner_id public time data"),
    "event_log": Kept(structural="position event_id type version subject shard owner_id public time data"),
    "relay_letters": Kept(
        structural="position event_id type version subject shard owner_id public time data dead attempts "
        "next_attempt_at error"
    ),
    "event_sequencer": NOBODYS,
    "relay_shards": NOBODYS,
    "cache_fences": NOBODYS,
    "webhook_endpoints": NOBODYS,
    # The events that it carries are as thin as those of the log.
    "webhook_deliveries": NOBODYS,
    "webhook_cursor": NOBODYS,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_erased_or_structural(name: str) -> None:
    fate = FATES[name]
    if isinstance(fate, Kept):
        assert len(fate.columns) == len(set(fate.columns))
        assert set(fate.columns) ^ set(TABLES[name].columns.keys()) == set(), f"{name}: these are in one list alone"


def test_no_table_is_listed_that_is_no_more() -> None:
    assert FATES.keys() == TABLES.keys()


@pytest.fixture
def storage(open_with: OpenDatabase) -> Storage:
    return sql_storage(open_with())


async def rows(behind: AsyncEngine) -> Rows:
    async with behind.connect() as connection:
        return {
            name: [dict(row) for row in (await connection.execute(select(table))).mappings()]
            for name, table in TABLES.items()
        }


def of(ids: Collection[UUID], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that name one of these ids."""
    return [row for row in found if any(value in ids for value in row.values() if isinstance(value, UUID))]


def demand_gone(name: str, ids: Collection[UUID], before: Rows, after: Rows) -> None:
    assert of(ids, before[name]), f"nothing was in {name} that could have gone"
    assert of(ids, after[name]) == [], f"rows of {name} are still there"


def demand_erased(name: str, ids: Collection[UUID], before: Rows, after: Rows) -> None:
    """Raise unless the rows with these ids are there and say nothing any more but what is structural."""
    fate = FATES[name]
    assert isinstance(fate, Kept)
    was = {row["id"]: row for row in before[name] if row["id"] in ids}
    left = {row["id"]: row for row in after[name] if row["id"] in ids}
    assert left.keys() == was.keys() == set(ids)
    for column in fate.erased.split():
        assert any(row[column] for row in was.values()), f"{name}.{column} was empty before"
        assert not any(row[column] for row in left.values()), f"{name}.{column} is not erased"
    for column in fate.structural.split():
        assert {id: row[column] for id, row in left.items()} == {id: row[column] for id, row in was.items()}, column


def saying(word: str, found: Rows) -> set[str]:
    """Return the columns in which a word is found, however it is spelled."""
    return {
        f"{name}.{column}"
        for name, lines in found.items()
        for row in lines
        for column, value in row.items()
        if isinstance(value, str | bytes)
        and word in (value if isinstance(value, str) else value.decode(errors="replace")).lower()
    }


async def with_votes(storage: Storage, post: Post) -> None:
    """Let two vote for a post and one against it."""
    for direction in (Direction.UP, Direction.UP, Direction.DOWN):
        voter = a_user()
        await given(storage, voter)
        await vote(storage, voter.id, post.id, direction)


async def answered_posts(storage: Storage, author: User) -> list[Post]:
    """Store posts that somebody else answered and voted on: one in the feed, and one that is an answer itself."""
    other = a_user()
    beginning = a_post(other)
    listed, answer = a_post(author, "A filled text of a post in the feed"), a_filled_post(author, beginning)
    await given(storage, other, beginning, listed, answer)
    for post in (listed, answer):
        await given(storage, a_post(other, reply_to=post))
        await with_votes(storage, post)
    return [listed, answer]


async def test_a_deleted_post_leaves_what_is_structural(storage: Storage, behind: AsyncEngine) -> None:
    alice = a_user()
    await given(storage, alice)
    posts = await answered_posts(storage, alice)
    ids = {post.id for post in posts}
    before = await rows(behind)

    for post in posts:
        async with storage.posts_units() as uow:
            await uow.posts.remove(await uow.posts.get(post.id), owner=alice.id)
            await uow.commit()

    after = await rows(behind)
    demand_erased("posts", ids, before, after)
    for name in ("votes", "post_words"):
        demand_gone(name, ids, before, after)
    assert saying("filled", before) >= {"posts.text", "post_words.words"}
    assert saying("filled", after) == set()


async def test_a_deleted_account_leaves_what_is_structural(storage: Storage, behind: AsyncEngine) -> None:
    alice, bob = a_filled_user(), a_user()
    gone, bobs = a_post(alice, "A filled text that nobody answered"), a_post(bob)
    order = a_filled_order(alice)
    token = OneTimeToken.issue(
        user_id=alice.id, purpose=Purpose.RESET_PASSWORD, hash=OneTimeTokenHash(bytes(32)), email=alice.email, at=NOW
    )
    await given(storage, alice, bob, a_filled_session(alice), gone, bobs)
    answered = await answered_posts(storage, alice)
    await vote(storage, alice.id, bobs.id, Direction.UP)
    await add_factor(storage, a_filled_second_factor(alice))
    await add_order(storage, order)
    async with storage.identity_units() as uow:
        await uow.api_keys.add(a_filled_api_key(alice))
        await uow.one_time_tokens.put(token)
        await uow.commit()
    async with behind.connect() as connection:
        # One is written by a use case alone, the other not on every database.
        kept = {"owner_id": alice.id, "idempotency_key": "filled-key", "created_at": NOW, "answer": b"a filled answer"}
        await connection.execute(insert(table_of(IdempotencyKeyRow)), kept)
        revisions = table_of(AuthorRevisionRow)
        if not of({alice.id}, [dict(row) for row in (await connection.execute(select(revisions))).mappings()]):
            await connection.execute(insert(revisions), {"author_id": alice.id, "revision": 7})
    before = await rows(behind)

    async with storage.identity_units() as uow:
        await uow.users.remove(await uow.users.get(alice.id), at=NOW)
        await uow.commit()

    after = await rows(behind)
    ids = {alice.id, gone.id, *(post.id for post in answered)}
    for name in (name for name, fate in FATES.items() if fate == GONE):
        demand_gone(name, ids, before, after)
    assert of({gone.id}, after["posts"]) == []
    demand_erased("posts", {post.id for post in answered}, before, after)
    demand_erased("orders", {order.id}, before, after)
    assert len(saying("filled", before)) > 10
    assert saying("filled", after) == set()
