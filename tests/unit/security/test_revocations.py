"""The watch over revocations: what it trusts for how long, and what it does when storage stalls."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.security.revocations import (
    MARGIN_SECONDS,
    PURGE_BATCH,
    PURGE_EVERY_SECONDS,
    TRUST_SECONDS,
    WINDOW_SECONDS,
    KnownRevocations,
    PolledRevocations,
)
from application.identity.ports import RevocationLog
from application.identity.revocations import EVERY_GENERATION, Revocation, generation_of, token_id
from application.shared.errors import StorageUnavailable
from domain.identity.errors import InvalidToken
from domain.identity.events import AccessWithdrawn, SessionRevoked
from domain.shared.ids import SessionId, UserId
from tests.builders import NOW, an_id
from tests.waiting import until

LIFETIME = 1800.0


class Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log(RevocationLog):
    """A log that notes how it is read, and can fail or take its time."""

    def __init__(self) -> None:
        self.entries: list[Revocation] = []
        self.asked: list[float] = []
        self.purges: list[tuple[float, int]] = []
        self.purgeable = 0
        self.is_down = False
        self.gate: asyncio.Event | None = None

    async def since(self, seconds: float) -> Sequence[Revocation]:
        self.asked.append(seconds)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_down:
            raise StorageUnavailable
        return list(self.entries)

    async def purge(self, *, older_than_seconds: float, limit: int) -> int:
        self.purges.append((older_than_seconds, limit))
        gone = min(self.purgeable, limit)
        self.purgeable -= gone
        return gone


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def known(timer: Timer) -> KnownRevocations:
    return KnownRevocations(timer=timer)


@pytest.fixture
def watch(log: Log, known: KnownRevocations, timer: Timer) -> PolledRevocations:
    return PolledRevocations(log, known, token_lifetime_seconds=LIFETIME, timer=timer, poll_seconds=0.001)


def a_session_id() -> SessionId:
    return SessionId(an_id())


async def test_nothing_is_known_before_the_first_reading(watch: PolledRevocations) -> None:
    assert not watch.are_current()
    await watch.refresh()
    assert watch.are_current()


async def test_knowledge_is_trusted_from_the_beginning_of_a_reading_for_less_than_a_second(
    watch: PolledRevocations, timer: Timer, log: Log
) -> None:
    log.gate = asyncio.Event()
    reading = asyncio.create_task(watch.refresh())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    timer.now += 0.5  # It takes half a second: what was committed meanwhile may not be in it.
    log.gate.set()
    await reading

    timer.now += TRUST_SECONDS - 0.5
    assert watch.are_current()
    timer.now += 0.001
    assert not watch.are_current()
    assert TRUST_SECONDS < 1


async def test_a_token_up_to_the_revoked_generation_is_covered(watch: PolledRevocations, log: Log) -> None:
    session, other = a_session_id(), a_session_id()
    log.entries = [Revocation(session, 3)]
    await watch.refresh()

    assert [watch.is_revoked(session, generation) for generation in (0, 3, 4)] == [True, True, False]
    assert not watch.is_revoked(other, 0)


async def test_an_earlier_revocation_does_not_take_a_later_one_back(watch: PolledRevocations, log: Log) -> None:
    session = a_session_id()
    log.entries = [Revocation(session, EVERY_GENERATION), Revocation(session, 3)]
    await watch.refresh()

    assert watch.is_revoked(session, 1_000_000)


async def test_the_process_that_commits_knows_at_once(known: KnownRevocations, watch: PolledRevocations) -> None:
    closed, withdrawn = a_session_id(), a_session_id()
    user_id = UserId(an_id())

    await known.committed(
        [
            SessionRevoked(at=NOW, user_id=user_id, session_id=closed, reason="logged-out"),
            AccessWithdrawn(at=NOW, user_id=user_id, session_id=withdrawn, generation=2),
        ]
    )

    assert watch.is_revoked(closed, 77)
    assert (watch.is_revoked(withdrawn, 2), watch.is_revoked(withdrawn, 3)) == (True, False)


async def test_everything_that_concerns_a_living_token_is_read_at_the_start_and_after_a_gap(
    watch: PolledRevocations, timer: Timer, log: Log
) -> None:
    await watch.refresh()
    timer.now += 1
    await watch.refresh()
    timer.now += WINDOW_SECONDS / 2 + 1
    await watch.refresh()

    assert log.asked == [LIFETIME + MARGIN_SECONDS, WINDOW_SECONDS, LIFETIME + MARGIN_SECONDS]


async def test_callers_at_the_same_time_share_one_reading(watch: PolledRevocations, log: Log) -> None:
    log.gate = asyncio.Event()
    callers = [asyncio.create_task(watch.refresh()) for _ in range(50)]
    await asyncio.sleep(0.01)
    log.gate.set()
    await asyncio.gather(*callers)

    assert len(log.asked) == 1


async def test_a_reading_goes_on_although_whoever_asked_hangs_up(watch: PolledRevocations, log: Log) -> None:
    log.gate = asyncio.Event()
    first, second = asyncio.create_task(watch.refresh()), asyncio.create_task(watch.refresh())
    await asyncio.sleep(0.01)
    first.cancel()
    log.gate.set()
    await second

    assert watch.are_current()
    assert first.cancelled()


async def test_a_reading_that_began_too_long_ago_is_followed_by_another(
    watch: PolledRevocations, timer: Timer, log: Log
) -> None:
    log.gate = asyncio.Event()
    caller = asyncio.create_task(watch.refresh())
    await asyncio.sleep(0.01)
    timer.now += TRUST_SECONDS + 0.1
    log.gate.set()
    await caller

    assert len(log.asked) == 2
    assert watch.are_current()


async def test_who_asks_in_the_turn_in_which_such_a_reading_ends_waits_for_another(
    watch: PolledRevocations, timer: Timer, log: Log
) -> None:
    log.gate = asyncio.Event()
    first = asyncio.create_task(watch.refresh())
    await asyncio.sleep(0.01)
    timer.now += TRUST_SECONDS + 0.1
    log.gate.set()  # The reading ends in the next turn, and this comes right after it:
    second = asyncio.create_task(watch.refresh())
    await asyncio.gather(first, second)

    assert len(log.asked) == 2
    assert watch.are_current()


async def test_what_cannot_be_read_stays_unknown(watch: PolledRevocations, log: Log) -> None:
    log.is_down = True
    await watch.refresh()
    assert not watch.are_current()

    log.is_down = False
    await watch.refresh()
    assert watch.are_current()


async def test_a_caller_does_not_wait_for_ever(
    watch: PolledRevocations, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.security.revocations.CATCH_UP_SECONDS", 0.05)
    log.gate = asyncio.Event()  # No test opens it: that this ends is the proof.
    await watch.refresh()

    assert log.asked
    assert not watch.are_current()
    await watch.close()


async def test_the_watch_reads_again_and_again_and_survives_an_outage(
    watch: PolledRevocations, log: Log, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    await watch.start()
    await watch.start()
    session = a_session_id()
    log.is_down = True
    await until(lambda: bool(caplog.records))
    readings = len(log.asked)
    await until(lambda: len(log.asked) > readings + 2)
    log.is_down = False
    log.entries = [Revocation(session, EVERY_GENERATION)]
    await until(lambda: watch.is_revoked(session, 0))
    readings = len(log.asked)
    await until(lambda: len(log.asked) > readings + 2)
    timer.now += 0.1
    await watch.close()

    assert watch.is_revoked(session, 0)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, "once when it began, once when it ended"


async def test_old_revocations_are_purged_in_bounded_batches_and_forgotten(
    watch: PolledRevocations, known: KnownRevocations, log: Log, timer: Timer
) -> None:
    known.learn([Revocation(a_session_id(), 0)])
    log.purgeable = PURGE_BATCH + 1
    await watch.start()
    await until(lambda: len(log.asked) > 1)  # From then on it counts the minutes.
    timer.now += LIFETIME + MARGIN_SECONDS + PURGE_EVERY_SECONDS
    await until(lambda: len(log.purges) >= 2)
    await watch.close()

    assert log.purges[:2] == [(LIFETIME + MARGIN_SECONDS, PURGE_BATCH)] * 2
    assert log.purgeable == 0
    assert len(known) == 0


def test_the_id_of_a_token_names_its_session_and_generation() -> None:
    session = a_session_id()
    assert generation_of(token_id(session, 41), session) == 41


@pytest.mark.parametrize("id", ["", "x", "{0}", "{0}.", "{0}.-1", "{0}.1.2", "{0}.٣", "{0}.99999999999", "{1}.0"])
def test_an_id_that_names_no_generation_of_the_session_is_refused(id: str) -> None:
    session = a_session_id()
    with pytest.raises(InvalidToken):
        generation_of(id.format(session.hex, a_session_id().hex), session)
