"""The routes of one's own sessions, and of leaving: taking one's data along, and deleting the account."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from application.identity.delete_account import DeleteAccount, DeleteAccountCommand
from application.identity.export_data import Export, ExportData, ExportDataQuery
from application.identity.get_account import GetAccountQuery
from application.identity.list_sessions import ListSessions, ListSessionsQuery
from application.identity.log_out_everywhere import LogOutEverywhere, LogOutEverywhereCommand
from application.identity.revoke_session import RevokeSession, RevokeSessionCommand
from application.identity.use_cases import IdentityUseCases
from application.identity.views import SessionPageView
from application.shared.errors import Overloaded, TransientFailure
from domain.identity.errors import AccountChanged, LastAdmin, SessionNotFound, WrongPassword
from domain.identity.values import Password
from domain.shared.actor import Actor
from domain.shared.ids import SessionId
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import PRIVATE, bytes_tag, expected_version, representation
from entrypoints.http.edge.exchange import (
    JSON_TYPE,
    NO_STORE,
    Exchange,
    Response,
    StreamedResponse,
    no_content,
)
from entrypoints.http.edge.json_body import read
from entrypoints.http.edge.large_responses import WHOLE_BYTES
from entrypoints.http.edge.operation import PAGE, Auth, Operation, path_parameter
from entrypoints.http.edge.paging import Query, path_id, refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.identity.schemas import KnownPassword


class DeleteAccountBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The password, to make sure."""

    password: KnownPassword

    def command(self, actor: Actor, if_version: int | None) -> DeleteAccountCommand:
        return DeleteAccountCommand(actor, Password.attempt(self.password), if_version)


_SESSION_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "created_at": "2026-11-21T09:30:00.000000Z",
    "last_used_at": "2026-11-21T09:58:00.000000Z",
    "expires_at": "2026-12-21T09:30:00.000000Z",
    "user_agent": "curl/8.9",
    "address": "192.0.2.7",
    "current": True,
}

LIST_SESSIONS: Final = Operation(
    id="listMySessions",
    summary="List your sessions",
    tag="auth",
    describes=ListSessions,
    auth=Auth.REQUIRED,
    parameters=PAGE,
    answer=SessionPageView,
    answer_description="A page of your sessions.",
    answer_example={"items": [_SESSION_EXAMPLE], "next_cursor": None},
    headers=("Link", "Vary"),
    cacheable=True,
)
REVOKE_SESSION: Final = Operation(
    id="revokeMySession",
    summary="Close one of your sessions",
    tag="auth",
    describes=RevokeSession,
    auth=Auth.REQUIRED,
    parameters=(path_parameter("session_id", "The session."),),
    status=204,
    answer_description="The session is closed.",
    raises=(SessionNotFound, TransientFailure),
)
LOG_OUT_EVERYWHERE: Final = Operation(
    id="logOutEverywhere",
    summary="Log out everywhere",
    tag="auth",
    describes=LogOutEverywhere,
    auth=Auth.REQUIRED,
    status=204,
    answer_description="All your sessions are closed.",
    raises=(TransientFailure,),
)
DELETE_ME: Final = Operation(
    id="deleteMyAccount",
    summary="Delete your account",
    tag="users",
    describes=DeleteAccount,
    auth=Auth.REQUIRED,
    body=DeleteAccountBody,
    body_example={"password": "a walrus in the library"},
    status=204,
    answer_description="The account is gone, and all that was its own.",
    takes_if_match=True,
    raises=(WrongPassword, LastAdmin, AccountChanged, Overloaded, TransientFailure),
)
EXPORT_ME: Final = Operation(
    id="exportMyData",
    summary="Take your data along",
    tag="users",
    describes=ExportData,
    auth=Auth.REQUIRED,
    answer_description="The document, sent as it is read. One that was broken off is not valid JSON.",
    headers=("Cache-Control",),
    raises=(TransientFailure,),
)

_PAGE_PARAMETERS = frozenset({"limit", "cursor"})
_ATTACHMENT: Final = (b"content-disposition", b'attachment; filename="postern-export.json"')
_encoder = msgspec.json.Encoder()


class MyAccountRoutes:
    """Handlers and the table of them. Each reads the request, runs one use case, and writes what came of it."""

    def __init__(self, use: IdentityUseCases, auth: Authenticator, *, base: str) -> None:
        self._use = use
        self._auth = auth
        self._base = base
        self._sessions = f"{base}/auth/sessions"

    def handlers(self) -> list[Registration]:
        me = f"{self._base}/users/me"
        return [
            endpoint("GET", self._sessions, LIST_SESSIONS)(self.list_sessions),
            endpoint("DELETE", f"{self._sessions}/{{session_id:str}}", REVOKE_SESSION)(self.revoke_session),
            endpoint("POST", f"{self._base}/auth/logout/all", LOG_OUT_EVERYWHERE)(self.log_out_everywhere),
            endpoint("DELETE", me, DELETE_ME)(self.delete_me),
            endpoint("GET", f"{me}/export", EXPORT_ME)(self.export_me),
        ]

    async def list_sessions(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        query = Query(exchange.query, _PAGE_PARAMETERS)
        wanted = query.page()
        query.check()
        page = await self._use.list_sessions.execute(ListSessionsQuery(actor, wanted))
        body = _encoder.encode(page)
        return representation(
            exchange, body, bytes_tag(body), (*PRIVATE, *query.next_link(self._sessions, page.next_cursor))
        )

    async def revoke_session(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        session_id = SessionId(path_id(exchange.params, "session_id"))
        await self._use.revoke_session.execute(RevokeSessionCommand(actor, session_id))
        return no_content()

    async def log_out_everywhere(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        await self._use.log_out_everywhere.execute(LogOutEverywhereCommand(actor))
        return no_content()

    async def delete_me(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        body = await read(exchange, DeleteAccountBody)
        if_version = await expected_version(exchange, lambda: self._version_of(actor))
        await self._use.delete_account.execute(body.command(actor, if_version))
        return no_content()

    async def export_me(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        export = await self._use.export_data.execute(ExportDataQuery(actor))
        return await StreamedResponse.begin(exchange, 200, pieces_of(export), (JSON_TYPE, NO_STORE, _ATTACHMENT))

    async def _version_of(self, actor: Actor) -> int:
        return (await self._use.get_account.execute(GetAccountQuery(actor))).version


async def pieces_of(export: Export) -> AsyncIterator[bytes]:
    """Write the document some records at a time: no more than a batch is in memory, however long it gets."""
    yield b"{"  # Whether it is refused for want of room shows here, and whether anybody wants more than its head.
    await export.begin()
    before = b""
    for source in export.sources:
        yield before + _encoder.encode(source.name) + (b":[" if source.is_list else b":")
        separator = b""
        async for batch in source.batches(export.user_id):
            # A page of texts is 4 MiB by itself: it is not encoded as one.
            pieces: list[bytes] = []
            size = 0
            for record in batch:
                piece = _encoder.encode(record)
                pieces += separator, piece
                separator = b","
                size += len(piece)
                if size >= WHOLE_BYTES:
                    yield b"".join(pieces)
                    pieces, size = [], 0
            if pieces:
                yield b"".join(pieces)
        before = b"]," if source.is_list else b","
    yield before.removesuffix(b",") + b"}"
