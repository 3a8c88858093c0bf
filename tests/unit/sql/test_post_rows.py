"""Rows of posts are plain tuples: what reads them by position and what builds the statements say the same names."""

from itertools import product

from sqlalchemy import Select

from adapters.sql.posts.reader import _views
from adapters.sql.posts.statements import COLUMNS, ONE, RANKED_COLUMNS, SOME, moved_since, page_by_id, page_by_rank
from application.posts.views import AuthorView
from domain.posts.ranking import Sort
from domain.shared.ids import UserId
from tests.builders import an_id


def names(statement: Select[tuple[object, ...]]) -> tuple[str, ...]:
    return tuple(statement.selected_columns.keys())


def test_every_statement_for_posts_has_the_same_columns_in_the_same_order() -> None:
    found = set()
    ranked = set()
    for my_vote, by_rows in product((False, True), repeat=2):
        found |= {names(ONE[my_vote]), names(SOME[my_vote])}
        shape = {"of": "listed", "my_vote": my_vote, "keyset_by_rows": by_rows, "author_first": False}
        found.add(names(page_by_id(20, **shape)))
        ranked.add(
            names(
                page_by_rank(
                    Sort.HOT,
                    20,
                    placed=True,
                    since=True,
                    until=True,
                    by_pairs=by_rows,
                    sorts_for_bounds=by_rows,
                    **shape,
                )
            )
        )
        ranked.add(
            names(
                moved_since(
                    Sort.TOP,
                    20,
                    of="listed",
                    placed=True,
                    since=True,
                    until=True,
                    my_vote=my_vote,
                    by_pairs=by_rows,
                    sorts_for_bounds=by_rows,
                )
            )
        )
    assert found == {COLUMNS}
    assert ranked == {RANKED_COLUMNS}


def test_each_field_of_a_view_is_the_column_of_its_name() -> None:
    ids = {name: an_id() for name in ("id", "author_id", "reply_to")}
    values = {name: str(ids.get(name, name)) for name in COLUMNS}

    (view,) = _views([tuple(ids.get(name, name) for name in COLUMNS)], UserId(an_id()))

    del values["text_bytes"]
    assert view.author == AuthorView(values.pop("author_id"), values.pop("username"), values.pop("name"))
    assert {name: getattr(view, name) for name in values} == values
