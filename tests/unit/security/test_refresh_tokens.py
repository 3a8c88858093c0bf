"""The chain of refresh tokens: its form, its bound, its key."""

from base64 import urlsafe_b64decode

import pytest

from adapters.security.keys import DerivedKeys
from adapters.security.refresh_tokens import MAX_STEPS, ChainedRefreshTokens
from application.identity.ports import RefreshToken
from domain.identity.errors import InvalidToken
from domain.shared.ids import SessionId
from tests.builders import a_session, a_user, an_id

TOKENS = ChainedRefreshTokens(keys=DerivedKeys("a secret for the tests"))
FIRST = TOKENS.first(SessionId(an_id()))


def test_a_token_is_recognisable_and_fit_for_urls_and_headers() -> None:
    text = TOKENS.serialize(FIRST)

    assert text.startswith("prt_")
    assert len(text) == 79
    assert text.replace("_", "").replace("-", "").isalnum()
    assert text.isascii()


def test_a_token_carries_256_random_bits_after_session_generation_and_key() -> None:
    raw = urlsafe_b64decode(TOKENS.serialize(TOKENS.successor(FIRST))[4:] + "=")

    assert raw[:16] == FIRST.session_id.bytes
    assert raw[16:20] == b"\0\0\0\1"
    assert raw[20:24] == FIRST.secret[:4]
    assert len(raw[24:]) == 32


def test_a_token_has_one_spelling() -> None:
    text = TOKENS.serialize(FIRST)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bits = alphabet[alphabet.index(text[-1]) ^ 1]

    for spelling in (
        text[:-1] + same_bits,
        text.replace(text[20], "!", 1),
        text[:-2] + "==",
        text[:-1] + "\n",
        text[:-1] + "ä",
        "PRT_" + text[4:],
        "xrt_" + text[4:],
    ):
        with pytest.raises(InvalidToken):
            TOKENS.parse(spelling)


def test_standard_base64_is_not_taken_for_the_urls_kind() -> None:
    token = RefreshToken(FIRST.session_id, 0, b"\xff" * 36)
    text = TOKENS.serialize(token)
    assert "_" in text[4:]

    with pytest.raises(InvalidToken):
        TOKENS.parse("prt_" + text[4:].replace("_", "/"))


def test_without_the_key_nobody_gets_to_the_successor() -> None:
    elsewhere = ChainedRefreshTokens(keys=DerivedKeys("another secret"))

    assert elsewhere.successor(FIRST).secret != TOKENS.successor(FIRST).secret


def test_the_successor_depends_on_session_and_generation_too() -> None:
    secret = FIRST.secret
    successors = {
        TOKENS.successor(RefreshToken(id_, generation, secret)).secret
        for id_ in (FIRST.session_id, SessionId(an_id()))
        for generation in (0, 1)
    }

    assert len(successors) == 4


def test_the_longest_chain_that_is_followed_is_checked_to_its_end() -> None:
    last = FIRST
    for _ in range(MAX_STEPS):
        last = TOKENS.successor(last)
    session = a_session(a_user(), id=FIRST.session_id, current=TOKENS.hash(last), generation=MAX_STEPS)
    forged = RefreshToken(FIRST.session_id, 0, bytes(32))

    assert TOKENS.chain_reaches(FIRST, session)
    assert not TOKENS.chain_reaches(forged, session)


def test_beyond_that_an_old_token_is_believed_so_that_reuse_closes_its_session() -> None:
    session = a_session(a_user(), id=FIRST.session_id, generation=MAX_STEPS + 1)

    assert TOKENS.chain_reaches(FIRST, session)


def test_but_never_one_of_another_session() -> None:
    session = a_session(a_user(), generation=MAX_STEPS + 1)

    assert not TOKENS.chain_reaches(FIRST, session)


def test_the_largest_generation_a_token_can_claim_is_merely_not_genuine() -> None:
    claimed = RefreshToken(FIRST.session_id, 2**32 - 1, FIRST.secret)

    assert TOKENS.parse(TOKENS.serialize(claimed)) == claimed
    assert not TOKENS.chain_reaches(claimed, a_session(a_user(), id=FIRST.session_id, generation=3))


ROTATED = ChainedRefreshTokens(keys=DerivedKeys("a new secret", ["a secret for the tests"]))
PREPARED = ChainedRefreshTokens(keys=DerivedKeys("a secret for the tests", ["a new secret"]))


def test_in_the_middle_of_a_rotation_every_instance_arrives_at_the_same_successor() -> None:
    begun_after = ROTATED.first(SessionId(an_id()))

    assert ROTATED.successor(FIRST) == TOKENS.successor(FIRST)
    assert PREPARED.successor(begun_after) == ROTATED.successor(begun_after)


def test_reuse_is_told_across_a_rotation() -> None:
    current = ROTATED.successor(TOKENS.successor(FIRST))
    session = a_session(a_user(), id=FIRST.session_id, current=TOKENS.hash(current), generation=2)

    assert ROTATED.chain_reaches(FIRST, session)
    assert TOKENS.chain_reaches(FIRST, session)


def test_without_its_key_the_current_token_still_holds_and_a_spent_one_becomes_invalid() -> None:
    later = ChainedRefreshTokens(keys=DerivedKeys("a new secret"))
    current = TOKENS.successor(FIRST)
    session = a_session(a_user(), id=FIRST.session_id, current=TOKENS.hash(current), generation=1)

    assert later.chain_reaches(current, session)
    assert not later.chain_reaches(FIRST, session)
    assert later.successor(current).secret[:4] == later.first(FIRST.session_id).secret[:4]
