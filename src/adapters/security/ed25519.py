"""Ed25519 keys (RFC 8037) for access tokens that others are to verify by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from adapters.security import base64url


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and its name, the thumbprint of RFC 7638: the same wherever it is computed."""

    id: str
    public: Ed25519PublicKey

    @classmethod
    def of(cls, public: Ed25519PublicKey) -> "VerificationKey":
        canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_x(public)}"}}'
        return cls(base64url.encode(sha256(canonical.encode()).digest()), public)

    def jwk(self) -> dict[str, str]:
        """Return the key as a JSON Web Key (RFC 8037, section 2)."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": _x(self.public),
            "kid": self.id,
            "use": "sig",
            "alg": "EdDSA",
        }


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and all that are accepted: its own public half first.

    Without a private key nothing is signed with these: they are accepted before somebody begins to sign with them.
    """

    private: Ed25519PrivateKey | None = field(repr=False)
    accepted: tuple[VerificationKey, ...]

    @classmethod
    def load(cls, private_pem: str | None, also_accepted: Sequence[str] = ()) -> "SigningKeys":
        """Read PEM. `also_accepted` are private or public. Raises `ValueError` for what is no Ed25519 key."""
        private = None if private_pem is None else _private(private_pem)
        own = [] if private is None else [private.public_key()]
        publics = [*own, *(read_public(pem) for pem in also_accepted)]
        keys = {key.id: key for key in map(VerificationKey.of, publics)}
        return cls(private, tuple(keys.values()))

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return every accepted key as a JSON Web Key Set (RFC 7517, section 5)."""
        return {"keys": [key.jwk() for key in self.accepted]}


def _private(pem: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the chained error could quote the key.
        raise ValueError("not a private key in PEM without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004 - the content of a text is wrong, not a type
    return key


def read_public(pem: str) -> Ed25519PublicKey:
    """Read a public key, or the public half of a private one. Raises `ValueError` for what is no Ed25519 key."""
    if "PRIVATE KEY" in pem:
        return _private(pem).public_key()
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004 - the content of a text is wrong, not a type
    return key


def _x(public: Ed25519PublicKey) -> str:
    return base64url.encode(public.public_bytes_raw())
