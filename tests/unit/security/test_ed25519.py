"""Ed25519 keys: names, forms, what is refused, and tokens across a change of keys and of algorithm."""

from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adapters.security.ed25519 import SigningKeys, VerificationKey
from adapters.security.jwt import JwtAccessTokens
from adapters.security.keys import DerivedKeys
from application.identity.ports import AccessGrant
from domain.identity.errors import InvalidToken
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from tests.builders import NOW, an_id
from tests.fakes import SettableClock

GRANT = AccessGrant(UserId(an_id()), Role.USER, SessionId(an_id()), "a" * 32 + ".0", NOW)


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


def tokens(
    signing_keys: SigningKeys | None, secret: str = "a secret", accepted: tuple[str, ...] = ()
) -> JwtAccessTokens:
    return JwtAccessTokens(
        keys=DerivedKeys(secret, accepted),
        clock=SettableClock(),
        issuer="postern",
        lifetime_seconds=1800,
        signing_keys=signing_keys,
    )


def holds(at: JwtAccessTokens, token: str) -> bool:
    try:
        return at.verify(token).user_id == GRANT.user_id
    except InvalidToken:
        return False


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    """Appendix A.3."""
    private = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    key = VerificationKey.of(private.public_key())
    assert key.id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert key.jwk()["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


def test_a_stranger_verifies_a_token_with_the_published_keys_alone() -> None:
    keys = SigningKeys.load(pem(NEW), [public_pem(OLD)])
    token = tokens(keys).issue(GRANT)
    published = jwt.PyJWKSet.from_dict(keys.jwks())

    key = published[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key.key, ["EdDSA"], audience="postern", issuer="postern", options={"verify_exp": False})

    assert claims["sub"] == str(GRANT.user_id)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"


@pytest.mark.parametrize("old_form", [pem, public_pem], ids=["private", "public"])
def test_tokens_of_every_accepted_key_hold_on_every_instance_of_a_rolling_change(
    old_form: Callable[[Ed25519PrivateKey], str],
) -> None:
    before = tokens(SigningKeys.load(pem(OLD)))
    prepared = tokens(SigningKeys.load(pem(OLD), [public_pem(NEW)]))
    changed = tokens(SigningKeys.load(pem(NEW), [old_form(OLD)]))
    after = tokens(SigningKeys.load(pem(NEW)))

    for issuing, verifying in [(before, prepared), (prepared, before), (prepared, changed), (changed, prepared)]:
        assert holds(verifying, issuing.issue(GRANT))
    assert holds(after, changed.issue(GRANT))
    assert not holds(after, before.issue(GRANT))


def test_the_change_from_hs256_to_eddsa_signs_nobody_out() -> None:
    plain = tokens(None)
    changed = tokens(SigningKeys.load(pem(NEW)))

    assert holds(changed, plain.issue(GRANT))
    assert not holds(plain, changed.issue(GRANT))


def test_a_changed_secret_key_signs_nobody_out() -> None:
    old, prepared, changed = tokens(None, "old"), tokens(None, "old", ("new",)), tokens(None, "new", ("old",))

    for issuing, verifying in [(old, prepared), (prepared, changed), (changed, prepared), (old, changed)]:
        assert holds(verifying, issuing.issue(GRANT))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP256R1())),
        public_pem(OLD),
    ],
    ids=["empty", "text", "broken", "another curve", "a public one"],
)
def test_what_is_no_private_ed25519_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        SigningKeys.load(text)


def test_what_is_no_public_ed25519_key_is_not_accepted_beside_it() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    for text in ("no key", other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()):
        with pytest.raises(ValueError, match="not a"):
            SigningKeys.load(pem(NEW), [text])


def test_no_private_key_is_printed_or_published() -> None:
    keys = SigningKeys.load(pem(NEW))
    assert "d" not in keys.jwks()["keys"][0]
    assert "Private" not in repr(keys)
