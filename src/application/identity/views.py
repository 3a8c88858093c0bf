"""What the use cases of identity answer with: straight to the wire."""

import msgspec

from application.shared.views import Id, Timestamp, timestamp
from domain.identity.user import User
from domain.shared.actor import Role


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner sees it."""

    id: Id
    email: str
    email_verified: bool
    username: str
    name: str | None
    phone: str | None
    role: Role
    created_at: Timestamp
    updated_at: Timestamp


class TokenPairView(msgspec.Struct, frozen=True, kw_only=True):
    """An access token (RFC 6750) and the refresh token that outlives it."""

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105 - the scheme's name (RFC 6750), not a secret
    expires_in: int
    """Seconds that the access token is valid."""


class SignedUpView(TokenPairView, frozen=True, kw_only=True):
    """A token pair for a new account, and the account."""

    user: AccountView


def account_view(user: User) -> AccountView:
    return AccountView(
        id=str(user.id),
        email=user.email.value,
        email_verified=user.email_verified,
        username=user.username.value,
        name=user.name.value if user.name else None,
        phone=user.phone.value if user.phone else None,
        role=user.role,
        created_at=timestamp(user.created_at),
        updated_at=timestamp(user.updated_at),
    )
