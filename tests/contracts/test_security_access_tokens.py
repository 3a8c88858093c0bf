"""What every `AccessTokens` promises."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.security.jwt import JwtAccessTokens
from adapters.security.keys import DerivedKeys
from application.identity.ports import AccessGrant, AccessTokens
from domain.identity.errors import InvalidToken
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from tests.builders import NOW, an_id
from tests.fakes import PlainAccessTokens, SettableClock

GRANT = AccessGrant(UserId(an_id()), Role.MODERATOR, SessionId(an_id()), "a-session.3", NOW)


def jwt(clock: SettableClock) -> AccessTokens:
    return JwtAccessTokens(
        keys=DerivedKeys("a secret for the tests"), clock=clock, issuer="https://postern.test", lifetime_seconds=1800
    )


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(params=[PlainAccessTokens, jwt], ids=["fake", "jwt"])
def tokens(request: pytest.FixtureRequest, clock: SettableClock) -> AccessTokens:
    make: Callable[[SettableClock], AccessTokens] = request.param
    return make(clock)


def test_a_token_says_what_was_granted(tokens: AccessTokens) -> None:
    access = tokens.verify(tokens.issue(GRANT))

    assert (access.user_id, access.role, access.session_id, access.token_id) == (
        GRANT.user_id,
        Role.MODERATOR,
        GRANT.session_id,
        "a-session.3",
    )
    assert access.issued_at == int(NOW.timestamp())
    assert access.expires_at == access.issued_at + tokens.lifetime_seconds


def test_equal_grants_make_equal_tokens(tokens: AccessTokens, clock: SettableClock) -> None:
    first = tokens.issue(GRANT)
    clock.advance(timedelta(seconds=9))

    assert tokens.issue(GRANT) == first


def test_a_token_holds_until_its_last_second(tokens: AccessTokens, clock: SettableClock) -> None:
    token = tokens.issue(GRANT)
    clock.advance(timedelta(seconds=tokens.lifetime_seconds - 1))

    assert tokens.verify(token).user_id == GRANT.user_id


def test_an_expired_token_is_invalid(tokens: AccessTokens, clock: SettableClock) -> None:
    token = tokens.issue(GRANT)
    clock.advance(timedelta(seconds=tokens.lifetime_seconds))

    with pytest.raises(InvalidToken):
        tokens.verify(token)


@pytest.mark.parametrize("position", [0, 40, -1])
def test_a_changed_character_makes_it_invalid(tokens: AccessTokens, position: int) -> None:
    token = tokens.issue(GRANT)
    other = "A" if token[position] != "A" else "B"
    place = position % len(token)

    with pytest.raises(InvalidToken):
        tokens.verify(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize("text", ["", ".", "..", "...", "ä.ö.ü", "a.b", "a.b.c", "{}", "A" * 100_000])
def test_what_is_no_token_is_invalid(tokens: AccessTokens, text: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(text)
