"""The routes of recovery, second factors and API keys."""

from typing import Final

import msgspec

from adapters.security.api_key_directory import ApiKeyDirectory
from application.identity.manage_api_keys import (
    CreateApiKey,
    ListApiKeys,
    ListApiKeysQuery,
    RevokeApiKey,
    RevokeApiKeyCommand,
)
from application.identity.manage_totp import (
    ConfirmTotp,
    DisableTotp,
    EnrolTotp,
    GetTotp,
    GetTotpQuery,
)
from application.identity.request_password_reset import RequestPasswordReset
from application.identity.reset_password import ResetPassword
from application.identity.send_verification import SendVerification, SendVerificationCommand
from application.identity.use_cases import IdentityUseCases
from application.identity.verify_email import VerifyEmail
from application.identity.views import (
    ApiKeyListView,
    CreatedApiKeyView,
    RecoveryCodesView,
    TotpEnrolmentView,
    TotpStateView,
)
from application.shared.errors import Overloaded, TransientFailure
from domain.identity.errors import (
    ApiKeyNotFound,
    InvalidOneTimeToken,
    TooManyApiKeys,
    TotpAlreadyEnabled,
    TotpNotEnabled,
    WrongCode,
    WrongPassword,
)
from domain.shared.ids import ApiKeyId
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import PRIVATE, bytes_tag, representation
from entrypoints.http.edge.exchange import JSON_TYPE, NO_STORE, Exchange, Response, no_content
from entrypoints.http.edge.idempotency import IdempotentCreation
from entrypoints.http.edge.json_body import collect, decoded, read
from entrypoints.http.edge.operation import Auth, Operation, path_parameter
from entrypoints.http.edge.paging import path_id, refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.identity.credential_schemas import (
    ConfirmTotpBody,
    CreateApiKeyBody,
    DisableTotpBody,
    EnrolTotpBody,
    ForgotPasswordBody,
    ResetPasswordBody,
    VerifyEmailBody,
)

_TOKEN_EXAMPLE: Final = "q1Xv5cYwN0mZ7tRk2pLh9sJd4fGb8uEa3oWiVxTzQyM"  # noqa: S105 - an example of the document
_KEY_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "name": "backup script",
    "scopes": ["posts:read"],
    "hint": "4H6k",
    "created_at": "2026-11-21T09:30:00.000000Z",
    "expires_at": "2099-12-31T00:00:00.000000Z",
    "last_used_at": None,
}

