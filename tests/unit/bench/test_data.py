import sqlite3
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from adapters.sql.schema.migrate import upgrade
from adapters.sql.tables import Row
from bench.data import CROWD, MEDIUM_AUTHOR, READERS, SMALL_AUTHOR, WRITERS, Data, heat, short_id
from bench.loading import UnknownColumn, columns_to_fill, load
from domain.posts.search import SearchableText


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(10_000)


def test_the_data_is_the_same_every_time(data: Data) -> None:
    again = Data(10_000)
    assert [data.post(index) for index in (0, 5_000, 9_999)] == [again.post(index) for index in (0, 5_000, 9_999)]
    assert list(data.all_votes()) == list(again.all_votes())


def test_authors_of_known_size_have_exactly_that_many_posts(data: Data) -> None:
    counted = Counter(post.author for post in data.all_posts())
    assert (counted[SMALL_AUTHOR], counted[MEDIUM_AUTHOR]) == (10, 1_000)
    assert {counted[author] for author in (*READERS, *WRITERS)} == {100}
    assert sum(counted.values()) == 10_000


def test_the_newest_posts_of_an_author_are_told_newest_first(data: Data) -> None:
    own = [post.index for post in data.all_posts() if post.author == SMALL_AUTHOR]
    assert data.newest_of(SMALL_AUTHOR, 20) == own[::-1]
    assert data.newest_of(SMALL_AUTHOR, 3) == own[:-4:-1]


def test_ids_sort_by_time_and_lead_back_to_their_posts(data: Data) -> None:
    ids = [post.id for post in data.all_posts()]
    assert ids == sorted(set(ids))
    assert [data.find(id) for id in ids[::997]] == list(range(0, 10_000, 997))
    assert data.find(data.person(1).id) is None


def test_short_ids_are_unique_and_of_fifteen_characters() -> None:
    ids = {short_id(number, kind="p") for number in range(10_000)}
    assert len(ids) == 10_000
    assert {len(id) for id in ids} == {15}


def test_counters_are_what_the_votes_add_up_to(data: Data) -> None:
    score: Counter[int] = Counter()
    for vote in data.all_votes():
        score[vote.post] += vote.direction
        assert vote.voter >= CROWD.stop
    assert all(post.score == score[post.index] for post in data.all_posts())
    assert any(post.score > 3 for post in data.all_posts())


@pytest.mark.slow
def test_the_data_fits_the_schema_of_today(data: Data, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'data.db'}"
    upgrade(url)
    load(url, Row.metadata, data, password_hash="$argon2id$…")
    connection = sqlite3.connect(tmp_path / "data.db")
    try:
        counted = [
            connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("users", "posts", "votes", "post_words")
        ]
        searched = SearchableText.of("4711").words.strip()  # its number, which no other post has in its text
        found = connection.execute(
            "SELECT post_id FROM post_words WHERE id IN (SELECT rowid FROM fts_post_words(?))", [searched]
        ).fetchall()
        post = data.post(4_711)
        stored = connection.execute("SELECT text, score FROM posts WHERE id = ?", [post.id.bytes]).fetchone()
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        connection.close()
    assert counted == [data.people, 10_000, data.vote_count, 10_000]
    assert found == [(post.id.bytes,)]
    assert stored == (post.text, post.score)
    assert broken == []


def test_a_column_that_needs_a_value_and_has_none_is_named() -> None:
    table = Table("posts", MetaData(), Column("id", Integer, primary_key=True), Column("heat", Integer, nullable=False))
    with pytest.raises(UnknownColumn, match=r"posts\.heat"):
        columns_to_fill(table, {"id": 1})


def test_a_column_that_can_do_without_a_value_is_left_out() -> None:
    table = Table("posts", MetaData(), Column("id", Integer, primary_key=True), Column("note", Integer))
    assert columns_to_fill(table, {"id": 1, "more": 2}) == ["id"]


def test_baselines_rank_as_the_product_does(data: Data) -> None:
    ranking = pytest.importorskip("domain.posts.ranking")
    for post in islice(data.all_posts(), 0, None, 997):
        assert heat(post.score, post.created_at) == ranking.hot_rank(post.score, post.created_at)
    first = data.post(0).created_at
    assert heat(-10, first) == ranking.hot_rank(-10, first)
