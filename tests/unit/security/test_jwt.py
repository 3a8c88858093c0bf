"""The JWT adapter: what RFC 8725 warns of, and RFC 9068 asks for."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any

import jwt
import pytest
from jwt.exceptions import InvalidKeyError

from adapters.security.jwt import LEEWAY_SECONDS, MAX_TOKEN_LENGTH, JwtAccessTokens
from adapters.security.keys import DerivedKeys, Key
from application.identity.ports import AccessGrant
from domain.identity.errors import InvalidToken
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from tests.builders import NOW, an_id
from tests.fakes import SettableClock

KEYS = DerivedKeys("a secret for the tests")
KEY = KEYS.access_tokens[0]
ISSUER = "https://postern.test"
GRANT = AccessGrant(UserId(an_id()), Role.USER, SessionId(an_id()), "a-session.0", NOW)


def tokens_of(keys: DerivedKeys = KEYS, *, clock: SettableClock | None = None, issuer: str = ISSUER) -> JwtAccessTokens:
    return JwtAccessTokens(keys=keys, clock=clock or SettableClock(), issuer=issuer, lifetime_seconds=1800)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid token with these changes; `...` takes one away."""
    valid = jwt.decode(tokens_of().issue(GRANT), options={"verify_signature": False})
    return {name: value for name, value in {**valid, **changes}.items() if value is not ...}


def signed(payload: bytes | dict[str, Any], *, key: Key = KEY, alg: str = "HS256", **header: Any) -> str:
    """Sign as the adapter would, save for what is changed in the header."""
    fields = {"typ": "at+jwt", "kid": key.id, **header}
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return jwt.PyJWS().encode(raw, key.secret, alg, fields)


def part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    return dict(json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def encoded(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def refused(token: str, tokens: JwtAccessTokens | None = None) -> bool:
    with pytest.raises(InvalidToken) as raised:
        (tokens or tokens_of()).verify(token)
    assert raised.value.__cause__ is None
    return True


def test_a_token_is_an_at_jwt_with_exactly_the_required_claims() -> None:
    token = tokens_of().issue(GRANT)

    assert part(token, 0) == {"alg": "HS256", "typ": "at+jwt", "kid": KEY.id}
    assert part(token, 1) == {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": str(GRANT.user_id),
        "sid": str(GRANT.session_id),
        "role": "user",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 1800,
        "jti": "a-session.0",
    }


def test_the_helper_of_these_tests_makes_valid_tokens() -> None:
    assert tokens_of().verify(signed(claims())).user_id == GRANT.user_id


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "role", "iat", "exp", "jti"])
def test_every_claim_is_required(claim: str) -> None:
    assert refused(signed(claims(**{claim: ...})))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "https://elsewhere.test"),
        ("iss", [ISSUER]),
        ("aud", "https://elsewhere.test"),
        ("aud", [ISSUER]),
        ("sub", "alice"),
        ("sub", 7),
        ("sub", None),
        ("sub", f"{{{GRANT.user_id}}}"),
        ("sub", GRANT.user_id.hex),
        ("sub", str(GRANT.user_id).upper()),
        ("sid", "urn:uuid:" + str(GRANT.session_id)),
        ("role", "root"),
        ("role", ["user"]),
        ("role", {"user": 1}),
        ("role", None),
        ("iat", str(int(NOW.timestamp()))),
        ("iat", NOW.timestamp()),
        ("exp", True),
        ("exp", None),
        ("exp", NOW.timestamp() + 1000.5),
        ("exp", "9999999999"),
        ("jti", ""),
        ("jti", 5),
        ("jti", "x" * 129),
    ],
)
def test_a_claim_of_a_wrong_type_or_value_is_refused(claim: str, value: object) -> None:
    assert refused(signed(claims(**{claim: value})))


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b'"text"', b"{", b"\xff", b"[" * 2500, b'{"exp": 1e999}', b'{"exp": NaN}'],
)
def test_a_payload_that_is_no_object_of_claims_is_refused(payload: bytes) -> None:
    assert refused(signed(payload))


def test_a_claim_given_twice_is_refused() -> None:
    payload = json.dumps(claims())[:-1] + ', "role": "user"}'

    assert refused(signed(payload.encode()))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "at+JWT"},
        {"typ": None},
        {"kid": "another"},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": True, "extra": 1},
        {"jku": "https://evil.test/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://evil.test/cert"},
        {"zip": "DEF"},
    ],
)
def test_any_other_header_is_refused(header: dict[str, Any]) -> None:
    assert refused(signed(claims(), **header))


