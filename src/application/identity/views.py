"""What the use cases of identity answer with: straight to the wire."""

from typing import Annotated

import msgspec

from application.shared.views import Id, Timestamp, timestamp
from domain.identity.api_key import ApiKey
from domain.identity.second_factor import SecondFactor
from domain.identity.user import User
from domain.identity.values import UserStatus
from domain.shared.actor import Role, Scope


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


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session of one's own: one sign-in on one device."""

    id: Id
    created_at: Timestamp
    last_used_at: Annotated[Timestamp, msgspec.Meta(description="When its tokens were last refreshed.")]
    expires_at: Annotated[Timestamp, msgspec.Meta(description="Absolute: refreshing does not move it.")]
    user_agent: Annotated[str, msgspec.Meta(description="As the client named itself at sign-in.")]
    address: Annotated[str, msgspec.Meta(description="Where the sign-in came from.", examples=["192.0.2.7"])]
    current: (
        Annotated[bool, msgspec.Meta(description="Whether it is the session of this very request.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    revoked_at: (
        Annotated[Timestamp, msgspec.Meta(description="When it was closed; only in an export.")]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET


class SessionPageView(msgspec.Struct, frozen=True):
    items: list[SessionView]
    next_cursor: str | None


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as others see it. The public part is there for everybody, the rest only for administrators."""

    id: Id
    email: str | msgspec.UnsetType = msgspec.UNSET
    email_verified: bool | msgspec.UnsetType = msgspec.UNSET
    username: str
    name: str | None
    phone: str | msgspec.UnsetType | None = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    status: UserStatus | msgspec.UnsetType = msgspec.UNSET
    created_at: Timestamp
    updated_at: Timestamp | msgspec.UnsetType = msgspec.UNSET


class UserPageView(msgspec.Struct, frozen=True):
    items: list[UserView]
    next_cursor: str | None


class AuditEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail."""

    id: Id
    at: Timestamp
    event: Annotated[str, msgspec.Meta(description="What happened.", examples=["user.suspended"])]
    actor: Annotated[Id | None, msgspec.Meta(description="Who did it; null: nobody signed in, or a rule by itself.")]
    subject: Annotated[Id | None, msgspec.Meta(description="Whom it was done to; the account may be gone since.")]
    address: Annotated[str, msgspec.Meta(description="Where the request came from; empty: the machine itself.")]
    user_agent: str
    request_id: str
    details: dict[str, str]


class AuditPageView(msgspec.Struct, frozen=True):
    items: list[AuditEntryView]
    next_cursor: str | None


def user_view(user: User, *, full: bool) -> UserView:
    view = UserView(
        id=str(user.id),
        username=user.username.value,
        name=user.name.value if user.name else None,
        created_at=timestamp(user.created_at),
    )
    if not full:
        return view
    return msgspec.structs.replace(
        view,
        email=user.email.value,
        email_verified=user.email_verified,
        phone=user.phone.value if user.phone else None,
        role=user.role,
        status=user.status,
        updated_at=timestamp(user.updated_at),
    )


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


class ApiKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, as far as it can be seen again."""

    id: Id
    name: str
    scopes: list[Scope]
    hint: Annotated[str, msgspec.Meta(description="The key's last four characters.", examples=["x7Qz"])]
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Annotated[Timestamp | None, msgspec.Meta(description="To the minute; null: never used.")]


class CreatedApiKeyView(ApiKeyView, frozen=True, kw_only=True):
    """A new API key, with the key itself: it is shown here and never again."""

    key: Annotated[
        str,
        msgspec.Meta(
            description="Send it as `Authorization: Bearer <key>`.",
            examples=["pk_7Qm2vX0cBf4kLr9sTn1wYz6hJd3gPa8uEi5oSxVbNqMt0C2f4H6k"],
        ),
    ]


class ApiKeyListView(msgspec.Struct, frozen=True, kw_only=True):
    """Every API key of the caller, the newest first."""

    items: list[ApiKeyView]
    next_cursor: None = None
    """There are at most a hundred, so they fit on one page."""


class TotpEnrolmentView(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator app needs to know."""

    secret: Annotated[
        str, msgspec.Meta(description="Base32, to be typed in.", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    ]
    uri: Annotated[
        str,
        msgspec.Meta(
            description="To be shown as a QR code.",
            examples=["otpauth://totp/Postern:alice%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Postern"],
        ),
    ]


class RecoveryCodesView(msgspec.Struct, frozen=True, kw_only=True):
    """Codes for when the device is lost: each is good for one log-in, and they are shown here and never again."""

    recovery_codes: Annotated[list[str], msgspec.Meta(examples=[["abcd-efgh-2345-6789"]])]


class TotpStateView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a second factor is in force."""

    enabled: bool
    recovery_codes_left: int


def totp_state_view(factor: SecondFactor | None) -> TotpStateView:
    """Show what is in force; one that was never confirmed is not."""
    if factor is None or not factor.is_confirmed:
        return TotpStateView(enabled=False, recovery_codes_left=0)
    return TotpStateView(enabled=True, recovery_codes_left=len(factor.recovery))


def api_key_view(key: ApiKey) -> ApiKeyView:
    return ApiKeyView(
        id=str(key.id),
        name=key.name.value,
        scopes=sorted(key.scopes),
        hint=key.hint,
        created_at=timestamp(key.created_at),
        expires_at=timestamp(key.expires_at) if key.expires_at else None,
        last_used_at=timestamp(key.last_used_at) if key.last_used_at else None,
    )
