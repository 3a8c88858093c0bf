"""The clock that processes share: it follows the database, and never runs backwards."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.system.clock import SharedClock
from adapters.system.clock_sync import SET_BACK, SKEW, ClockSynchronizer
from adapters.system.ids import Uuid7Generator
from application.shared.clock import StorageTime, TimeReading
from application.shared.errors import StorageUnavailable
from application.shared.health import Notices
from tests.builders import NOW, an_id
from tests.fakes import SettableClock

HOUR = timedelta(hours=1)


class Machine:
    """A host with a timer and a wall clock, and a database with a clock of its own."""

    def __init__(self, *, host_ahead: timedelta = timedelta(0)) -> None:
        self.seconds = 1_000.0
        self.host = SettableClock(NOW + host_ahead)
        self.database = NOW
        self.newest: UUID | None = None
        self.clock = SharedClock(self.host, timer=lambda: self.seconds)

    def passes(self, seconds: float) -> None:
        self.seconds += seconds
        self.host.advance(timedelta(seconds=seconds))
        self.database += timedelta(seconds=seconds)

    def read(self, *, asking: float = 0.0, answering: float = 0.0) -> float:
        asked_at = self.seconds
        self.passes(asking)
        reading = TimeReading(self.database, 0.0, self.newest)
        self.passes(answering)
        return self.clock.adjust(reading, asked_at=asked_at, answered_at=self.seconds)

    @property
    def error(self) -> float:
        """By how many seconds the clock is ahead of the database."""
        return (self.clock.now() - self.database).total_seconds()


@pytest.mark.parametrize("seconds", [-3600, -120, -30, 0, 30, 120, 3600])
def test_the_first_reading_makes_the_host_s_clock_irrelevant(seconds: int) -> None:
    machine = Machine(host_ahead=timedelta(seconds=seconds))
    assert machine.error == pytest.approx(seconds, abs=1e-3)

    machine.read()

    assert machine.error == pytest.approx(0, abs=1e-5)
    assert machine.clock.host_skew_seconds == pytest.approx(seconds, abs=1e-5)


def test_the_host_s_clock_may_be_set_meanwhile() -> None:
    machine = Machine()
    machine.read()
    machine.host.advance(-HOUR)

    machine.passes(0.5)

    assert machine.error == pytest.approx(0, abs=1e-5)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=20))
def test_slow_answers_never_take_it_further_off_than_the_fastest(delays: list[tuple[float, float]]) -> None:
    machine = Machine(host_ahead=HOUR)
    machine.read(asking=0.001, answering=0.001)

    for asking, answering in delays:
        machine.read(asking=asking, answering=answering)
        assert machine.error == pytest.approx(0, abs=0.002)


def test_it_follows_a_database_that_is_ahead_at_once() -> None:
    machine = Machine()
    machine.read()
    machine.database += HOUR

    moved = machine.read()

    assert moved == pytest.approx(3600)
    assert machine.error == pytest.approx(0, abs=1e-5)


def test_it_runs_at_half_speed_until_a_database_that_was_set_back_has_caught_up() -> None:
    machine = Machine()
    machine.read()
    before = machine.clock.now()
    machine.database -= HOUR

    assert machine.read() == pytest.approx(-3600)
    assert machine.clock.now() == before
    machine.passes(600)
    machine.read()
    assert (machine.clock.now() - before).total_seconds() == pytest.approx(300, abs=1e-3)
    assert machine.clock.ahead_seconds == pytest.approx(3300, abs=1e-3)

    machine.passes(2 * 3300)
    machine.read()

    assert machine.error == pytest.approx(0, abs=1e-3)


def test_a_process_that_starts_then_joins_those_that_run_ahead() -> None:
    older, newer = Machine(), Machine()
    older.read()
    older.database -= HOUR
    older.read()
    newer.database -= HOUR
    newer.newest = an_id(older.clock.now())

    newer.read()

    assert newer.clock.now() == older.clock.now()
    for machine in (older, newer):
        machine.passes(100)
        machine.read()
    assert (newer.clock.now() - older.clock.now()).total_seconds() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(days=1)])
def test_a_newest_id_of_a_moment_or_of_a_clock_that_was_wrong_is_not_followed(ahead: timedelta) -> None:
    machine = Machine()
    machine.newest = an_id(NOW + ahead)

    machine.read()

    assert machine.error == pytest.approx(0, abs=1e-5)


steps = st.tuples(st.floats(0, 100), st.floats(-7200, 7200), st.floats(-7200, 7200), st.floats(0, 3))


@given(st.lists(steps, max_size=30))
def test_it_never_runs_backwards(steps: list[tuple[float, float, float, float]]) -> None:
    machine = Machine()
    machine.read()
    last = machine.clock.now()
    for passing, host, database, delay in steps:
        machine.passes(passing)
        machine.host.advance(timedelta(seconds=host))
        machine.database += timedelta(seconds=database)
        assert (told := machine.clock.now()) >= last
        machine.read(asking=delay)
        assert (last := machine.clock.now()) >= told


class SetTime(StorageTime):
    def __init__(self) -> None:
        self.now: datetime | None = datetime.now(UTC)
        self.newest: UUID | None = None

    async def read(self) -> TimeReading:
        if self.now is None:
            raise StorageUnavailable
        return TimeReading(self.now, 0.0, self.newest)


class Kept:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.source, self.notices, self.ids, self.steps = SetTime(), Notices(), Uuid7Generator(), 0
        self.source.now = NOW
        self.host = SettableClock()
        self.clock = SharedClock(self.host, timer=lambda: self.seconds)
        self.keeper = ClockSynchronizer(self.source, self.clock, self.ids, self.notices, on_step=self.stepped)

    def stepped(self) -> None:
        self.steps += 1

    def told(self) -> dict[str, str]:
        return {notice.code: notice.message for notice in self.notices.current()}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (29, None),
        (-29, None),
        (120, "The clock of this host is 120 s ahead of the database's. Times go by the database's."),
        (-120, "The clock of this host is 120 s behind the database's. Times go by the database's."),
    ],
)
async def test_a_host_that_is_far_off_is_told(seconds: int, told: str | None) -> None:
    kept = Kept()
    kept.host.advance(timedelta(seconds=seconds))

    await kept.keeper.read()

    assert kept.told().get(SKEW) == told
    assert kept.keeper.skew_seconds == pytest.approx(abs(seconds))
    kept.host.advance(-timedelta(seconds=seconds))
    await kept.keeper.read()
    assert kept.told() == {}


async def test_a_lasting_skew_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    kept.host.advance(HOUR)
    for _ in range(180):
        await kept.keeper.read()
        kept.seconds += 1
        kept.host.advance(timedelta(seconds=1))
        assert kept.source.now is not None
        kept.source.now += timedelta(seconds=1)

    assert [record.getMessage()[:10] for record in caplog.records] == ["clock-skew"] * 3


async def test_a_step_is_told_to_what_reads_windows_of_time() -> None:
    kept = Kept()
    await kept.keeper.read()
    assert kept.source.now is not None
    kept.source.now -= HOUR

    await kept.keeper.read()

    assert kept.steps == 1
    assert SET_BACK in kept.told()


async def test_without_an_answer_the_clock_goes_on_and_that_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    await kept.keeper.read()
    kept.source.now = None
    for _ in range(3):
        kept.seconds += 1
        await kept.keeper.read()

    assert kept.clock.now() == NOW + timedelta(seconds=3)
    assert len(caplog.records) == 1
    kept.source.now = NOW + timedelta(seconds=3)
    await kept.keeper.read()
    assert caplog.records[-1].getMessage() == "the database tells the time again"


async def test_ids_stay_above_the_newest_in_storage() -> None:
    kept = Kept()
    kept.source.newest = newest = an_id(NOW + timedelta(days=400))

    await kept.keeper.read()

    assert kept.ids.new(kept.clock.now()) > newest
    assert kept.clock.now() == NOW
