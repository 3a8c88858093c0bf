"""JSON Web Tokens as access tokens (RFC 9068, RFC 8725)."""

import json
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from adapters.security import base64url
from adapters.security.ed25519 import SigningKeys
from adapters.security.keys import DerivedKeys
from application.identity.ports import AccessGrant, AccessTokens, VerifiedAccess
from application.shared.clock import Clock
from domain.identity.errors import InvalidToken
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId

MAX_TOKEN_LENGTH: Final = 4096
"""Characters. Ours take some 450; nothing longer is decoded."""

LEEWAY_SECONDS: Final = 60
"""How far ahead of ours the clock of the instance that issued a token may be: twice what the operator is told of.
Expiry gets no leeway: there, a difference of clocks costs a client a refresh, while here it would refuse a token that
was handed out just now."""

_TYPE: Final = "at+jwt"
_JTI_MAX_LENGTH: Final = 128


@dataclass(frozen=True, slots=True)
class _Signer:
    """A key with the one algorithm that it is for (RFC 8725, section 3.1)."""

    algorithm: str
    key_id: str
    key: Any = field(repr=False)
    """What PyJWT takes for the algorithm: bytes, or an Ed25519 key."""


class JwtAccessTokens(AccessTokens):
    """Issues and verifies tokens of this installation, for itself: `aud` is `iss`.

    They are signed with HS256, or with EdDSA (RFC 8037) where a private key is configured. Tokens of every accepted
    key are verified, HS256 beside EdDSA, so that neither a new key nor the change from one to the other signs anybody
    out.

    A token whose header is not, byte for byte, one that `issue` writes is refused before any of it is decoded. That
    settles at once what else would each need a check: `alg` is the one of the key that `kid` names, so no public key
    is ever taken for a secret one, `typ` is right, and there is no `crit`, no `jku`, no member twice. The library's
    own look at the claims is not used, for it takes the time from the machine and not from `clock`.
    """

    def __init__(
        self,
        *,
        keys: DerivedKeys,
        clock: Clock,
        issuer: str,
        lifetime_seconds: int,
        audience: str | None = None,
        signing_keys: SigningKeys | None = None,
    ) -> None:
        self._jws = PyJWS(algorithms=["HS256", "EdDSA"], options={"enforce_minimum_key_length": True})
        secrets = [_Signer("HS256", key.id, key.secret) for key in keys.access_tokens]
        self._signer = secrets[0]
        self._verifiers = {_header("HS256", signer.key_id): signer for signer in secrets}
        if signing_keys is not None:
            publics = [_Signer("EdDSA", key.id, key.public) for key in signing_keys.accepted]
            self._verifiers |= {_header("EdDSA", public.key_id): public for public in publics}
            if signing_keys.private is not None:
                self._signer = _Signer("EdDSA", publics[0].key_id, signing_keys.private)
        for signer in secrets if self._signer in secrets else [self._signer, *secrets]:
            # Fails at start, and not at the first token: a key that is too short, or a library that writes otherwise.
            if self._sign(b"{}", signer).partition(".")[0] not in self._verifiers:
                raise RuntimeError("PyJWT writes another header than it did")
        self._clock = clock
        self._issuer = issuer
        self._audience = issuer if audience is None else audience
        self._lifetime = lifetime_seconds

    @property
    def lifetime_seconds(self) -> int:
        return self._lifetime

    def issue(self, grant: AccessGrant) -> str:
        issued_at = int(grant.issued_at.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(grant.user_id),
            "sid": str(grant.session_id),
            "role": grant.role.value,
            "iat": issued_at,
            "exp": issued_at + self._lifetime,
            "jti": grant.token_id,
        }
        return self._sign(json.dumps(claims, separators=(",", ":")).encode(), self._signer)

    def verify(self, token: str) -> VerifiedAccess:
        # PyJWT passes over padding, which RFC 7515, section 2 forbids: one token, one spelling.
        if len(token) > MAX_TOKEN_LENGTH or token.endswith("="):
            raise InvalidToken
        verifier = self._verifiers.get(token.partition(".")[0])
        if verifier is None:
            raise InvalidToken
        try:
            payload = self._jws.decode(token, verifier.key, [verifier.algorithm])
            claims = json.loads(payload.decode(), object_pairs_hook=_without_duplicates)
            access = self._read(claims)
        except (PyJWTError, ValueError, TypeError, KeyError, RecursionError):
            # `from None`: a chained error would carry parts of the token into the log.
            raise InvalidToken from None
        now = self._clock.now().timestamp()
        if now >= access.expires_at or access.issued_at > now + LEEWAY_SECONDS:
            raise InvalidToken
        return access

    def _read(self, claims: object) -> VerifiedAccess:
        if not isinstance(claims, dict):
            raise InvalidToken
        if claims["iss"] != self._issuer or claims["aud"] != self._audience:
            raise InvalidToken
        return VerifiedAccess(
            user_id=UserId(_uuid(claims["sub"])),
            role=Role(claims["role"]),
            session_id=SessionId(_uuid(claims["sid"])),
            token_id=_name(claims["jti"]),
            issued_at=_seconds(claims["iat"]),
            expires_at=_seconds(claims["exp"]),
        )

    def _sign(self, payload: bytes, signer: _Signer) -> str:
        return self._jws.encode(payload, signer.key, signer.algorithm, {"typ": _TYPE, "kid": signer.key_id})


def _header(algorithm: str, key_id: str) -> str:
    """Return the first part of a token as PyJWT writes it: its members in alphabetical order, without a blank."""
    members = {"alg": algorithm, "kid": key_id, "typ": _TYPE}
    return base64url.encode(json.dumps(members, separators=(",", ":")).encode())


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _uuid(claim: object) -> UUID:
    if type(claim) is not str:
        raise TypeError
    value = UUID(claim)
    if str(value) != claim:  # `UUID` also takes braces, URNs and capitals.
        raise ValueError
    return value


def _name(claim: object) -> str:
    if type(claim) is not str:
        raise TypeError
    if not 1 <= len(claim) <= _JTI_MAX_LENGTH:
        raise ValueError
    return claim


def _seconds(claim: object) -> int:
    if type(claim) is not int:  # Not a bool, not a float.
        raise TypeError
    return claim
