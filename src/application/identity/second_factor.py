"""Judging the second factor: what logging in, confirming and disabling have in common."""

from dataclasses import dataclass, field
from datetime import datetime

from application.identity.credentials import RecoveryCodes, SecretBox, TotpCodes
from domain.identity.second_factor import CodeResult, SecondFactor


@dataclass(frozen=True, slots=True)
class Proof:
    """What a caller offers as a second factor: a code of the device, a recovery code, or neither."""

    code: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)

    @property
    def is_empty(self) -> bool:
        return self.code is None and self.recovery_code is None


class SecondFactorVerifier:
    """Opens the sealed secret and compares codes. What comes of it is the aggregate's to decide, and to be saved."""

    def __init__(self, *, totp: TotpCodes, box: SecretBox, recovery_codes: RecoveryCodes) -> None:
        self._totp = totp
        self._box = box
        self._recovery_codes = recovery_codes

    def judge(self, factor: SecondFactor, proof: Proof, *, at: datetime) -> CodeResult:
        """Judge a proof that is not empty. Save the factor whatever comes of it: failures are counted too."""
        if proof.recovery_code is not None:
            digest = self._recovery_codes.hash(proof.recovery_code, owner=factor.user_id)
            return factor.redeem(digest, at=at)
        secret = self._box.open(factor.sealed_secret, owner=factor.user_id)
        verdict = factor.present(self._totp.step(secret, proof.code or "", at=at), at=at)
        if verdict is CodeResult.ACCEPTED and self._box.is_outdated(factor.sealed_secret):
            factor.reseal(self._box.seal(secret, owner=factor.user_id))
        return verdict
