"""What the routes of recovery, second factors and API keys read."""

from datetime import datetime
from typing import Annotated

import msgspec

from application.identity.manage_api_keys import CreateApiKeyCommand
from application.identity.manage_totp import ConfirmTotpCommand, DisableTotpCommand, EnrolTotpCommand
from application.identity.request_password_reset import RequestPasswordResetCommand
from application.identity.reset_password import ResetPasswordCommand
from application.identity.second_factor import Proof
from application.identity.verify_email import VerifyEmailCommand
from application.identity.views import CreatedApiKeyView
from application.shared.idempotency import IdempotencyClaim
from domain.identity.api_key import API_KEY_NAME_MAX_LENGTH, ApiKeyName
from domain.identity.values import Password
from domain.shared.actor import Actor, Scope
from domain.shared.errors import FieldError, Invalid
from entrypoints.http.edge.json_body import Parsed
from entrypoints.http.edge.timestamps import TIMESTAMP_MAX_LENGTH, parse_timestamp
from entrypoints.http.identity.schemas import Code, KnownEmail, KnownPassword, NewPassword, RecoveryCode, email_key

MailedToken = Annotated[
    str,
    msgspec.Meta(
        max_length=256,
        description="The token of the mail, unchanged.",
        examples=["q1Xv5cYwN0mZ7tRk2pLh9sJd4fGb8uEa3oWiVxTzQyM"],
    ),
]
KeyName = Annotated[
    str,
    msgspec.Meta(
        description="What you call it.",
        examples=["backup script"],
        extra_json_schema={"minLength": 1, "maxLength": API_KEY_NAME_MAX_LENGTH},
    ),
    Parsed(ApiKeyName.parse),
]


def expiry(raw: str) -> datetime:
    """Read when a key ends. Raises `Invalid`."""
    try:
        return parse_timestamp(raw)
    except ValueError:
        raise Invalid([FieldError("expires_at", "format", "is a time with its offset, as in RFC 3339")]) from None


Expiry = Annotated[
    str,
    msgspec.Meta(
        max_length=TIMESTAMP_MAX_LENGTH,
        description="RFC 3339, with an offset; left out, the key lives on.",
        examples=["2099-12-31T00:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
    Parsed(expiry),
]


class ForgotPasswordBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The address of the account. One that is none is as good as unknown."""

    email: KnownEmail

    def command(self) -> RequestPasswordResetCommand:
        return RequestPasswordResetCommand(email_key(self.email))


class ResetPasswordBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The token of the mail and the password to come."""

    token: MailedToken
    password: NewPassword

    def command(self) -> ResetPasswordCommand:
        return ResetPasswordCommand(self.token, Password.new(self.password))


class VerifyEmailBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The token of the mail."""

    token: MailedToken

    def command(self) -> VerifyEmailCommand:
        return VerifyEmailCommand(self.token)


class EnrolTotpBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Your password, since whoever holds an open session could lock you out with this."""

    password: KnownPassword

    def command(self, actor: Actor) -> EnrolTotpCommand:
        return EnrolTotpCommand(actor, Password.attempt(self.password))


class ConfirmTotpBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A first code, to show that the app has the secret."""

    code: Code

    def command(self, actor: Actor) -> ConfirmTotpCommand:
        return ConfirmTotpCommand(actor, self.code)


class DisableTotpBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One proof that it is you: the password, a code, or a recovery code."""

    password: KnownPassword | None = None
    code: Code | None = None
    recovery_code: RecoveryCode | None = None

    def command(self, actor: Actor) -> DisableTotpCommand:
        given = [proof for proof in (self.password, self.code, self.recovery_code) if proof is not None]
        if len(given) != 1:
            raise Invalid([FieldError("", "one-of", "takes one of `password`, `code` and `recovery_code`")])
        return DisableTotpCommand(
            actor,
            password=None if self.password is None else Password.attempt(self.password),
            proof=Proof(code=self.code, recovery_code=self.recovery_code),
        )


class CreateApiKeyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new API key, and your password, since a key outlives the session that makes it."""

    password: KnownPassword
    name: KeyName
    scopes: Annotated[
        list[Scope],
        msgspec.Meta(
            min_length=1,
            max_length=32,
            description="What the key is good for.",
            examples=[["posts:read", "posts:write"]],
        ),
    ]
    expires_at: Expiry | None = None

    def command(self, actor: Actor, idempotency: IdempotencyClaim[CreatedApiKeyView] | None) -> CreateApiKeyCommand:
        return CreateApiKeyCommand(
            actor=actor,
            password=Password.attempt(self.password),
            name=ApiKeyName.parse(self.name),
            scopes=frozenset(self.scopes),
            expires_at=None if self.expires_at is None else expiry(self.expires_at),
            idempotency=idempotency,
        )
