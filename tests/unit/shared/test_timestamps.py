"""Times as RFC 3339 writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.edge.timestamps import parse_timestamp

MICROSECOND = timedelta(microseconds=1)


@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda at: 1 < at.year < 9999),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.text("0123456789", max_size=60),
    st.sampled_from("Tt"),
)
def test_a_time_means_the_same_however_it_is_written(at: datetime, minutes: int, finer: str, t: str) -> None:
    offset = timezone(timedelta(minutes=minutes))
    local = at.astimezone(offset)
    written = f"{local:%Y-%m-%d}".rjust(10, "0") + f"{t}{local:%H:%M:%S.%f}{finer}"
    sign, (hours, rest) = ("-" if minutes < 0 else "+"), divmod(abs(minutes), 60)
    expected = at + (MICROSECOND if finer.strip("0") else timedelta(0))

    assert parse_timestamp(f"{written}{sign}{hours:02d}:{rest:02d}") == expected
    if not minutes:
        assert (
            parse_timestamp(f"{written}z")
            == parse_timestamp(f"{written}Z")
            == parse_timestamp(f"{written}-00:00")
            == expected
        )


@given(st.text(st.sampled_from("0123456789-:.+TtZz 6"), max_size=40))
def test_anything_else_is_no_time_and_nothing_worse(text: str) -> None:
    try:
        found = parse_timestamp(text)
    except ValueError:
        return
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.999Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T05:29:60+05:30", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_leap_second_is_the_second_after_it(written: str, at: datetime) -> None:
    assert parse_timestamp(written) == at


@pytest.mark.parametrize(
    "written",
    [
        "2016-12-31T12:00:60Z",
        "2016-12-31T23:59:61Z",
        "2016-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "٢٠١٦-12-31T00:00:00Z",
    ],
)
def test_a_second_that_there_never_was_is_none(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(written)
