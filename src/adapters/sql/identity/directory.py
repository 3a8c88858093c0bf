"""Accounts and sessions in a database, as they are listed."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, or_, select, type_coerce

from adapters.sql.database import AnyRow, Database
from adapters.sql.keyset import newest_first, page_parameters
from adapters.sql.tables import NAME_KEY_LENGTH, SessionRow, UserRow, table_of
from adapters.sql.types import IdText, Timestamp, TimestampText
from application.identity.ports import SessionReader, SessionSlice, UserReader, UserSlice
from application.identity.views import SessionView, UserView
from application.shared.views import Versioned
from domain.identity.values import UserStatus
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from domain.shared.text import identifier_key

_USERS = table_of(UserRow)
_SESSIONS = table_of(SessionRow)

_LAST_CHARACTER = "\U0010ffff"
"""A noncharacter, so no key holds it, and no character is above it: not in UTF-8 either, byte by byte."""

_ACCOUNTS: Select[*tuple[Any, ...]] = select(
    type_coerce(_USERS.c.id, IdText),
    _USERS.c.username,
    _USERS.c.name,
    type_coerce(_USERS.c.created_at, TimestampText),
    _USERS.c.version,
    _USERS.c.email,
    _USERS.c.email_verified,
    _USERS.c.phone,
    _USERS.c.role,
    _USERS.c.status,
    type_coerce(_USERS.c.updated_at, TimestampText),
)
_ONE = _ACCOUNTS.where(_USERS.c.id == bindparam("at_id"))
_NEWEST = newest_first(_ACCOUNTS, _USERS.c.id)


def _begins(column: ColumnElement[Any], prefix: str = "prefix") -> ColumnElement[bool]:
    # A range, not LIKE: on a binary column PostgreSQL has none, and a prefix may hold a wildcard.
    return column.between(bindparam(prefix, type_=column.type), bindparam(f"{prefix}_end", type_=column.type))


_NAMED = (_begins(_USERS.c.username_key, "handle"), _begins(_USERS.c.name_key))
_BEGINNING = _NEWEST.where(or_(*_NAMED))
_BEGINNING_FULL = _NEWEST.where(or_(*_NAMED, _begins(_USERS.c.email_key)))

_OF_USER: Select[*tuple[Any, ...]] = newest_first(
    select(
        type_coerce(_SESSIONS.c.id, IdText),
        type_coerce(_SESSIONS.c.created_at, TimestampText),
        type_coerce(_SESSIONS.c.last_used_at, TimestampText),
        type_coerce(_SESSIONS.c.expires_at, TimestampText),
        _SESSIONS.c.user_agent,
        _SESSIONS.c.address,
    ).where(_SESSIONS.c.user_id == bindparam("of_user")),
    _SESSIONS.c.id,
)
_STORED = _OF_USER.add_columns(type_coerce(_SESSIONS.c.revoked_at, TimestampText))
_LIVE = _OF_USER.where(_SESSIONS.c.revoked_at.is_(None), _SESSIONS.c.expires_at > bindparam("at", type_=Timestamp))


class SqlUserReader(UserReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, user_id: UserId, *, full: bool) -> Versioned[UserView] | None:
        row = await self._database.fetch_one(_ONE, {"at_id": user_id}, on_loop=True)
        return None if row is None else Versioned(_user_view(row, full=full), row.version)

    async def newest(self, *, limit: int, before: UserId | None, prefix: str | None, full: bool) -> UserSlice:
        parameters = page_parameters(limit, before)
        statement = _NEWEST
        if prefix is not None:
            prefix = prefix[:NAME_KEY_LENGTH]
            handle = identifier_key(prefix) or prefix  # Usernames are without joiners.
            parameters |= {"prefix": prefix, "prefix_end": prefix + _LAST_CHARACTER}
            parameters |= {"handle": handle, "handle_end": handle + _LAST_CHARACTER}
            statement = _BEGINNING_FULL if full else _BEGINNING
        rows = await self._database.fetch_all(statement, parameters)
        return UserSlice([_user_view(row, full=full) for row in rows[:limit]], more=len(rows) > limit)


class SqlSessionReader(SessionReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def live(
        self, user_id: UserId, *, at: datetime, current: SessionId, limit: int, before: SessionId | None
    ) -> SessionSlice:
        parameters = {**page_parameters(limit, before), "of_user": user_id, "at": at}
        rows = await self._database.fetch_all(_LIVE, parameters)
        present = str(current)
        items = [SessionView(**row._asdict(), current=row.id == present) for row in rows[:limit]]
        return SessionSlice(items, more=len(rows) > limit)

    async def stored(self, user_id: UserId, *, limit: int, before: SessionId | None) -> SessionSlice:
        parameters = {**page_parameters(limit, before), "of_user": user_id}
        rows = await self._database.fetch_all(_STORED, parameters)
        return SessionSlice([SessionView(**row._asdict()) for row in rows[:limit]], more=len(rows) > limit)


def _user_view(row: AnyRow, *, full: bool) -> UserView:
    if not full:
        return UserView(id=row.id, username=row.username, name=row.name, created_at=row.created_at)
    return UserView(
        id=row.id,
        email=row.email,
        email_verified=row.email_verified,
        username=row.username,
        name=row.name,
        phone=row.phone,
        role=Role(row.role),
        status=UserStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
