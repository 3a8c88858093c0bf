"""What the revision that brings ranks and threads makes of posts that were there before, and what it leaves."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, MetaData, Table, insert, select, text

from adapters.sql.schema.migrate import downgrade, upgrade
from adapters.sql.types import Id, Timestamp
from domain.posts.ranking import hot_rank
from tests.builders import NOW, an_id
from tests.integration.migrations.test_history import look

pytestmark = pytest.mark.untraced

SCORES = (0, 5, -3, 120)
_MOMENTS = {"created_at", "updated_at"}


def _reflected(connection: Connection, name: str) -> Table:
    table = Table(name, MetaData(), autoload_with=connection)
    for column in table.columns:
        if column.name in _MOMENTS:
            column.type = Timestamp()
        elif column.name in {"id", "author_id", "reply_to"}:
            column.type = Id()
    return table


def _fill(connection: Connection) -> None:
    author = an_id()
    user = {
        "id": author, "email": "a@example.org", "email_key": b"a@example.org", "email_verified": False, "username": "a",
        "username_key": b"a", "password_hash": "-", "role": "user", "status": "active", "created_at": NOW,
        "updated_at": NOW, "version": 1,
    }  # fmt: skip
    connection.execute(insert(_reflected(connection, "users")), [user])
    posts = [
        {
            "id": an_id(), "author_id": author, "text": "x", "text_bytes": 1, "score": score,
            "upvotes": max(score, 0), "downvotes": max(-score, 0), "created_at": NOW + timedelta(milliseconds=score),
            "updated_at": NOW, "version": 1,
        }
        for score in SCORES
    ]  # fmt: skip
    connection.execute(insert(_reflected(connection, "posts")), posts)


def _ranks(connection: Connection) -> dict[int, Any]:
    posts = _reflected(connection, "posts")
    columns = select(posts.c.score, posts.c.hot, posts.c.listed, posts.c.replies, posts.c.ranked_at)
    return {row.score: tuple(row)[1:] for row in connection.execute(columns)}


def _ids(connection: Connection) -> list[UUID]:
    posts = _reflected(connection, "posts")
    return list(connection.scalars(select(posts.c.id).order_by(posts.c.id)))


def test_posts_of_before_are_ranked_and_listed_and_survive_the_way_back(fresh_url: str) -> None:
    upgrade(fresh_url, "0003")
    look(fresh_url, _fill)
    before = look(fresh_url, _ids)

    upgrade(fresh_url, "0004")

    assert look(fresh_url, _ranks) == {
        score: (hot_rank(score, NOW + timedelta(milliseconds=score)), True, 0, 0) for score in SCORES
    }
    # A thread whose beginning was deleted: the tombstone has no place in the older schema, its answer has.
    look(fresh_url, lambda c: c.execute(text("DELETE FROM posts WHERE score = 120")))
    tombstone = "author_id = NULL, text_bytes = 0, text = '', listed = (1 = 0), replies = 1, score = 0, upvotes = 0"
    look(fresh_url, lambda c: c.execute(text(f"UPDATE posts SET {tombstone} WHERE score = 5")))
    downgrade(fresh_url, "0003")

    assert look(fresh_url, _ids) == [before[0], before[2]]