FORGOT_PASSWORD: Final = Operation(
    id="requestPasswordReset",
    summary="Ask for a mail to set a new password",
    tag="auth",
    describes=RequestPasswordReset,
    body=ForgotPasswordBody,
    body_example={"email": "alice@example.com"},
    status=202,
    answer_description="If the address belongs to an account, a mail is on its way. There is no body.",
    has_content=False,
    stores=False,
    raises=(Overloaded,),
)
RESET_PASSWORD: Final = Operation(
    id="resetPassword",
    summary="Set a new password with the token of a mail",
    tag="auth",
    describes=ResetPassword,
    body=ResetPasswordBody,
    body_example={"token": _TOKEN_EXAMPLE, "password": "two walruses in the library"},
    status=204,
    answer_description="The password is changed, every session is closed, and the API keys have ended.",
    raises=(InvalidOneTimeToken, Overloaded, TransientFailure),
)
VERIFY_EMAIL: Final = Operation(
    id="verifyEmail",
    summary="Confirm your e-mail address",
    tag="auth",
    describes=VerifyEmail,
    body=VerifyEmailBody,
    body_example={"token": _TOKEN_EXAMPLE},
    status=204,
    answer_description="The address counts as verified.",
    raises=(InvalidOneTimeToken, TransientFailure),
)
RESEND_VERIFICATION: Final = Operation(
    id="resendVerification",
    summary="Ask for the verification mail again",
    tag="auth",
    describes=SendVerification,
    auth=Auth.REQUIRED,
    status=202,
    answer_description="Unless the address is verified, a mail is on its way. There is no body.",
    has_content=False,
    raises=(Overloaded,),
)
READ_TOTP: Final = Operation(
    id="getTotp",
    summary="Look at your second factor",
    tag="auth",
    describes=GetTotp,
    auth=Auth.REQUIRED,
    answer=TotpStateView,
    answer_description="Whether it is in force.",
    answer_example={"enabled": True, "recovery_codes_left": 10},
    headers=("Vary",),
    cacheable=True,
    raises=(TransientFailure,),
)
ENROL_TOTP: Final = Operation(
    id="enrolTotp",
    summary="Begin to set up a second factor",
    tag="auth",
    describes=EnrolTotp,
    auth=Auth.REQUIRED,
    body=EnrolTotpBody,
    body_example={"password": "a walrus in the library"},
    answer=TotpEnrolmentView,
    answer_description="What the authenticator app needs to know.",
    answer_example={
        "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "uri": "otpauth://totp/postern:alice%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=postern",
    },
    headers=("Cache-Control",),
    raises=(TotpAlreadyEnabled, WrongPassword, Overloaded, TransientFailure),
)
CONFIRM_TOTP: Final = Operation(
    id="confirmTotp",
    summary="Put the second factor into force",
    tag="auth",
    describes=ConfirmTotp,
    auth=Auth.REQUIRED,
    body=ConfirmTotpBody,
    body_example={"code": "492039"},
    answer=RecoveryCodesView,
    answer_description="The recovery codes, shown this once.",
    answer_example={"recovery_codes": ["k3vd-0x9m-trqa-77fe", "9hwz-1c4e-8n2b-pgk0"]},
    headers=("Cache-Control",),
    raises=(TotpNotEnabled, TotpAlreadyEnabled, WrongCode, TransientFailure),
)
DISABLE_TOTP: Final = Operation(
    id="disableTotp",
    summary="Take the second factor away",
    tag="auth",
    describes=DisableTotp,
    auth=Auth.REQUIRED,
    body=DisableTotpBody,
    body_example={"password": "a walrus in the library"},
    status=204,
    answer_description="Logging in takes the password alone.",
    raises=(TotpNotEnabled, WrongCode, WrongPassword, Overloaded, TransientFailure),
)
CREATE_API_KEY: Final = Operation(
    id="createApiKey",
    summary="Make an API key",
    tag="auth",
    describes=CreateApiKey,
    auth=Auth.REQUIRED,
    body=CreateApiKeyBody,
    body_example={
        "password": "a walrus in the library",
        "name": "backup script",
        "scopes": ["posts:read"],
        "expires_at": "2099-12-31T00:00:00Z",
    },
    status=201,
    answer=CreatedApiKeyView,
    answer_description="The key, shown this once.",
    answer_example={**_KEY_EXAMPLE, "key": "pk_7Qm2vX0cBf4kLr9sTn1wYz6hJd3gPa8uEi5oSxVbNqMt0C2f4H6k"},
    headers=("Cache-Control", "Location"),
    idempotent=True,
    raises=(TooManyApiKeys, WrongPassword, Overloaded, TransientFailure),
)
LIST_API_KEYS: Final = Operation(
    id="listApiKeys",
    summary="List your API keys",
    tag="auth",
    describes=ListApiKeys,
    auth=Auth.REQUIRED,
    answer=ApiKeyListView,
    answer_description="The keys.",
    answer_example={"items": [_KEY_EXAMPLE], "next_cursor": None},
    headers=("Vary",),
    cacheable=True,
)
REVOKE_API_KEY: Final = Operation(
    id="revokeApiKey",
    summary="Revoke an API key",
    tag="auth",
    describes=RevokeApiKey,
    auth=Auth.REQUIRED,
    parameters=(path_parameter("key_id", "The key's id."),),
    status=204,
    answer_description="The key is gone.",
    raises=(ApiKeyNotFound, TransientFailure),
)

_encoder = msgspec.json.Encoder()


