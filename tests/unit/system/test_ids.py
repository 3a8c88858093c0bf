"""Identifiers that sort by time, and generated usernames."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.system.clock import SystemClock
from adapters.system.ids import RandomUsernames, Uuid7Generator
from application.shared.ids import IdGenerator
from domain.identity.values import Username
from domain.shared.ids import smallest_id_at, timestamp_of
from tests.builders import NOW
from tests.fakes import CountedIds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
microseconds = st.integers(min_value=0, max_value=(datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // MICROSECOND)
moments = microseconds.map(lambda n: EPOCH + n * MICROSECOND)


@pytest.fixture(params=[CountedIds, Uuid7Generator])
def ids(request: pytest.FixtureRequest) -> IdGenerator:
    generator: IdGenerator = request.param()
    return generator


def test_an_id_is_a_uuid_of_version_7(ids: IdGenerator) -> None:
    new = ids.new(NOW)

    assert (new.version, new.variant) == (7, RFC_4122)


def test_an_id_carries_the_unix_milliseconds(ids: IdGenerator) -> None:
    # RFC 9562, appendix A.6: 2022-02-22T19:22:22.000Z is 0x017F22E279B0.
    assert ids.new(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)).hex.startswith("017f22e279b07000")


def test_ids_sort_by_the_microsecond(ids: IdGenerator) -> None:
    made = [ids.new(NOW + n * MICROSECOND) for n in range(3000)]

    assert all(earlier < later for earlier, later in pairwise(made))


def test_ids_of_one_microsecond_are_distinct_and_in_order(ids: IdGenerator) -> None:
    made = [ids.new(NOW) for _ in range(1000)]

    assert all(earlier < later for earlier, later in pairwise(made))


def test_the_zone_in_which_a_moment_is_told_does_not_matter() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert smallest_id_at(elsewhere) == smallest_id_at(NOW)


@given(moments, moments)
def test_the_order_of_ids_is_the_order_of_their_moments(one: datetime, other: datetime) -> None:
    # Of two processes: one generator never goes back.
    if one == other:
        return
    assert (Uuid7Generator().new(one) < Uuid7Generator().new(other)) == (one < other)


@given(moments)
def test_the_smallest_id_of_a_moment_divides_the_earlier_from_the_rest(moment: datetime) -> None:
    ids, bound = Uuid7Generator(), smallest_id_at(moment)

    assert moment == EPOCH or ids.new(moment - MICROSECOND) < bound
    assert bound <= ids.new(moment)
    assert bound <= ids.new(moment + MICROSECOND)
    assert (bound.version, bound.variant) == (7, RFC_4122)


@given(moments)
def test_an_id_says_which_moment_it_was_made_for(moment: datetime) -> None:
    assert timestamp_of(Uuid7Generator().new(moment)) == moment


@given(st.lists(moments, min_size=2))
def test_ids_of_one_generator_never_go_back_whatever_the_clock_does(moments: list[datetime]) -> None:
    ids = Uuid7Generator()
    made = [ids.new(moment) for moment in moments]

    assert all(earlier < later for earlier, later in pairwise(made))


def test_a_clock_set_back_an_hour_makes_ids_that_sort_above_those_that_are_there() -> None:
    before = Uuid7Generator().new(NOW)
    restarted = Uuid7Generator()

    restarted.raise_floor(before)
    made = [restarted.new(NOW - timedelta(hours=1)) for _ in range(100)]

    assert all(earlier < later for earlier, later in pairwise([before, *made]))
    assert {id.version for id in made} == {7}
    assert restarted.new(NOW + MICROSECOND) > made[-1]


def test_a_tail_that_is_used_up_goes_over_into_the_next_microsecond() -> None:
    last = UUID(int=smallest_id_at(NOW).int | (1 << 62) - 1)
    ids = Uuid7Generator()
    ids.raise_floor(last)

    following = ids.new(NOW - timedelta(hours=1))

    assert following > last
    assert (following.version, following.variant) == (7, RFC_4122)
    assert timestamp_of(following) == NOW + MICROSECOND


def test_what_is_no_id_of_ours_holds_nothing_up() -> None:
    ids = Uuid7Generator()

    ids.raise_floor(UUID("ffffffff-ffff-4fff-bfff-ffffffffffff"))

    assert timestamp_of(ids.new(NOW)) == NOW


def test_a_naive_moment_is_a_defect() -> None:
    with pytest.raises(TypeError):
        Uuid7Generator().new(NOW.replace(tzinfo=None))


def test_neighbours_of_one_microsecond_cannot_be_guessed() -> None:
    ids = Uuid7Generator()
    made = [ids.new(NOW).int for _ in range(100)]
    steps = [later - earlier for earlier, later in pairwise(made)]

    assert len(set(steps)) > 90
    assert max(steps) > 2**28


def test_two_processes_do_not_make_the_same_ids() -> None:
    one, other = Uuid7Generator(), Uuid7Generator()

    assert not {one.new(NOW) for _ in range(1000)} & {other.new(NOW) for _ in range(1000)}


def test_threads_share_a_generator_without_duplicates() -> None:
    ids = Uuid7Generator()

    def make(_: int) -> list[UUID]:
        return [ids.new(NOW) for _ in range(500)]

    with ThreadPoolExecutor(8) as pool:
        made = [id_ for batch in pool.map(make, range(8)) for id_ in batch]

    assert len(set(made)) == 4000


def test_suggested_usernames_are_valid_and_stay_as_they_are() -> None:
    for _ in range(200):
        suggestion = RandomUsernames().suggest()
        assert Username.parse(suggestion).value == suggestion
        assert Username.parse(suggestion).key == suggestion


def test_suggested_usernames_are_hardly_ever_taken() -> None:
    suggested = [RandomUsernames().suggest() for _ in range(5000)]

    assert len(set(suggested)) == 5000
    # 10 characters, all positions using an alphabet of 27: more than 2**47 names.
    assert all(len({name[5 + n] for name in suggested}) == 27 for n in range(10))


def test_the_clock_tells_utc_to_the_microsecond() -> None:
    before = datetime.now(UTC)
    told = SystemClock().now()

    assert before <= told <= datetime.now(UTC)
    assert told.utcoffset() == timedelta(0)