def test_a_header_member_given_twice_is_refused() -> None:
    _, payload, _ = tokens_of().issue(GRANT).split(".")
    header = f'{{"alg":"HS256","kid":"{KEY.id}","typ":"at+jwt","typ":"at+jwt"}}'
    forged = f"{encoded(header.encode())}.{payload}"
    algorithm = jwt.PyJWS().get_algorithm_by_name("HS256")

    assert refused(f"{forged}.{encoded(algorithm.sign(forged.encode(), KEY.secret))}")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_another_algorithm_under_the_right_key_is_refused(algorithm: str) -> None:
    assert refused(signed(claims(), alg=algorithm))


def test_an_unsigned_token_is_refused() -> None:
    _, payload, _ = tokens_of().issue(GRANT).split(".")
    header = encoded(json.dumps({"alg": "none", "kid": KEY.id, "typ": "at+jwt"}).encode())

    assert refused(f"{header}.{payload}.")


def test_a_right_header_without_a_signature_is_refused() -> None:
    header, payload, _ = tokens_of().issue(GRANT).split(".")

    assert refused(f"{header}.{payload}.")
    assert refused(f"{header}.{payload}")
    assert refused(header)


def test_a_token_has_one_spelling() -> None:
    token = tokens_of().issue(GRANT)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(token[-1])
    same_bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]

    for spelling in (f"{token}=", f"{token}==", f" {token}", f"{token}\n", token[:-1] + same_bits):
        assert refused(spelling)


def test_text_that_is_no_unicode_is_refused() -> None:
    header, payload, signature = tokens_of().issue(GRANT).split(".")

    assert refused(f"{header}.{payload}\ud800.{signature}")


def test_a_token_of_another_installation_is_refused() -> None:
    assert refused(tokens_of(DerivedKeys("another secret")).issue(GRANT))


def test_a_token_of_another_issuer_under_the_same_key_is_refused() -> None:
    assert refused(tokens_of(issuer="https://staging.test").issue(GRANT))


def test_a_token_of_the_previous_key_holds_and_new_ones_use_the_current_key() -> None:
    rotated = tokens_of(DerivedKeys("a new secret", ["a secret for the tests"]))
    old = tokens_of().issue(GRANT)

    assert rotated.verify(old).user_id == GRANT.user_id
    new = rotated.issue(GRANT)
    assert part(new, 0)["kid"] != KEY.id
    assert refused(new)


def test_the_key_that_a_header_names_is_the_one_that_must_have_signed() -> None:
    keys = DerivedKeys("a new secret", ["a secret for the tests"])
    current, previous = keys.access_tokens
    mixed = jwt.PyJWS().encode(
        json.dumps(claims()).encode(), previous.secret, "HS256", {"typ": "at+jwt", "kid": current.id}
    )

    assert refused(mixed, tokens_of(keys))


def test_a_long_token_is_refused_although_it_is_signed() -> None:
    fits = signed(claims(extra="x" * 2000))
    assert tokens_of().verify(fits).user_id == GRANT.user_id

    too_long = signed(claims(extra="x" * MAX_TOKEN_LENGTH))
    assert refused(too_long)


def test_a_clock_somewhat_behind_the_issuers_accepts_a_fresh_token() -> None:
    behind = tokens_of(clock=SettableClock(NOW - timedelta(seconds=LEEWAY_SECONDS - 1)))

    assert behind.verify(tokens_of().issue(GRANT)).user_id == GRANT.user_id


def test_a_token_from_the_future_is_refused() -> None:
    far_behind = tokens_of(clock=SettableClock(NOW - timedelta(seconds=LEEWAY_SECONDS + 2)))

    assert refused(tokens_of().issue(GRANT), far_behind)


def test_a_key_too_short_for_the_algorithm_is_refused() -> None:
    keys = DerivedKeys("a secret")
    keys.access_tokens = (Key("short", b"x" * 31),)

    with pytest.raises(InvalidKeyError):
        tokens_of(keys)


def test_the_lifetime_is_told() -> None:
    assert tokens_of().lifetime_seconds == 1800


def test_an_audience_of_its_own_can_be_given() -> None:
    tokens = JwtAccessTokens(
        keys=KEYS, clock=SettableClock(), issuer=ISSUER, lifetime_seconds=1800, audience="https://api.test"
    )

    assert part(tokens.issue(GRANT), 1)["aud"] == "https://api.test"
    assert tokens.verify(tokens.issue(GRANT)).user_id == GRANT.user_id
    assert refused(tokens_of().issue(GRANT), tokens)
