"""The routes of administration: accounts of others, suspension, and the audit trail."""

from typing import Final

import msgspec

from application.identity.create_user import CreateUser
from application.identity.delete_user import DeleteUser, DeleteUserCommand
from application.identity.get_user import GetUser, GetUserQuery
from application.identity.list_audit import ListAudit, ListAuditQuery
from application.identity.list_users import ListUsers, ListUsersQuery
from application.identity.reinstate_user import ReinstateUser, ReinstateUserCommand
from application.identity.replace_user import ReplaceUser
from application.identity.suspend_user import SuspendUser
from application.identity.use_cases import IdentityUseCases
from application.identity.views import AuditPageView, UserPageView, UserView
from application.shared.errors import Overloaded, TransientFailure
from application.shared.views import Versioned
from domain.identity.errors import (
    AccountChanged,
    EmailTaken,
    LastAdmin,
    OutOfReach,
    OwnAccount,
    UsernameTaken,
    UserNotFound,
)
from domain.shared.actor import Actor, Permission
from domain.shared.errors import Forbidden
from domain.shared.ids import UserId
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import PRIVATE, bytes_tag, expected_version, representation, resource_tag
from entrypoints.http.edge.exchange import JSON_TYPE, Exchange, Response, no_content
from entrypoints.http.edge.idempotency import IdempotentCreation
from entrypoints.http.edge.json_body import collect, decoded, read
from entrypoints.http.edge.operation import PAGE, Auth, Operation, Parameter, id_parameter, path_parameter
from entrypoints.http.edge.paging import Query, path_id, refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.identity.administration_schemas import CreateUserBody, ReplaceUserBody, SuspendUserBody

_PUBLIC_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "username": "alice",
    "name": "Alice Liddell",
    "created_at": "2026-11-21T09:30:00.000000Z",
}
_FULL_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "email": "alice@example.com",
    "email_verified": True,
    "username": "alice",
    "name": "Alice Liddell",
    "phone": None,
    "role": "moderator",
    "status": "active",
    "created_at": "2026-11-21T09:30:00.000000Z",
    "updated_at": "2026-11-21T09:30:00.000000Z",
}
_USER_ID: Final = path_parameter("user_id", "The account.")
_Q_MAX_LENGTH: Final = 100

