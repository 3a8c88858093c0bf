"""Whose list of own posts an event changes."""

import pytest

from application.events.changed_authors import changed_author
from domain.identity.events import PasswordChanged, ProfileChanged
from domain.posts.events import PostDeleted, PostEdited, PostPublished, VoteCast
from domain.shared.events import DomainEvent
from domain.shared.ids import PostId, UserId
from tests.builders import NOW, an_id

ALICE, BOB, POST = UserId(an_id()), UserId(an_id()), PostId(an_id())


def vote(voter: UserId) -> VoteCast:
    return VoteCast(at=NOW, post_id=POST, author_id=ALICE, voter_id=voter, direction=1, upvotes=1, downvotes=0)


@pytest.mark.parametrize(
    "event",
    [
        PostPublished(at=NOW, post_id=POST, author_id=ALICE, version=1),
        PostEdited(at=NOW, post_id=POST, author_id=ALICE, version=2),
        PostDeleted(at=NOW, post_id=POST, author_id=ALICE, version=2, deleted_by=BOB),
        vote(ALICE),
        ProfileChanged(at=NOW, user_id=ALICE),
    ],
    ids=lambda event: event.name,
)
def test_an_authors_posts_vote_and_name_change_their_list(event: DomainEvent) -> None:
    assert changed_author(event) == ALICE


@pytest.mark.parametrize("event", [vote(BOB), PasswordChanged(at=NOW, user_id=ALICE)], ids=lambda event: event.name)
def test_what_is_not_shown_in_it_or_comes_from_others_changes_no_list(event: DomainEvent) -> None:
    assert changed_author(event) is None
