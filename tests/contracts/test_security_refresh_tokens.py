"""What every `RefreshTokens` promises."""

from collections.abc import Callable

import pytest

from adapters.security.keys import DerivedKeys
from adapters.security.refresh_tokens import ChainedRefreshTokens
from application.identity.ports import RefreshToken, RefreshTokens
from domain.identity.errors import InvalidToken
from domain.identity.session import Session
from domain.shared.ids import SessionId
from tests.builders import a_session, a_user, an_id
from tests.fakes import CountedRefreshTokens


def chained() -> RefreshTokens:
    return ChainedRefreshTokens(keys=DerivedKeys("a secret for the tests"))


@pytest.fixture(params=[CountedRefreshTokens, chained], ids=["fake", "chained"])
def tokens(request: pytest.FixtureRequest) -> RefreshTokens:
    make: Callable[[], RefreshTokens] = request.param
    return make()


def after(tokens: RefreshTokens, token: RefreshToken, steps: int) -> RefreshToken:
    for _ in range(steps):
        token = tokens.successor(token)
    return token


def session_at(tokens: RefreshTokens, token: RefreshToken) -> Session:
    return a_session(a_user(), id=token.session_id, current=tokens.hash(token), generation=token.generation)


def test_a_token_survives_the_way_to_the_client_and_back(tokens: RefreshTokens) -> None:
    for token in (first := tokens.first(SessionId(an_id())), after(tokens, first, 300)):
        assert tokens.parse(tokens.serialize(token)) == token


def test_two_sessions_begin_differently(tokens: RefreshTokens) -> None:
    session_id = SessionId(an_id())

    assert tokens.first(session_id).secret != tokens.first(session_id).secret


def test_a_token_always_yields_the_same_successor(tokens: RefreshTokens) -> None:
    token = tokens.first(SessionId(an_id()))

    assert tokens.successor(token) == tokens.successor(token)


def test_a_successor_is_of_the_same_session_and_the_next_generation(tokens: RefreshTokens) -> None:
    token = tokens.first(SessionId(an_id()))
    successor = tokens.successor(token)

    assert (successor.session_id, successor.generation) == (token.session_id, 1)
    assert successor.secret != token.secret
    assert tokens.hash(successor) != tokens.hash(token)


@pytest.mark.parametrize("steps", [0, 1, 2, 50])
def test_a_token_leads_to_the_session_that_is_as_far_or_further(tokens: RefreshTokens, steps: int) -> None:
    token = after(tokens, tokens.first(SessionId(an_id())), 3)

    assert tokens.chain_reaches(token, session_at(tokens, after(tokens, token, steps)))


def test_a_token_of_a_later_generation_is_never_genuine(tokens: RefreshTokens) -> None:
    token = tokens.first(SessionId(an_id()))

    assert not tokens.chain_reaches(tokens.successor(token), session_at(tokens, token))


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_a_forged_token_leads_nowhere(tokens: RefreshTokens, steps: int) -> None:
    token = tokens.first(SessionId(an_id()))
    forged = RefreshToken(token.session_id, 0, bytes(32))

    assert not tokens.chain_reaches(forged, session_at(tokens, after(tokens, token, steps)))


def test_a_right_secret_under_a_wrong_generation_leads_nowhere(tokens: RefreshTokens) -> None:
    token = after(tokens, tokens.first(SessionId(an_id())), 5)
    session = session_at(tokens, after(tokens, token, 2))

    assert not tokens.chain_reaches(RefreshToken(token.session_id, 4, token.secret), session)


def test_the_secret_of_another_session_leads_nowhere(tokens: RefreshTokens) -> None:
    ours, theirs = tokens.first(SessionId(an_id())), tokens.first(SessionId(an_id()))

    assert not tokens.chain_reaches(RefreshToken(ours.session_id, 0, theirs.secret), session_at(tokens, ours))


@pytest.mark.parametrize("text", ["", "prt_", "a.b.c", "prt_" + "A" * 69, "prt_" + "A" * 71, "x" * 10_000, "prt_ä"])
def test_what_is_no_token_is_invalid(tokens: RefreshTokens, text: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.parse(text)


def test_a_token_is_not_printed(tokens: RefreshTokens) -> None:
    token = tokens.first(SessionId(an_id()))

    assert repr(token.secret) not in repr(token)
    assert token.secret.hex() not in repr(token)
