"""Times on the wire, and the scope of a cursor."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.shared.paging import scope_of
from application.shared.views import timestamp

moments = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 21, 9, 30, tzinfo=UTC), "2026-11-21T09:30:00.000000Z"),
        (datetime(2026, 11, 21, 9, 30, 0, 1, tzinfo=UTC), "2026-11-21T09:30:00.000001Z"),
        (datetime(2026, 11, 21, 9, 30, 0, 900_000, tzinfo=UTC), "2026-11-21T09:30:00.900000Z"),
    ],
)
def test_a_timestamp_always_has_six_digits_and_z(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text


@given(moments)
def test_a_timestamp_reads_back_as_the_same_moment(moment: datetime) -> None:
    assert datetime.fromisoformat(timestamp(moment)) == moment


@given(moments, moments)
def test_timestamps_sort_as_their_moments_do(one: datetime, other: datetime) -> None:
    assert (timestamp(one) < timestamp(other)) is (one < other)


def test_the_scope_of_a_list_tells_its_filters_apart() -> None:
    scopes = [
        scope_of("feed", {}),
        scope_of("feed", {"author": "1"}),
        scope_of("feed", {"author": "2"}),
        scope_of("feed", {"author": "1", "q": "x"}),
        scope_of("mine", {"author": "1"}),
    ]

    assert len(set(scopes)) == len(scopes)


def test_the_scope_does_not_depend_on_the_order_or_on_filters_left_out() -> None:
    assert scope_of("feed", {"q": "x", "author": "1", "since": None}) == scope_of("feed", {"author": "1", "q": "x"})
