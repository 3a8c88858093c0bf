"""The session aggregate: one sign-in on one device, carried on by a chain of refresh tokens.

A session knows the hash of its current refresh token and of the one before. Each token yields its successor by a
keyed derivation (see `application.identity.ports.RefreshTokens`), which is why a token of any earlier generation can
be told from a forgery without being stored.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

from domain.identity.events import AccessWithdrawn, SessionOpened, SessionRevoked
from domain.identity.policies import REFRESH_GRACE, SESSION_LIFETIME
from domain.identity.values import Device, RefreshTokenHash
from domain.shared.events import Aggregate
from domain.shared.ids import SessionId, UserId


class RevocationReason(StrEnum):
    LOGGED_OUT = "logged-out"
    TOKEN_REUSED = "token-reused"  # noqa: S105 - the name of a reason, not a secret
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of a reason, not a secret
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    DISPLACED = "displaced"
    """Its account has opened more sessions than it may have."""
    ACCOUNT_DELETED = "account-deleted"


class TokenStatus(StrEnum):
    """What a refresh token that names this session turns out to be."""

    CURRENT = "current"
    FORGIVEN = "forgiven"
    """Spent, and shown again by its owner as far as can be told: it yields the newest pair."""
    REUSED = "reused"
    """Spent, and in two hands as far as can be told."""


@dataclass(frozen=True, slots=True)
class SpentToken:
    """The token before the current one, and when it was exchanged."""

    hash: RefreshTokenHash
    at: datetime


MAX_EARLIER_EXCHANGES: Final = 64
"""How many exchanges within one grace are remembered; of more, the oldest count as long past."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Session(Aggregate):
    """`open` begins a session, `restore` brings a stored one back."""

    id: SessionId
    user_id: UserId
    device: Device
    current: RefreshTokenHash
    generation: int
    spent: SpentToken | None
    earlier_exchanges: tuple[datetime, ...]
    """When the tokens before the spent one were exchanged, the latest last: as far back as the grace went then."""
    newest_used: bool
    """Whether the access token of the present generation has been used, so that its pair has arrived."""
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    version: int

    @classmethod
    def open(
        cls, *, id: SessionId, user_id: UserId, device: Device, refresh_token: RefreshTokenHash, at: datetime
    ) -> Self:
        session = cls(
            id=id,
            user_id=user_id,
            device=device,
            current=refresh_token,
            generation=0,
            spent=None,
            earlier_exchanges=(),
            newest_used=False,
            created_at=at,
            last_used_at=at,
            expires_at=at + SESSION_LIFETIME,
            revoked_at=None,
            version=1,
        )
        session._record(SessionOpened(at=at, user_id=user_id, session_id=id))
        return session

    def is_live(self, at: datetime) -> bool:
        return self.revoked_at is None and at < self.expires_at

    def judge(self, presented: RefreshTokenHash, generation: int, *, at: datetime) -> TokenStatus:
        """Say what a genuine token of this session is. Whether it is genuine is settled before.

        A spent one is forgiven within the grace of its exchange, however many exchanges have followed; and the one
        before the current one at any time, as long as the pair that it yielded was never used: its answer was lost.
        """
        if presented == self.current:
            return TokenStatus.CURRENT
        if self.spent is None or generation >= self.generation:
            return TokenStatus.REUSED
        exchanges = (*self.earlier_exchanges, self.spent.at)
        behind = self.generation - generation
        within_grace = behind <= len(exchanges) and at - exchanges[-behind] <= REFRESH_GRACE
        answer_was_lost = presented == self.spent.hash and not self.newest_used
        return TokenStatus.FORGIVEN if within_grace or answer_was_lost else TokenStatus.REUSED

    def rotate(self, successor: RefreshTokenHash, *, at: datetime) -> None:
        """Spend the current refresh token for `successor`."""
        at = max(at, self.last_used_at)
        if self.spent is not None:
            earlier = [
                timestamp for timestamp in (*self.earlier_exchanges, self.spent.at) if at - timestamp <= REFRESH_GRACE
            ]
            self.earlier_exchanges = tuple(earlier[-MAX_EARLIER_EXCHANGES:])
        self.spent = SpentToken(self.current, at)
        self.current = successor
        self.generation += 1
        self.newest_used = False
        self.last_used_at = at

    def revoke(self, reason: RevocationReason, *, at: datetime, by: UserId | None = None) -> None:
        """Close the session for good; closing it twice is closing it once."""
        if self.revoked_at is None:
            self.revoked_at = at
            self._record(SessionRevoked(at=at, user_id=self.user_id, session_id=self.id, reason=reason, by=by))

    def withdraw_access(self, *, at: datetime) -> None:
        """Declare every access token handed out so far void; the next refresh yields one that holds."""
        self._record(AccessWithdrawn(at=at, user_id=self.user_id, session_id=self.id, generation=self.generation))
