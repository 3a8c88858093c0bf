"""The second factor: time-based codes (TOTP, RFC 6238) and the recovery codes for when the device is lost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from domain.identity.errors import TotpAlreadyEnabled
from domain.identity.events import RecoveryCodeUsed, SecondFactorDisabled, SecondFactorEnabled
from domain.shared.events import Aggregate
from domain.shared.ids import UserId

RECOVERY_CODES = 10
FREE_FAILURES = 5
"""Wrong codes in a row before codes are refused for a while."""
FIRST_BLOCK = timedelta(minutes=1)
LONGEST_BLOCK = timedelta(days=1)


class CodeResult(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RecoveryCodeHash:
    """SHA-256 of a recovery code and its owner's id: all that is ever stored of one."""

    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class SecondFactor(Aggregate):
    """One account's second factor. It counts for nothing until it is confirmed with a first code."""

    user_id: UserId
    sealed_secret: bytes
    """The shared secret, encrypted; only the adapter that sealed it can read it."""
    confirmed_at: datetime | None
    last_step: int | None
    """The newest time step a code was accepted for (RFC 6238, section 5.2): none is accepted twice."""
    recovery: frozenset[RecoveryCodeHash]
    failures: int
    blocked_until: datetime | None
    created_at: datetime
    version: int

    @classmethod
    def enrol(cls, *, user_id: UserId, sealed_secret: bytes, at: datetime) -> Self:
        return cls(
            user_id=user_id,
            sealed_secret=sealed_secret,
            confirmed_at=None,
            last_step=None,
            recovery=frozenset(),
            failures=0,
            blocked_until=None,
            created_at=at,
            version=1,
        )

    @property
    def is_confirmed(self) -> bool:
        return self.confirmed_at is not None

    def re_enrol(self, sealed_secret: bytes, *, at: datetime) -> None:
        """Begin again with another secret. Raises `TotpAlreadyEnabled` once the factor is in force.

        Failures stay counted, or beginning again would be a way around the block.
        """
        if self.is_confirmed:
            raise TotpAlreadyEnabled
        self.sealed_secret = sealed_secret
        self.created_at = at

    def confirm(self, recovery: Iterable[RecoveryCodeHash], *, at: datetime) -> None:
        """Put the factor into force, after a code was accepted. Raises `TotpAlreadyEnabled` when it is."""
        if self.is_confirmed:
            raise TotpAlreadyEnabled
        self.confirmed_at = at
        self.recovery = frozenset(recovery)
        self._record(SecondFactorEnabled(at=at, user_id=self.user_id))

    def present(self, step: int | None, *, at: datetime) -> CodeResult:
        """Judge a code by the time step it is right for; None: for none near enough.

        A code is accepted once, and none older than the last that was. After five wrong ones in a row every code is
        refused for a minute, then for twice as long each time, up to a day: six digits would be guessed otherwise.
        """
        if self.blocked_until is not None and at < self.blocked_until:
            return CodeResult.REFUSED
        if step is None or (self.last_step is not None and step <= self.last_step):
            self.failures += 1
            if self.failures >= FREE_FAILURES:
                doublings = min(self.failures - FREE_FAILURES, 16)
                self.blocked_until = at + min(FIRST_BLOCK * 2**doublings, LONGEST_BLOCK)
            return CodeResult.REFUSED
        self.last_step = step
        self.failures = 0
        self.blocked_until = None
        return CodeResult.ACCEPTED

    def redeem(self, code: RecoveryCodeHash, *, at: datetime) -> CodeResult:
        """Spend a recovery code. They are too long to be guessed, so wrong ones are not counted."""
        if code not in self.recovery:
            return CodeResult.REFUSED
        self.recovery -= {code}
        self.failures = 0
        self.blocked_until = None
        self._record(RecoveryCodeUsed(at=at, user_id=self.user_id, left=len(self.recovery)))
        return CodeResult.ACCEPTED

    def reseal(self, sealed_secret: bytes) -> None:
        """Keep the same secret under a newer key: nothing that anybody would call a change."""
        self.sealed_secret = sealed_secret

    def disable(self, *, at: datetime) -> None:
        """Record the end; the repository removes it."""
        if self.is_confirmed:
            self._record(SecondFactorDisabled(at=at, user_id=self.user_id))
