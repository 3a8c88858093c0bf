"""The routes of accounts and sessions."""

from typing import Annotated, Final

import msgspec

from application.identity.change_password import ChangePassword
from application.identity.edit_profile import EditProfile
from application.identity.get_account import GetAccount, GetAccountQuery
from application.identity.log_in import LogIn
from application.identity.log_out import LogOut, LogOutCommand
from application.identity.log_out_by_token import LogOutByTokenCommand
from application.identity.refresh_session import RefreshSession, RefreshSessionCommand
from application.identity.sign_up import SignUp
from application.identity.use_cases import IdentityUseCases
from application.identity.views import AccountView, TokenPairView
from application.shared.errors import Overloaded, TransientFailure
from domain.identity.errors import (
    AccountChanged,
    EmailTaken,
    InvalidCode,
    InvalidCredentials,
    InvalidToken,
    SecondFactorRequired,
    TokenReused,
    UsernameTaken,
    WrongPassword,
)
from domain.identity.values import Device
from domain.shared.actor import Actor, Scope
from domain.shared.errors import Unauthenticated
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import PRIVATE, expected_version, representation, resource_tag
from entrypoints.http.edge.exchange import JSON_TYPE, NO_STORE, Exchange, Headers, Response, no_content
from entrypoints.http.edge.idempotency import idempotency_key
from entrypoints.http.edge.json_body import read
from entrypoints.http.edge.operation import Auth, Operation, key_parameter
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.identity.refresh_cookie import TRANSPORT, RefreshCookie, Transport
from entrypoints.http.identity.schemas import (
    ChangePasswordBody,
    EditProfileBody,
    LogInBody,
    RefreshBody,
    SignUpBody,
)
from entrypoints.http.problems.errors import CsrfRefused


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """An access token (RFC 6750) and the refresh token that outlives it."""

    access_token: str
    refresh_token: (
        Annotated[
            str,
            msgspec.Meta(
                description="Not there with `transport=cookie`: it is in the cookie then, out of the page's reach."
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    token_type: str = "bearer"  # noqa: S105 - the scheme's name (RFC 6750), not a secret
    expires_in: Annotated[int, msgspec.Meta(description="Seconds that the access token is valid.")]


class SignedUp(Tokens, frozen=True, kw_only=True):
    """Tokens for a new account, and the account."""

    user: AccountView


_ACCOUNT_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "email": "alice@example.com",
    "email_verified": False,
    "username": "alice",
    "name": "Alice Liddell",
    "phone": None,
    "role": "user",
    "created_at": "2026-11-21T09:30:00.000000Z",
    "updated_at": "2026-11-21T09:30:00.000000Z",
}
_PAIR_EXAMPLE: Final[dict[str, object]] = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
    "refresh_token": "b3BhcXVlIGFuZCBsb25nIGVub3VnaA",
    "token_type": "bearer",
    "expires_in": 1800,
}

SIGN_UP: Final = Operation(
    id="signUp",
    summary="Sign up",
    tag="auth",
    describes=SignUp,
    body=SignUpBody,
    body_example={"email": "alice@example.com", "password": "a walrus in the library", "name": "Alice Liddell"},
    status=201,
    answer=SignedUp,
    answer_description="The account exists and is signed in.",
    answer_example={**_PAIR_EXAMPLE, "user": _ACCOUNT_EXAMPLE},
    headers=("Location", "Cache-Control", "Set-Cookie"),
    parameters=(
        TRANSPORT,
        key_parameter(
            "Taken, so that a client may send one with whatever creates, and not heeded: keys are each account's own, "
            "and tokens are never stored. Signing up again with the same address creates nothing and gets 409 "
            "`email-taken`; log in then."
        ),
    ),
    raises=(EmailTaken, UsernameTaken, CsrfRefused, Overloaded, TransientFailure),
)
LOG_IN: Final = Operation(
    id="logIn",
    summary="Log in",
    tag="auth",
    describes=LogIn,
    body=LogInBody,
    body_example={"email": "alice@example.com", "password": "a walrus in the library"},
    answer=Tokens,
    answer_description="A token pair of a new session.",
    answer_example=_PAIR_EXAMPLE,
    headers=("Cache-Control", "Set-Cookie"),
    parameters=(TRANSPORT,),
    raises=(InvalidCredentials, SecondFactorRequired, InvalidCode, CsrfRefused, Overloaded, TransientFailure),
)
REFRESH: Final = Operation(
    id="refreshSession",
    summary="Refresh the tokens",
    tag="auth",
    describes=RefreshSession,
    body=RefreshBody,
    body_example={"refresh_token": _PAIR_EXAMPLE["refresh_token"]},
    answer=Tokens,
    answer_description="The next token pair of the session.",
    answer_example=_PAIR_EXAMPLE,
    headers=("Cache-Control", "Set-Cookie"),
    parameters=(TRANSPORT,),
    body_is_optional=True,
    raises=(InvalidToken, TokenReused, Unauthenticated, CsrfRefused, TransientFailure),
)
LOG_OUT: Final = Operation(
    id="logOut",
    summary="Log out",
    tag="auth",
    describes=LogOut,
    auth=Auth.REQUIRED,
    status=204,
    answer_description="The session is closed.",
    headers=("Set-Cookie",),
    parameters=(TRANSPORT,),
    raises=(CsrfRefused, TransientFailure),
)
READ_ME: Final = Operation(
    id="getMyAccount",
    summary="Read your account",
    tag="users",
    describes=GetAccount,
    auth=Auth.REQUIRED,
    scope=Scope.PROFILE_READ,
    answer=AccountView,
    answer_description="The account.",
    answer_example=_ACCOUNT_EXAMPLE,
    headers=("Vary",),
    cacheable=True,
)
EDIT_ME: Final = Operation(
    id="editMyAccount",
    summary="Edit your account",
    tag="users",
    describes=EditProfile,
    auth=Auth.REQUIRED,
    scope=Scope.PROFILE_WRITE,
    body=EditProfileBody,
    body_example={"name": "Alice", "phone": "+4915112345678"},
    answer=AccountView,
    answer_description="The account as it is now.",
    answer_example=_ACCOUNT_EXAMPLE,
    headers=("ETag", "Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(AccountChanged, UsernameTaken, TransientFailure),
)
CHANGE_PASSWORD: Final = Operation(
    id="changeMyPassword",
    summary="Change your password",
    tag="users",
    describes=ChangePassword,
    auth=Auth.REQUIRED,
    body=ChangePasswordBody,
    body_example={"current_password": "a walrus in the library", "new_password": "two walruses in the library"},
    status=204,
    answer_description="The password is changed, and every other session is closed.",
    takes_if_match=True,
    raises=(WrongPassword, AccountChanged, Overloaded, TransientFailure),
)

_encoder = msgspec.json.Encoder()


def _device(exchange: Exchange) -> Device:
    """Describe where a session is opened. `X-Forwarded-For` counts where a trusted proxy wrote it."""
    return Device.of(exchange.field(b"user-agent") or "", exchange.address)


def _tokens(status: int, view: msgspec.Struct, *headers: tuple[bytes, bytes]) -> Response:
    # RFC 6749, section 5.1: an answer with tokens is never stored.
    return Response(status, _encoder.encode(view), (JSON_TYPE, NO_STORE, *headers))


def _in_body(pair: TokenPairView, transport: Transport) -> str | msgspec.UnsetType:
    return pair.refresh_token if transport is Transport.BODY else msgspec.UNSET


class IdentityRoutes:
    """Handlers and the table of them. Each reads the request, runs one use case, and writes what came of it."""

    def __init__(self, use: IdentityUseCases, auth: Authenticator, browsers: RefreshCookie, *, base: str) -> None:
        self._use = use
        self._auth = auth
        self._browsers = browsers
        self._base = base
        self._me = f"{base}/users/me"

    def handlers(self) -> list[Registration]:
        return [
            endpoint("POST", f"{self._base}/auth/signup", SIGN_UP)(self.sign_up),
            endpoint("POST", f"{self._base}/auth/login", LOG_IN)(self.log_in),
            endpoint("POST", f"{self._base}/auth/refresh", REFRESH)(self.refresh),
            endpoint("POST", f"{self._base}/auth/logout", LOG_OUT)(self.log_out),
            endpoint("GET", self._me, READ_ME)(self.read_me),
            endpoint("PATCH", self._me, EDIT_ME)(self.edit_me),
            endpoint("PUT", f"{self._me}/password", CHANGE_PASSWORD)(self.change_password),
        ]

    async def sign_up(self, exchange: Exchange) -> Response:
        transport = self._transport(exchange)
        idempotency_key(exchange)  # one that is malformed is refused here as everywhere
        body = await read(exchange, SignUpBody)
        signed_up = await self._use.sign_up.execute(body.command(_device(exchange)))
        location = (b"location", self._me.encode())
        view = SignedUp(
            access_token=signed_up.access_token,
            refresh_token=_in_body(signed_up, transport),
            expires_in=signed_up.expires_in,
            user=signed_up.user,
        )
        return _tokens(201, view, location, *self._cookie_headers(signed_up, transport))

    async def log_in(self, exchange: Exchange) -> Response:
        transport = self._transport(exchange)
        body = await read(exchange, LogInBody)
        return self._pair(await self._use.log_in.execute(body.command(_device(exchange))), transport)

    async def refresh(self, exchange: Exchange) -> Response:
        transport = self._transport(exchange)
        if transport is Transport.BODY:
            command = (await read(exchange, RefreshBody)).command()
        else:
            command = RefreshSessionCommand(self._browsers.refresh_token(exchange))
        return self._pair(await self._use.refresh_session.execute(command), transport)

    async def log_out(self, exchange: Exchange) -> Response:
        if self._transport(exchange) is Transport.COOKIE:
            # The access token may have expired long ago: the cookie says which session is meant.
            token = self._browsers.refresh_token(exchange)
            await self._use.log_out_by_token.execute(LogOutByTokenCommand(token))
            return no_content(self._browsers.clear())
        await self._use.log_out.execute(LogOutCommand(self._auth.signed_in(exchange)))
        return no_content()

    def _transport(self, exchange: Exchange) -> Transport:
        return self._browsers.transport(exchange, exchange.query)

    def _pair(self, pair: TokenPairView, transport: Transport) -> Response:
        view = Tokens(
            access_token=pair.access_token,
            refresh_token=_in_body(pair, transport),
            expires_in=pair.expires_in,
        )
        return _tokens(200, view, *self._cookie_headers(pair, transport))

    def _cookie_headers(self, pair: TokenPairView, transport: Transport) -> Headers:
        return (self._browsers.keep(pair),) if transport is Transport.COOKIE else ()

    async def read_me(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, READ_ME.scope)
        refuse_parameters(exchange.query)
        account = await self._use.get_account.execute(GetAccountQuery(actor))
        body = _encoder.encode(account.view)
        return representation(exchange, body, resource_tag(account.version, body), PRIVATE)

    async def edit_me(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, EDIT_ME.scope)
        refuse_parameters(exchange.query)
        body = await read(exchange, EditProfileBody)
        if_version = await expected_version(exchange, lambda: self._version_of(actor))
        account = await self._use.edit_profile.execute(body.command(actor, if_version))
        encoded = _encoder.encode(account.view)
        tag = resource_tag(account.version, encoded)
        return Response(200, encoded, (JSON_TYPE, *PRIVATE, (b"etag", tag.encode())))

    async def change_password(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = await read(exchange, ChangePasswordBody)
        if_version = await expected_version(exchange, lambda: self._version_of(actor))
        await self._use.change_password.execute(body.command(actor, if_version))
        return no_content()

    async def _version_of(self, actor: Actor) -> int:
        return (await self._use.get_account.execute(GetAccountQuery(actor))).version
