"""Refresh tokens in a chain."""

import hmac
import secrets
from hashlib import sha256
from typing import Final
from uuid import UUID

from adapters.security import base64url
from adapters.security.keys import DerivedKeys, Key
from application.identity.ports import RefreshToken, RefreshTokens
from domain.identity.errors import InvalidToken
from domain.identity.session import Session
from domain.identity.values import RefreshTokenHash
from domain.shared.ids import SessionId

PREFIX: Final = "prt_"
"""Makes a leaked token recognisable to secret scanners and to people."""

MAX_STEPS: Final = 4096
"""How far a chain is followed, some 5 ms of work. A session that is refreshed each time its access token expires
(30 minutes) takes 1,440 steps in its 30 days."""

_ID_BYTES: Final = 16
_GENERATION_BYTES: Final = 4
_TAG_BYTES: Final = 4
_SECRET_BYTES: Final = 32
_TEXT_LENGTH: Final = 75
"""Characters of base64url, without padding, for 56 bytes."""


class ChainedRefreshTokens(RefreshTokens):
    """Tokens of session id, generation, the name of a key, and 256 bits; the next are an HMAC of the ones before.

    Without the key nobody gets from a token to its successor, and from no token to the one before. A session's chain
    stays with the key that it began under for as long as that one is accepted. So in the middle of a rotation, when
    some instances have another current key than others, all of them arrive at the same successor, and reuse is told
    across it. Once the key is gone, the current token of each session still holds (it is compared with the stored
    hash, no key needed) and goes on under the current key, while one spent before is merely invalid.
    """

    def __init__(self, *, keys: DerivedKeys) -> None:
        self._current = keys.refresh_chains[0]
        self._keys = {_tag(key): key for key in reversed(keys.refresh_chains)}

    def first(self, session_id: SessionId) -> RefreshToken:
        return RefreshToken(session_id, 0, _tag(self._current) + secrets.token_bytes(_SECRET_BYTES))

    def successor(self, token: RefreshToken) -> RefreshToken:
        return RefreshToken(token.session_id, token.generation + 1, self._next(_bytes_of(token)))

    def hash(self, token: RefreshToken) -> RefreshTokenHash:
        # A plain hash is enough for 256 random bits: there is nothing to guess (cf. RFC 9700, section 4.14).
        return RefreshTokenHash(sha256(_bytes_of(token)).digest())

    def serialize(self, token: RefreshToken) -> str:
        return PREFIX + base64url.encode(_bytes_of(token))

    def parse(self, raw: str) -> RefreshToken:
        if len(raw) != len(PREFIX) + _TEXT_LENGTH or not raw.startswith(PREFIX):
            raise InvalidToken
        try:
            octets = base64url.decode(raw[len(PREFIX) :])
        except ValueError:
            raise InvalidToken from None
        return RefreshToken(
            SessionId(UUID(bytes=octets[:_ID_BYTES])),
            int.from_bytes(octets[_ID_BYTES : _ID_BYTES + _GENERATION_BYTES]),
            octets[_ID_BYTES + _GENERATION_BYTES :],
        )

    def chain_reaches(self, token: RefreshToken, session: Session) -> bool:
        """Follow the chain for as many steps as the session is ahead, and compare hashes at its end.

        A token that claims to be more than `MAX_STEPS` behind is believed without proof. It can't be the current
        one nor the one just spent, so all it can do is to close its own session, as a genuine one would; to forge it
        one must know the session's id, which is in its access tokens and nowhere public. The other way round, a
        stolen token would go unnoticed once it is old enough.
        """
        steps = session.generation - token.generation
        if token.session_id != session.id or steps < 0:
            return False
        if steps > MAX_STEPS:
            return True
        octets, whose = _bytes_of(token), token.session_id.bytes
        for generation in range(token.generation + 1, session.generation + 1):
            octets = whose + generation.to_bytes(_GENERATION_BYTES) + self._next(octets)
        return hmac.compare_digest(sha256(octets).digest(), session.current.digest)

    def _next(self, octets: bytes) -> bytes:
        tag = octets[_ID_BYTES + _GENERATION_BYTES :][:_TAG_BYTES]
        key = self._keys.get(tag, self._current)
        return _tag(key) + hmac.digest(key.secret, b"successor" + octets, "sha256")


def _tag(key: Key) -> bytes:
    return bytes.fromhex(key.id)[:_TAG_BYTES]


def _bytes_of(token: RefreshToken) -> bytes:
    return token.session_id.bytes + token.generation.to_bytes(_GENERATION_BYTES) + token.secret
