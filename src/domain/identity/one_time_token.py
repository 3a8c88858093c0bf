"""One-time tokens: what a mail carries to prove that somebody reads it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from domain.identity.errors import InvalidOneTimeToken
from domain.identity.values import EmailAddress
from domain.shared.ids import UserId


class Purpose(StrEnum):
    """What a token is good for; for anything else it is worth nothing."""

    RESET_PASSWORD = "reset-password"  # noqa: S105 - the name of a purpose, not a secret
    VERIFY_EMAIL = "verify-email"


LIFETIMES: dict[Purpose, timedelta] = {
    Purpose.RESET_PASSWORD: timedelta(minutes=30),
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
}

REPLACED: frozenset[Purpose] = frozenset({Purpose.RESET_PASSWORD})
"""Of these a new token voids the ones before: each is a way into the account. To verify an address, any will do."""


@dataclass(frozen=True, slots=True)
class OneTimeTokenHash:
    """SHA-256 of a one-time token: all that is ever stored of one."""

    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """A token that was sent to an address."""

    user_id: UserId
    purpose: Purpose
    hash: OneTimeTokenHash
    email_key: str
    """The address it was sent to. It proves nothing of another that the account may have by now."""
    created_at: datetime
    expires_at: datetime

    @classmethod
    def issue(
        cls, *, user_id: UserId, purpose: Purpose, hash: OneTimeTokenHash, email: EmailAddress, at: datetime
    ) -> Self:
        return cls(user_id, purpose, hash, email.key, at, at + LIFETIMES[purpose])

    def require_valid(self, email: EmailAddress, *, at: datetime) -> None:
        """Raise `InvalidOneTimeToken` when its time is over or the account has another address by now."""
        if at >= self.expires_at or email.key != self.email_key:
            raise InvalidOneTimeToken