LIST_USERS: Final = Operation(
    id="listUsers",
    summary="List accounts",
    tag="users",
    describes=ListUsers,
    auth=Auth.REQUIRED,
    parameters=(
        *PAGE,
        Parameter(
            "q",
            "query",
            "Only accounts whose username or name (for administrators: or e-mail address) begins so.",
            {"type": "string", "minLength": 1, "maxLength": _Q_MAX_LENGTH},
            "ali",
        ),
    ),
    answer=UserPageView,
    answer_description="A page of accounts.",
    answer_example={"items": [_PUBLIC_EXAMPLE], "next_cursor": None},
    headers=("Link", "Vary"),
    cacheable=True,
)
GET_USER: Final = Operation(
    id="getUser",
    summary="Read an account",
    tag="users",
    describes=GetUser,
    auth=Auth.REQUIRED,
    parameters=(_USER_ID,),
    answer=UserView,
    answer_description="The account, as much of it as the caller may see.",
    answer_example=_PUBLIC_EXAMPLE,
    headers=("Vary",),
    cacheable=True,
    raises=(UserNotFound,),
)
CREATE_USER: Final = Operation(
    id="createUser",
    summary="Create an account",
    tag="users",
    describes=CreateUser,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_USERS,
    body=CreateUserBody,
    body_example={
        "email": "alice@example.com",
        "password": "a walrus in the library",
        "username": "alice",
        "role": "moderator",
    },
    status=201,
    answer=UserView,
    answer_description="The account.",
    answer_example=_FULL_EXAMPLE,
    headers=("Location", "ETag", "Cache-Control", "Vary"),
    idempotent=True,
    raises=(Forbidden, EmailTaken, UsernameTaken, Overloaded, TransientFailure),
)
REPLACE_USER: Final = Operation(
    id="replaceUser",
    summary="Replace an account",
    tag="users",
    describes=ReplaceUser,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_USERS,
    parameters=(_USER_ID,),
    body=ReplaceUserBody,
    body_example={
        "email": "alice@example.com",
        "email_verified": True,
        "username": "alice",
        "name": "Alice Liddell",
        "phone": None,
        "role": "moderator",
        "status": "active",
    },
    answer=UserView,
    answer_description="The account as it is now.",
    answer_example=_FULL_EXAMPLE,
    headers=("ETag", "Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(
        Forbidden,
        UserNotFound,
        AccountChanged,
        EmailTaken,
        UsernameTaken,
        LastAdmin,
        OwnAccount,
        TransientFailure,
    ),
)
DELETE_USER: Final = Operation(
    id="deleteUser",
    summary="Delete an account",
    tag="users",
    describes=DeleteUser,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_USERS,
    parameters=(_USER_ID,),
    status=204,
    answer_description="The account is gone, and all that was its own.",
    takes_if_match=True,
    raises=(Forbidden, UserNotFound, AccountChanged, LastAdmin, OwnAccount, TransientFailure),
)
SUSPEND_USER: Final = Operation(
    id="suspendUser",
    summary="Suspend an account",
    tag="users",
    describes=SuspendUser,
    auth=Auth.REQUIRED,
    permission=Permission.SUSPEND_USERS,
    parameters=(_USER_ID,),
    body=SuspendUserBody,
    body_example={"reason": "Spam"},
    status=204,
    answer_description="The account is suspended.",
    raises=(Forbidden, OutOfReach, UserNotFound, LastAdmin, OwnAccount, TransientFailure),
)
REINSTATE_USER: Final = Operation(
    id="reinstateUser",
    summary="Reinstate an account",
    tag="users",
    describes=ReinstateUser,
    auth=Auth.REQUIRED,
    permission=Permission.SUSPEND_USERS,
    parameters=(_USER_ID,),
    status=204,
    answer_description="The account is active.",
    raises=(Forbidden, OutOfReach, UserNotFound, OwnAccount, TransientFailure),
)
LIST_AUDIT: Final = Operation(
    id="listAudit",
    summary="Read the audit trail",
    tag="audit",
    describes=ListAudit,
    auth=Auth.REQUIRED,
    permission=Permission.READ_AUDIT,
    parameters=(*PAGE, id_parameter("user", "Only what this user did or had done to them.")),
    answer=AuditPageView,
    answer_description="A page of the trail.",
    answer_example={
        "items": [
            {
                "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
                "at": "2026-11-21T09:30:00.000000Z",
                "event": "user.suspended",
                "actor": "019aa1b2-0000-7e5f-8a6b-7c8d9e0f1a2b",
                "subject": "019aa1b2-1111-7e5f-8a6b-7c8d9e0f1a2b",
                "address": "192.0.2.7",
                "user_agent": "curl/8.9",
                "request_id": "5f1c2a9be0d84a6c9d3e7f10a2b4c6d8",
                "details": {"reason": "Spam"},
            }
        ],
        "next_cursor": None,
    },
    headers=("Link", "Vary"),
    cacheable=True,
    raises=(Forbidden,),
)

_PAGE_PARAMETERS = frozenset({"limit", "cursor"})
_USERS_PARAMETERS = _PAGE_PARAMETERS | {"q"}
_AUDIT_PARAMETERS = _PAGE_PARAMETERS | {"user"}
_encoder = msgspec.json.Encoder()


