"""Ranks, and what a vote does to a tally."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.posts.events import VoteCast
from domain.posts.ranking import hot_bonus, hot_rank
from domain.posts.vote import Ballot, Direction, Tally
from tests.builders import NOW, a_post, a_user

DIRECTIONS = st.sampled_from(Direction)


def a_ballot(direction: Direction = Direction.NONE, tally: Tally = Tally(3, 1)) -> Ballot:  # noqa: B008 - immutable
    author, voter = a_user(), a_user()
    post = a_post(author)
    return Ballot(
        post_id=post.id,
        author_id=author.id,
        post_version=1,
        published_at=NOW,
        voter_id=voter.id,
        direction=direction,
        tally=tally,
    )


@pytest.mark.parametrize(
    ("score", "hours"), [(0, 0), (1, 0), (-1, 0), (10, 12.5), (100, 25), (1000, 37.5), (-10, -12.5), (-100, -25)]
)
def test_a_tenfold_score_is_worth_twelve_and_a_half_hours(score: int, hours: float) -> None:
    assert hot_bonus(score) == hours * 3_600_000


def test_the_rank_of_a_post_without_votes_is_its_time_of_publication() -> None:
    assert hot_rank(0, datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=UTC)) == 1000
    assert hot_rank(0, NOW + timedelta(seconds=1)) - hot_rank(0, NOW) == 1000


@given(st.integers(-(2**31), 2**31 - 2))
def test_a_vote_more_never_cools_a_post(score: int) -> None:
    assert hot_rank(score, NOW) <= hot_rank(score + 1, NOW)


def test_the_order_is_that_of_the_published_formula() -> None:
    """Reddit's own, in floating point, on what is far enough apart for it."""
    from math import log10

    def published(score: int, at: datetime) -> float:
        sign = (score > 0) - (score < 0)
        return sign * log10(max(abs(score), 1)) + at.timestamp() / 45_000

    cases = [(score, NOW - timedelta(minutes=37 * n)) for n, score in enumerate((5, 900, -3, 0, 1, 44, 12, -70, 8))]

    assert sorted(cases, key=lambda c: hot_rank(*c)) == sorted(cases, key=lambda c: published(*c))


@given(DIRECTIONS, DIRECTIONS)
def test_turning_and_turning_back_changes_nothing(before: Direction, after: Direction) -> None:
    tally = Tally(5, 5)

    assert tally.moved(before, after).score - tally.score == after - before
    assert tally.moved(before, after).moved(after, before) == tally


def test_a_vote_that_changes_something_is_an_event() -> None:
    ballot = a_ballot()

    assert ballot.cast(Direction.DOWN, at=NOW)

    [event] = ballot.pull_events()
    assert isinstance(event, VoteCast)
    assert (event.direction, event.is_own, ballot.tally) == (-1, False, Tally(3, 2))
    assert (event.upvotes, event.downvotes) == (3, 2)


def test_a_vote_that_is_there_already_is_none() -> None:
    ballot = a_ballot(Direction.UP)

    assert not ballot.cast(Direction.UP, at=NOW)

    assert (ballot.pull_events(), ballot.tally) == ([], Tally(3, 1))
