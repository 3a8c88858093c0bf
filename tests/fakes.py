"""Small fakes of the ports that are slow or random in earnest. Each passes the contract suite of its port."""

import hmac
import itertools
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from adapters.webhooks.addresses import Address, parse_address
from adapters.webhooks.resolver import Resolver
from application.identity.ports import (
    AccessGrant,
    AccessTokens,
    CommonPasswords,
    PasswordCheck,
    PasswordHasher,
    RefreshToken,
    RefreshTokens,
    Revocations,
    VerifiedAccess,
)
from application.shared.clock import Clock
from application.shared.ids import IdGenerator, UsernameGenerator
from application.shared.paging import CursorCodec, InvalidCursor
from domain.identity.errors import InvalidToken
from domain.identity.session import Session
from domain.identity.values import Password, RefreshTokenHash
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from tests.builders import NOW, an_id


class SettableClock(Clock):
    """Stands still until it is told to move."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by


class CountedIds(IdGenerator):
    def new(self, at: datetime) -> UUID:
        return an_id(at)


class ListedUsernames(UsernameGenerator):
    """Suggests what it was given, in order, and numbered names after that."""

    def __init__(self, *suggestions: str) -> None:
        numbered = (f"someone-{n}" for n in itertools.count(1))
        self._suggestions = itertools.chain(suggestions, numbered)

    def suggest(self) -> str:
        return next(self._suggestions)


class FastPasswordHasher(PasswordHasher):
    """Hashes with one SHA-256 under a visible strength, so that a hash can be outdated. Counts its work."""

    def __init__(self, *, strength: int = 1) -> None:
        self._strength = strength
        self._salts = itertools.count(1)
        self.verified = 0

    async def hash(self, password: Password) -> str:
        salt = next(self._salts)
        return f"fake${self._strength}${salt}${self._digest(password, salt)}"

    async def verify(self, password_hash: str | None, password: Password) -> PasswordCheck:
        self.verified += 1
        match (password_hash or "").split("$"):
            case ["fake", strength, salt, digest] if strength.isdecimal() and salt.isdecimal():
                matches = hmac.compare_digest(digest, self._digest(password, int(salt)))
                return PasswordCheck(matches, outdated=matches and int(strength) < self._strength)
            case _:
                return PasswordCheck(matches=False, outdated=False)

    @staticmethod
    def _digest(password: Password, salt: int) -> str:
        return sha256(f"{salt}:{password.value}".encode()).hexdigest()


class ListedCommonPasswords(CommonPasswords):
    def __init__(self, *keys: str) -> None:
        self._keys = frozenset(keys)

    def __contains__(self, key: object, /) -> bool:
        return key in self._keys


class PlainAccessTokens(AccessTokens):
    """Access tokens that anybody could forge: the grant as JSON, and a checksum against accidents."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def lifetime_seconds(self) -> int:
        return 1800

    def issue(self, grant: AccessGrant) -> str:
        claims = {
            "sub": str(grant.user_id),
            "role": grant.role.value,
            "sid": str(grant.session_id),
            "jti": grant.token_id,
            "iat": int(grant.issued_at.timestamp()),
        }
        body = urlsafe_b64encode(json.dumps(claims, sort_keys=True).encode()).decode()
        return f"{body}.{sha256(body.encode()).hexdigest()[:16]}"

    def verify(self, token: str) -> VerifiedAccess:
        body, _, checksum = token.partition(".")
        if not hmac.compare_digest(checksum.encode(), sha256(body.encode()).hexdigest()[:16].encode()):
            raise InvalidToken
        claims = json.loads(urlsafe_b64decode(body))
        expires_at = claims["iat"] + self.lifetime_seconds
        if self._clock.now() >= datetime.fromtimestamp(expires_at, UTC):
            raise InvalidToken
        return VerifiedAccess(
            user_id=UserId(UUID(claims["sub"])),
            role=Role(claims["role"]),
            session_id=SessionId(UUID(claims["sid"])),
            token_id=claims["jti"],
            issued_at=claims["iat"],
            expires_at=expires_at,
        )


class CountedRefreshTokens(RefreshTokens):
    """A chain of refresh tokens whose beginnings are counted, not drawn, under a key that everybody knows."""

    _KEY = b"a key that everybody knows"

    def __init__(self) -> None:
        self._beginnings = itertools.count(1)

    def first(self, session_id: SessionId) -> RefreshToken:
        return RefreshToken(session_id, 0, sha256(f"{next(self._beginnings)}".encode()).digest())

    def successor(self, token: RefreshToken) -> RefreshToken:
        secret = hmac.digest(self._KEY, token.session_id.bytes + token.secret, "sha256")
        return RefreshToken(token.session_id, token.generation + 1, secret)

    def hash(self, token: RefreshToken) -> RefreshTokenHash:
        return RefreshTokenHash(sha256(token.secret).digest())

    def serialize(self, token: RefreshToken) -> str:
        return f"{token.session_id.hex}.{token.generation}.{token.secret.hex()}"

    def parse(self, raw: str) -> RefreshToken:
        try:
            session_id, generation, secret = raw.split(".")
            return RefreshToken(SessionId(UUID(hex=session_id)), int(generation), bytes.fromhex(secret))
        except ValueError:
            raise InvalidToken from None

    def chain_reaches(self, token: RefreshToken, session: Session) -> bool:
        while token.generation < session.generation:
            token = self.successor(token)
        same_age = token.generation == session.generation
        return same_age and hmac.compare_digest(self.hash(token).digest, session.current.digest)


class PlainCursorCodec(CursorCodec):
    """Cursors that anybody can read: the scope's digest, then the position."""

    def encode(self, scope: str, position: UUID) -> str:
        return f"{self._seal(scope, position)}{position.hex}"

    def decode(self, scope: str, cursor: str) -> UUID:
        try:
            position = UUID(hex=cursor[16:])
        except ValueError:
            raise InvalidCursor from None
        if self.encode(scope, position) != cursor:
            raise InvalidCursor
        return position

    def seal(self, scope: str, position: bytes) -> str:
        return f"{self._seal(scope, position)}{position.hex()}"

    def unseal(self, scope: str, cursor: str) -> bytes:
        try:
            position = bytes.fromhex(cursor[16:])
        except ValueError:
            raise InvalidCursor from None
        if self.seal(scope, position) != cursor:
            raise InvalidCursor
        return position

    @staticmethod
    def _seal(scope: str, position: object) -> str:
        return sha256(f"{scope}\n{position}".encode()).hexdigest()[:16]


class NothingRevoked(Revocations):
    """Knows all there is to know: nothing."""

    def are_current(self) -> bool:
        return True

    async def refresh(self) -> None:
        return

    def is_revoked(self, session_id: SessionId, generation: int) -> bool:
        return False


class ListedResolver(Resolver):
    """Knows the names that it was given; every other name leads to a public address. Literal addresses are themselves.

    A name with several lists of addresses leads to one after the other, and to the last from then on.
    """

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        try:
            return [parse_address(host)]
        except ValueError:
            answers = self.names.get(host.replace(".", "_"), [["93.184.215.14"]])
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise OSError("no such name")
        return [parse_address(text) for text in found]


@dataclass
class ARequest:
    """The request that a task works for, as far as adapters have to do with it."""

    request_id: str = "a-request"
    address: str = ""
    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    due: float = 0.0
    has_committed: bool = False
