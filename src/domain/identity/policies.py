"""Policies of identity: small decisions that read like sentences and are tested alone."""

from collections.abc import Callable
from datetime import timedelta

from domain.identity.reserved import ReservedUsernames
from domain.identity.values import EmailAddress, Password, Username
from domain.shared.errors import FieldError, Invalid
from domain.shared.text import canonical_key

REFRESH_GRACE = timedelta(seconds=10)
"""How long a spent refresh token still yields the newest pair: several tabs, or an answer lost on the way."""

SESSIONS_PER_USER = 100
"""Live ones. The oldest is closed for the one that would be more."""

SESSION_LIFETIME = timedelta(days=30)
"""Absolute, from sign-in: refreshing does not extend it."""


def require_acceptable_password(
    password: Password,
    *,
    email: EmailAddress,
    username: Username | None,
    is_common: Callable[[str], bool],
    field: str = "password",
) -> None:
    """Raise `Invalid` for a password that must not be chosen: the owner's address or handle, or one everybody tries.

    No composition rules: they make passwords worse (NIST SP 800-63B, 5.1.1.2).
    """
    key = canonical_key(password.value)
    own = {email.key, email.key.rpartition("@")[0]} | ({username.key} if username else set())
    if key in own:
        raise Invalid([FieldError(field, "personal", "must not be your own e-mail address or username")])
    if is_common(key):
        raise Invalid([FieldError(field, "common", "is one of the passwords that are tried first")])


def require_unreserved(username: Username, reserved: ReservedUsernames) -> None:
    """Raise `Invalid` for a username that would be taken for the service. Only administrators give one of those."""
    if username in reserved:
        raise Invalid([FieldError("username", "reserved", "is reserved, or looks like a name that is")])
