"""The post aggregate and its text."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.posts.errors import NotYourPost
from domain.posts.events import PostDeleted, PostEdited, PostPublished
from domain.posts.post import Post
from domain.posts.values import TEXT_MAX_BYTES, PostText
from domain.shared.actor import Role
from domain.shared.errors import Invalid
from domain.shared.ids import PostId
from tests.builders import NOW, a_post, a_user, an_actor, an_id

LATER = NOW + timedelta(hours=1)


def code(raw: str) -> str:
    with pytest.raises(Invalid) as caught:
        PostText.parse(raw)
    (error,) = caught.value.errors
    assert error.field == "text"
    return error.code


def test_a_text_is_trimmed() -> None:
    assert PostText.parse(" \n\u3000Hello,  world\t").value == "Hello,  world"


@pytest.mark.parametrize(
    "raw", ["", " ", "\n\t\u3000\u2028", "\x7f", "\x01\x7f", "\u200b", "\u3164 \u2800", "\x7f\u0301"]
)
def test_a_blank_text_is_refused(raw: str) -> None:
    assert code(raw) == "blank"


@pytest.mark.parametrize("raw", ["a\x00b", "a\ud800b", "\udfff"])
def test_what_not_every_database_can_store_is_refused(raw: str) -> None:
    assert code(raw) == "format"


@pytest.mark.parametrize("character", ["a", "é", "世", "😀"])
def test_a_mebibyte_of_utf8_is_the_limit(character: str) -> None:
    width = len(character.encode())
    fits = character * (TEXT_MAX_BYTES // width) + "a" * (TEXT_MAX_BYTES % width)

    assert len(PostText.parse(fits).value.encode()) == TEXT_MAX_BYTES
    assert code(fits + "a") == "length"


def test_blanks_around_do_not_count() -> None:
    assert len(PostText.parse(" " + "a" * TEXT_MAX_BYTES + "\n").value) == TEXT_MAX_BYTES


@given(st.text(max_size=60))
def test_parsing_again_changes_nothing(raw: str) -> None:
    try:
        once = PostText.parse(raw)
    except Invalid:
        return

    assert PostText.parse(once.value) == once


def test_publishing_makes_the_actors_post_and_says_so() -> None:
    alice, post_id = a_user(), PostId(an_id())

    post = Post.publish(id=post_id, by=an_actor(alice), text=PostText("news"), at=NOW)

    assert (post.author_id, post.created_at, post.updated_at, post.version) == (alice.id, NOW, NOW, 1)
    assert post.pull_events() == [PostPublished(at=NOW, post_id=post_id, author_id=alice.id, version=1)]


def test_restoring_records_nothing() -> None:
    assert a_post(a_user()).pull_events() == []


def test_its_author_edits_a_post() -> None:
    alice = a_user()
    post = a_post(alice)

    post.edit(by=an_actor(alice), text=PostText("better"), at=LATER)

    assert (post.text.value, post.created_at, post.updated_at) == ("better", NOW, LATER)
    assert post.pull_events() == [PostEdited(at=LATER, post_id=post.id, author_id=alice.id, version=2)]


@pytest.mark.parametrize("role", Role)
def test_nobody_else_edits_a_post_whatever_their_role(role: Role) -> None:
    post = a_post(a_user(), "mine")

    with pytest.raises(NotYourPost):
        post.edit(by=an_actor(a_user(role=role)), text=PostText("yours"), at=LATER)

    assert (post.text.value, post.updated_at, post.pull_events()) == ("mine", NOW, [])


def test_its_author_deletes_a_post() -> None:
    alice = a_user()
    post = a_post(alice)

    post.delete(by=an_actor(alice), at=LATER)

    assert post.pull_events() == [
        PostDeleted(at=LATER, post_id=post.id, author_id=alice.id, version=1, deleted_by=alice.id)
    ]


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
def test_a_moderator_deletes_any_post(role: Role) -> None:
    alice, moderator = a_user(), a_user(role=role)
    post = a_post(alice)

    post.delete(by=an_actor(moderator), at=LATER)

    assert post.pull_events() == [
        PostDeleted(at=LATER, post_id=post.id, author_id=alice.id, version=1, deleted_by=moderator.id)
    ]


def test_no_other_user_deletes_a_post() -> None:
    post = a_post(a_user())

    with pytest.raises(NotYourPost):
        post.delete(by=an_actor(a_user()), at=LATER)

    assert post.pull_events() == []
