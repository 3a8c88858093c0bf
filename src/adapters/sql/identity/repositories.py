"""Accounts and sessions in a database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Integer, bindparam, delete, insert, select, type_coerce, update

from adapters.sql.database import AnyRow, Database
from adapters.sql.errors import ConstraintErrors
from adapters.sql.mapping import session_from, session_values, user_from, user_values
from adapters.sql.tables import SessionRow, UserRow, table_of
from adapters.sql.transaction import SqlRepository, Track, Transaction
from adapters.sql.types import IdText, Timestamp, TimestampText
from application.identity.ports import (
    AccountReader,
    Credentials,
    CredentialsReader,
    RoleAndStatus,
    SessionRepository,
    UserRepository,
)
from application.identity.views import AccountView
from application.shared.views import Versioned
from domain.identity.errors import EmailTaken, SessionNotFound, UsernameTaken, UserNotFound
from domain.identity.session import Session
from domain.identity.user import User
from domain.identity.values import EmailAddress, Username, UserStatus
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId

_USERS = table_of(UserRow)
_SESSIONS = table_of(SessionRow)

_UNIQUE: ConstraintErrors = {"uq_users_email_key": EmailTaken, "uq_users_username_key": UsernameTaken}
_OF_A_USER: ConstraintErrors = {"fk_sessions_user_id_users": UserNotFound}

_LOAD_USER = select(_USERS).where(_USERS.c.id == bindparam("at_id")).with_for_update()
_STANDING = select(_USERS.c.role, _USERS.c.status).where(_USERS.c.id == bindparam("at_id"))
_INSERT_USER = insert(_USERS)
_UPDATE_USER = update(_USERS).where(_USERS.c.id == bindparam("at_id"), _USERS.c.version == bindparam("at_version"))

_DELETE_USER = delete(_USERS).where(_USERS.c.id == bindparam("at_id"), _USERS.c.version == bindparam("at_version"))
_LOCK_ACTIVE_ADMINS = (
    select(_USERS.c.id)
    .where(_USERS.c.role == Role.ADMIN.value, _USERS.c.status == UserStatus.ACTIVE.value)
    .order_by(_USERS.c.id)
    .with_for_update()
)

_AT_ONCE = 1_000
"""Sessions that one log-in closes at the most: an account may have had more before there was a maximum."""
_LOAD_SESSION = select(_SESSIONS).where(_SESSIONS.c.id == bindparam("at_id")).with_for_update()
_LOAD_LIVE_SESSIONS = (
    select(_SESSIONS)
    .where(
        _SESSIONS.c.user_id == bindparam("of_user"),
        _SESSIONS.c.revoked_at.is_(None),
        _SESSIONS.c.expires_at > bindparam("at", type_=Timestamp),
    )
    .order_by(_SESSIONS.c.created_at, _SESSIONS.c.id)
    .with_for_update()
)
# Without a lock: the sessions that stay are nobody's business, and those that go are loaded and locked by themselves.
_SESSIONS_BEYOND = (
    select(_SESSIONS.c.id)
    .where(
        _SESSIONS.c.user_id == bindparam("of_user"),
        _SESSIONS.c.revoked_at.is_(None),
        _SESSIONS.c.expires_at > bindparam("at", type_=Timestamp),
    )
    .order_by(_SESSIONS.c.created_at.desc(), _SESSIONS.c.id.desc())
    .limit(_AT_ONCE)
    .offset(bindparam("keep", type_=Integer))
)
_INSERT_SESSION = insert(_SESSIONS)
_UPDATE_SESSION = update(_SESSIONS).where(
    _SESSIONS.c.id == bindparam("at_id"), _SESSIONS.c.version == bindparam("at_version")
)
_NOTE_USE = (
    update(_SESSIONS)
    .where(
        _SESSIONS.c.id == bindparam("at_id"),
        _SESSIONS.c.generation == bindparam("at_generation"),
        _SESSIONS.c.used_generation.is_(None),
    )
    .values(used_generation=_SESSIONS.c.generation)
)

_CREDENTIALS = select(
    _USERS.c.id,
    _USERS.c.email,
    _USERS.c.email_key,
    _USERS.c.username,
    _USERS.c.username_key,
    _USERS.c.password_hash,
    _USERS.c.status,
)
_CREDENTIALS_BY_EMAIL = _CREDENTIALS.where(_USERS.c.email_key == bindparam("key"))
_CREDENTIALS_BY_ID = _CREDENTIALS.where(_USERS.c.id == bindparam("at_id"))

_ACCOUNT = select(
    type_coerce(_USERS.c.id, IdText),
    _USERS.c.email,
    _USERS.c.email_verified,
    _USERS.c.username,
    _USERS.c.name,
    _USERS.c.phone,
    _USERS.c.role,
    type_coerce(_USERS.c.created_at, TimestampText),
    type_coerce(_USERS.c.updated_at, TimestampText),
    _USERS.c.version,
).where(_USERS.c.id == bindparam("at_id"))


class AccountRemoval(Protocol):
    """Takes away what one context holds of an account that is about to go, as far as its foreign keys do not.

    What is the account's own goes by ON DELETE CASCADE. A table whose rows outlive the account (orders) refers to it by
    a column that ON DELETE SET NULL empties.
    """

    async def __call__(self, transaction: Transaction, user_id: UserId, /, *, at: datetime) -> None: ...


class SqlUserRepository(SqlRepository, UserRepository):
    def __init__(self, transaction: Transaction, track: Track, removals: Sequence[AccountRemoval]) -> None:
        super().__init__(transaction, track)
        self._removals = removals

    async def add(self, user: User) -> None:
        await self._transaction.enqueue(_INSERT_USER, {**user_values(user), "version": user.version}, _UNIQUE)
        self._track(user)

    async def get(self, user_id: UserId) -> User:
        row = (await self._transaction.run(_LOAD_USER, {"at_id": user_id})).one_or_none()
        if row is None:
            raise UserNotFound
        return user_from(row)

    async def save(self, user: User) -> None:
        changes = {**user_values(user), "version": user.version + 1, "at_id": user.id, "at_version": user.version}
        await self._transaction.run_guarded(_UPDATE_USER, changes, _UNIQUE)
        user.version += 1
        self._track(user)

    async def role_and_status(self, user_id: UserId) -> RoleAndStatus | None:
        row = (await self._transaction.run(_STANDING, {"at_id": user_id})).one_or_none()
        return None if row is None else RoleAndStatus(Role(row.role), UserStatus(row.status))

    async def lock_active_admins(self) -> list[UserId]:
        return [UserId(row.id) for row in (await self._transaction.run(_LOCK_ACTIVE_ADMINS, {})).rows]

    async def remove(self, user: User, *, at: datetime) -> None:
        # No vote, no post and no order of theirs comes or goes from here on: a new one would need the user's row, which
        # was locked when it was loaded, and those that are there are locked now. So what is taken back is exactly what
        # is deleted.
        for remove in self._removals:
            await remove(self._transaction, user.id, at=at)
        await self._transaction.run_guarded(_DELETE_USER, {"at_id": user.id, "at_version": user.version})
        self._track(user)


class SqlSessionRepository(SqlRepository, SessionRepository):
    async def add(self, session: Session) -> None:
        values = {**session_values(session), "version": session.version}
        await self._transaction.enqueue(_INSERT_SESSION, values, _OF_A_USER)
        self._track(session)

    async def get(self, session_id: SessionId) -> Session:
        row = (await self._transaction.run(_LOAD_SESSION, {"at_id": session_id})).one_or_none()
        if row is None:
            raise SessionNotFound
        return session_from(row)

    async def save(self, session: Session) -> None:
        moved = {"version": session.version + 1, "at_id": session.id, "at_version": session.version}
        await self._transaction.run_guarded(_UPDATE_SESSION, {**session_values(session), **moved})
        session.version += 1
        self._track(session)

    async def list_live(self, user_id: UserId, *, at: datetime) -> list[Session]:
        found = await self._transaction.run(_LOAD_LIVE_SESSIONS, {"of_user": user_id, "at": at})
        return [session_from(row) for row in found.rows]

    async def oldest_beyond(self, user_id: UserId, *, keep: int, at: datetime) -> list[Session]:
        found = await self._transaction.run(_SESSIONS_BEYOND, {"of_user": user_id, "at": at, "keep": keep})
        return [await self.get(SessionId(row.id)) for row in found.rows]

    async def note_use(self, session_id: SessionId, generation: int) -> None:
        await self._transaction.run(_NOTE_USE, {"at_id": session_id, "at_generation": generation})


class SqlCredentialsReader(CredentialsReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_email(self, email_key: str) -> Credentials | None:
        return _credentials(await self._database.fetch_one(_CREDENTIALS_BY_EMAIL, {"key": email_key}, on_loop=True))

    async def by_id(self, user_id: UserId) -> Credentials | None:
        return _credentials(await self._database.fetch_one(_CREDENTIALS_BY_ID, {"at_id": user_id}, on_loop=True))


class SqlAccountReader(AccountReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, user_id: UserId) -> Versioned[AccountView] | None:
        row = await self._database.fetch_one(_ACCOUNT, {"at_id": user_id}, on_loop=True)
        if row is None:
            return None
        view = AccountView(
            id=row.id,
            email=row.email,
            email_verified=row.email_verified,
            username=row.username,
            name=row.name,
            phone=row.phone,
            role=Role(row.role),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        return Versioned(view, row.version)


def _credentials(row: AnyRow | None) -> Credentials | None:
    if row is None:
        return None
    return Credentials(
        user_id=row.id,
        email=EmailAddress(row.email, row.email_key),
        username=Username(row.username, row.username_key),
        password_hash=row.password_hash,
        is_active=UserStatus(row.status) is UserStatus.ACTIVE,
    )
