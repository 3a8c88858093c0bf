"""Time-based one-time passwords, on pyotp."""

import re
from datetime import datetime
from hmac import compare_digest
from typing import Final

import pyotp
from pyotp.totp import TOTP

from application.identity.credentials import TotpCodes

_SECRET_LENGTH: Final = 32
"""Characters of base32 for 160 bits, which RFC 4226, section 4 recommends."""
_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)
_DRIFT_STEPS: Final = 1
"""How far the clocks of server and device may be apart, in steps of 30 seconds (RFC 6238, section 5.2)."""


class PyotpTotpCodes(TotpCodes):
    def __init__(self, *, issuer: str) -> None:
        self._issuer = issuer

    def new_secret(self) -> str:
        return pyotp.random_base32(_SECRET_LENGTH)

    def uri(self, secret: str, *, account: str) -> str:
        return TOTP(secret).provisioning_uri(name=account, issuer_name=self._issuer)

    def step(self, secret: str, code: str, *, at: datetime) -> int | None:
        """Return the step that the code is right for, the newest first; every step is compared, right or wrong."""
        digits = "".join(code[:16].split())  # Apps show `123 456`, and people type what they see.
        if not _CODE.fullmatch(digits):
            return None
        totp = TOTP(secret)
        now = totp.timecode(at)
        right = [
            step
            for step in range(now + _DRIFT_STEPS, now - _DRIFT_STEPS - 1, -1)
            if compare_digest(totp.generate_otp(step), digits)
        ]
        return right[0] if right else None
