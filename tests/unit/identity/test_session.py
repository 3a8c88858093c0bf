"""The session aggregate and its chain of refresh tokens."""

from datetime import timedelta

import pytest

from domain.identity.events import SessionOpened, SessionRevoked
from domain.identity.policies import REFRESH_GRACE, SESSION_LIFETIME
from domain.identity.session import MAX_EARLIER_EXCHANGES, RevocationReason, Session, SpentToken, TokenStatus
from domain.identity.values import Device
from domain.shared.ids import SessionId
from tests.builders import NOW, a_hash, a_session, a_user, an_id

TICK = timedelta(microseconds=1)
FIRST, SECOND, THIRD = a_hash("first"), a_hash("second"), a_hash("third")


def test_opening_begins_a_chain_that_lasts_thirty_days() -> None:
    alice, session_id = a_user(), SessionId(an_id())

    session = Session.open(
        id=session_id, user_id=alice.id, device=Device.of("curl", "::1"), refresh_token=FIRST, at=NOW
    )

    assert (session.current, session.spent, session.generation, session.version) == (FIRST, None, 0, 1)
    assert session.expires_at == NOW + timedelta(days=30) == NOW + SESSION_LIFETIME
    assert session.pull_events() == [SessionOpened(at=NOW, user_id=alice.id, session_id=session_id)]


def test_restoring_records_nothing() -> None:
    assert a_session(a_user()).pull_events() == []


def test_a_session_lives_until_the_moment_it_expires() -> None:
    session = a_session(a_user(), expires_at=NOW)

    assert session.is_live(NOW - TICK)
    assert not session.is_live(NOW)


def test_refreshing_does_not_extend_a_session() -> None:
    session = a_session(a_user(), current=FIRST)
    before = session.expires_at

    session.rotate(SECOND, at=NOW + timedelta(days=29))

    assert session.expires_at == before


def test_rotation_spends_the_current_token() -> None:
    session = a_session(a_user(), current=FIRST)
    at = NOW + timedelta(minutes=1)

    session.rotate(SECOND, at=at)

    assert (session.current, session.spent) == (SECOND, SpentToken(FIRST, at))
    assert (session.generation, session.last_used_at) == (1, at)


GRACE = [
    (timedelta(0), TokenStatus.FORGIVEN),
    (REFRESH_GRACE, TokenStatus.FORGIVEN),
    (REFRESH_GRACE + TICK, TokenStatus.REUSED),
    (timedelta(days=1), TokenStatus.REUSED),
]


@pytest.mark.parametrize(("after", "verdict"), GRACE)
def test_a_spent_token_whose_successor_is_in_use_has_a_grace_of_ten_seconds(
    after: timedelta, verdict: TokenStatus
) -> None:
    session = a_session(a_user(), current=FIRST)
    session.rotate(SECOND, at=NOW)
    session.newest_used = True

    assert session.judge(FIRST, 0, at=NOW + after) is verdict


@pytest.mark.parametrize(("after", "verdict"), GRACE)
def test_each_generation_has_a_grace_of_its_own(after: timedelta, verdict: TokenStatus) -> None:
    session = a_session(a_user(), current=a_hash("0"))
    for generation in range(1, 40):
        session.rotate(a_hash(f"{generation}"), at=NOW + generation * TICK)

    for generation in range(38):  # 38 is the parent of the newest.
        exchanged_at = NOW + (generation + 1) * TICK
        assert session.judge(a_hash(f"{generation}"), generation, at=exchanged_at + after) is verdict


def test_an_exchange_does_not_extend_the_grace_of_those_before() -> None:
    session = a_session(a_user(), current=FIRST)
    session.rotate(SECOND, at=NOW)
    session.rotate(THIRD, at=NOW + REFRESH_GRACE)

    assert session.judge(FIRST, 0, at=NOW + REFRESH_GRACE) is TokenStatus.FORGIVEN
    assert session.judge(FIRST, 0, at=NOW + REFRESH_GRACE + TICK) is TokenStatus.REUSED


def test_what_is_remembered_of_exchanges_is_bounded() -> None:
    session = a_session(a_user(), current=a_hash("0"))
    for generation in range(1, 200):
        session.rotate(a_hash(f"{generation}"), at=NOW)

    assert len(session.earlier_exchanges) == MAX_EARLIER_EXCHANGES
    assert session.judge(a_hash("134"), 134, at=NOW) is TokenStatus.FORGIVEN
    assert session.judge(a_hash("133"), 133, at=NOW) is TokenStatus.REUSED


def test_the_parent_of_a_pair_that_was_never_used_is_forgiven_at_any_time() -> None:
    session = a_session(a_user(), current=FIRST)
    session.rotate(SECOND, at=NOW)

    assert session.judge(FIRST, 0, at=NOW + timedelta(days=20)) is TokenStatus.FORGIVEN


def test_a_new_generation_has_not_been_used() -> None:
    session = a_session(a_user(), current=FIRST, newest_used=True)

    session.rotate(SECOND, at=NOW)

    assert not session.newest_used


def test_an_exchange_is_never_before_the_one_before_it() -> None:
    session = a_session(a_user(), current=FIRST)
    session.rotate(SECOND, at=NOW + timedelta(hours=1))

    session.rotate(THIRD, at=NOW)

    assert session.last_used_at == NOW + timedelta(hours=1)
    assert session.spent == SpentToken(SECOND, NOW + timedelta(hours=1))


def test_the_current_token_is_current_however_late() -> None:
    session = a_session(a_user(), current=FIRST)
    session.rotate(SECOND, at=NOW)

    assert session.judge(SECOND, 1, at=NOW + timedelta(days=20)) is TokenStatus.CURRENT


def test_a_token_two_generations_old_is_reused_after_its_grace_though_nothing_was_used() -> None:
    session = a_session(a_user(), current=FIRST)
    session.rotate(SECOND, at=NOW)
    session.rotate(THIRD, at=NOW)

    assert session.judge(FIRST, 0, at=NOW + REFRESH_GRACE + TICK) is TokenStatus.REUSED
    assert session.judge(SECOND, 1, at=NOW + REFRESH_GRACE + TICK) is TokenStatus.FORGIVEN


def test_a_token_that_was_never_spent_is_reused() -> None:
    assert a_session(a_user(), current=SECOND).judge(FIRST, 0, at=NOW) is TokenStatus.REUSED


def test_a_revoked_session_is_dead_and_says_why() -> None:
    alice = a_user()
    session = a_session(alice)

    session.revoke(RevocationReason.TOKEN_REUSED, at=NOW)

    assert not session.is_live(NOW)
    assert session.pull_events() == [
        SessionRevoked(at=NOW, user_id=alice.id, session_id=session.id, reason="token-reused")
    ]


def test_closing_twice_is_closing_once() -> None:
    session = a_session(a_user())
    session.revoke(RevocationReason.LOGGED_OUT, at=NOW)
    session.pull_events()

    session.revoke(RevocationReason.PASSWORD_CHANGED, at=NOW + TICK)

    assert (session.revoked_at, session.pull_events()) == (NOW, [])