class CredentialRoutes:
    """Handlers and the table of them. None takes an API key: credentials are for sessions to manage."""

    def __init__(
        self,
        use: IdentityUseCases,
        auth: Authenticator,
        creations: IdempotentCreation,
        api_keys: ApiKeyDirectory,
        *,
        base: str,
    ) -> None:
        self._use = use
        self._auth = auth
        self._creations = creations
        self._api_keys = api_keys
        self._base = f"{base}/auth"

    def handlers(self) -> list[Registration]:
        base = self._base
        return [
            endpoint("POST", f"{base}/password/forgot", FORGOT_PASSWORD)(self.forgot_password),
            endpoint("POST", f"{base}/password/reset", RESET_PASSWORD)(self.reset_password),
            endpoint("POST", f"{base}/email/verify", VERIFY_EMAIL)(self.verify_email),
            endpoint("POST", f"{base}/email/verify/resend", RESEND_VERIFICATION)(self.resend_verification),
            endpoint("GET", f"{base}/totp", READ_TOTP)(self.read_totp),
            endpoint("POST", f"{base}/totp", ENROL_TOTP)(self.enrol_totp),
            endpoint("POST", f"{base}/totp/confirm", CONFIRM_TOTP)(self.confirm_totp),
            endpoint("DELETE", f"{base}/totp", DISABLE_TOTP)(self.disable_totp),
            endpoint("POST", f"{base}/api-keys", CREATE_API_KEY)(self.create_api_key),
            endpoint("GET", f"{base}/api-keys", LIST_API_KEYS)(self.list_api_keys),
            endpoint("DELETE", f"{base}/api-keys/{{key_id:str}}", REVOKE_API_KEY)(self.revoke_api_key),
        ]

    async def forgot_password(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        body = await read(exchange, ForgotPasswordBody)
        await self._use.request_password_reset.execute(body.command())
        return Response(202, b"", (NO_STORE,))

    async def reset_password(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        body = await read(exchange, ResetPasswordBody)
        await self._use.reset_password.execute(body.command())
        return no_content()

    async def verify_email(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        body = await read(exchange, VerifyEmailBody)
        await self._use.verify_email.execute(body.command())
        return no_content()

    async def resend_verification(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        await self._use.send_verification.execute(SendVerificationCommand(actor.user_id))
        return Response(202, b"", (NO_STORE,))

    async def read_totp(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = _encoder.encode(await self._use.get_totp.execute(GetTotpQuery(actor)))
        return representation(exchange, body, bytes_tag(body), PRIVATE)

    async def enrol_totp(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = await read(exchange, EnrolTotpBody)
        return _secret(200, await self._use.enrol_totp.execute(body.command(actor)))

    async def confirm_totp(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = await read(exchange, ConfirmTotpBody)
        return _secret(200, await self._use.confirm_totp.execute(body.command(actor)))

    async def disable_totp(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = await read(exchange, DisableTotpBody)
        await self._use.disable_totp.execute(body.command(actor))
        return no_content()

    async def create_api_key(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        raw = await collect(exchange)
        body = await decoded(raw, CreateApiKeyBody)
        return await self._creations.answer(
            exchange,
            actor,
            raw,
            lambda once: self._use.create_api_key.execute(body.command(actor, once)),
            lambda created: _secret(201, created, (b"location", f"{self._base}/api-keys/{created.id}".encode())),
        )

    async def list_api_keys(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = _encoder.encode(await self._use.list_api_keys.execute(ListApiKeysQuery(actor)))
        return representation(exchange, body, bytes_tag(body), PRIVATE)

    async def revoke_api_key(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        key_id = ApiKeyId(path_id(exchange.params, "key_id"))
        await self._use.revoke_api_key.execute(RevokeApiKeyCommand(actor, key_id))
        self._api_keys.forget(key_id)
        return no_content()


def _secret(status: int, view: msgspec.Struct, *headers: tuple[bytes, bytes]) -> Response:
    """Answer with what is shown once: nothing on the way may keep it."""
    return Response(status, _encoder.encode(view), (JSON_TYPE, NO_STORE, *headers))