class AdministrationRoutes:
    """Handlers and the table of them. Each reads the request, runs one use case, and writes what came of it."""

    def __init__(self, use: IdentityUseCases, auth: Authenticator, creations: IdempotentCreation, *, base: str) -> None:
        self._use = use
        self._auth = auth
        self._creations = creations
        self._users = f"{base}/users"
        self._audit = f"{base}/audit"

    def handlers(self) -> list[Registration]:
        one = f"{self._users}/{{user_id:str}}"
        return [
            endpoint("GET", self._users, LIST_USERS)(self.list_users),
            endpoint("POST", self._users, CREATE_USER)(self.create_user),
            endpoint("GET", one, GET_USER)(self.get_user),
            endpoint("PUT", one, REPLACE_USER)(self.replace_user),
            endpoint("DELETE", one, DELETE_USER)(self.delete_user),
            endpoint("PUT", f"{one}/suspension", SUSPEND_USER)(self.suspend_user),
            endpoint("DELETE", f"{one}/suspension", REINSTATE_USER)(self.reinstate_user),
            endpoint("GET", self._audit, LIST_AUDIT)(self.list_audit),
        ]

    async def list_users(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        query = Query(exchange.query, _USERS_PARAMETERS)
        wanted, beginning = query.page(), query.text("q", max_length=_Q_MAX_LENGTH)
        query.check()
        page = await self._use.list_users.execute(ListUsersQuery(actor, wanted, beginning))
        body = _encoder.encode(page)
        return representation(
            exchange, body, bytes_tag(body), (*PRIVATE, *query.next_link(self._users, page.next_cursor))
        )

    async def get_user(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange)
        refuse_parameters(exchange.query)
        user_id = UserId(path_id(exchange.params, "user_id"))
        user = await self._use.get_user.execute(GetUserQuery(actor, user_id))
        body = _encoder.encode(user.view)
        return representation(exchange, body, resource_tag(user.version, body), PRIVATE)

    async def create_user(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, CREATE_USER)
        refuse_parameters(exchange.query)
        raw = await collect(exchange)
        body = await decoded(raw, CreateUserBody)
        return await self._creations.answer(
            exchange,
            actor,
            raw,
            lambda once: self._use.create_user.execute(body.command(actor, once)),
            lambda user: _written(201, user, (b"location", f"{self._users}/{user.view.id}".encode())),
        )

    async def replace_user(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, REPLACE_USER)
        refuse_parameters(exchange.query)
        user_id = UserId(path_id(exchange.params, "user_id"))
        body = await read(exchange, ReplaceUserBody)
        if_version = await expected_version(exchange, lambda: self._version_of(actor, user_id))
        return _written(200, await self._use.replace_user.execute(body.command(actor, user_id, if_version)))

    async def delete_user(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, DELETE_USER)
        refuse_parameters(exchange.query)
        user_id = UserId(path_id(exchange.params, "user_id"))
        if_version = await expected_version(exchange, lambda: self._version_of(actor, user_id))
        await self._use.delete_user.execute(DeleteUserCommand(actor, user_id, if_version))
        return no_content()

    async def suspend_user(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, SUSPEND_USER)
        refuse_parameters(exchange.query)
        user_id = UserId(path_id(exchange.params, "user_id"))
        body = await read(exchange, SuspendUserBody)
        await self._use.suspend_user.execute(body.command(actor, user_id))
        return no_content()

    async def reinstate_user(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, REINSTATE_USER)
        refuse_parameters(exchange.query)
        user_id = UserId(path_id(exchange.params, "user_id"))
        await self._use.reinstate_user.execute(ReinstateUserCommand(actor, user_id))
        return no_content()

    async def list_audit(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, LIST_AUDIT)
        query = Query(exchange.query, _AUDIT_PARAMETERS)
        wanted, user = query.page(), query.id("user")
        query.check()
        page = await self._use.list_audit.execute(ListAuditQuery(actor, wanted, None if user is None else UserId(user)))
        body = _encoder.encode(page)
        return representation(
            exchange, body, bytes_tag(body), (*PRIVATE, *query.next_link(self._audit, page.next_cursor))
        )

    async def _version_of(self, actor: Actor, user_id: UserId) -> int:
        return (await self._use.get_user.execute(GetUserQuery(actor, user_id))).version


def _written(status: int, user: Versioned[UserView], *headers: tuple[bytes, bytes]) -> Response:
    """Answer a write with the account as it is now, and the validator to decide the next one on."""
    encoded = _encoder.encode(user.view)
    tag = resource_tag(user.version, encoded)
    return Response(status, encoded, (JSON_TYPE, *PRIVATE, (b"etag", tag.encode()), *headers))
