"""Accounts and sessions in memory, as they are listed."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from adapters.memory.store import MemoryStore
from application.identity.ports import SessionReader, SessionSlice, UserReader, UserSlice
from application.identity.views import SessionView, UserView, user_view
from application.shared.views import Versioned, timestamp
from domain.identity.session import Session
from domain.identity.user import User
from domain.shared.ids import SessionId, UserId
from domain.shared.text import canonical_key, identifier_key

T = TypeVar("T", User, Session)


class MemoryUserReader(UserReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def find(self, user_id: UserId, *, full: bool) -> Versioned[UserView] | None:
        user = self._store.users.get(user_id)
        return None if user is None else Versioned(user_view(user, full=full), user.version)

    async def newest(self, *, limit: int, before: UserId | None, prefix: str | None, full: bool) -> UserSlice:
        matching = (user for user in self._store.users.values() if _begins(user, prefix, full=full))
        users, more = _newest(matching, limit, before)
        return UserSlice([user_view(user, full=full) for user in users], more)


class MemorySessionReader(SessionReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def live(
        self, user_id: UserId, *, at: datetime, current: SessionId, limit: int, before: SessionId | None
    ) -> SessionSlice:
        live = (s for s in self._store.sessions.values() if s.user_id == user_id and s.is_live(at))
        sessions, more = _newest(live, limit, before)
        return SessionSlice([_live_view(session, current) for session in sessions], more)

    async def stored(self, user_id: UserId, *, limit: int, before: SessionId | None) -> SessionSlice:
        theirs = (s for s in self._store.sessions.values() if s.user_id == user_id)
        sessions, more = _newest(theirs, limit, before)
        return SessionSlice([_stored_view(session) for session in sessions], more)


def _begins(user: User, prefix: str | None, *, full: bool) -> bool:
    if prefix is None:
        return True
    keys = [canonical_key(user.name.value) if user.name else "", user.email.key if full else ""]
    # Usernames are without joiners.
    return user.username.key.startswith(identifier_key(prefix) or prefix) or any(key.startswith(prefix) for key in keys)


def _newest(items: Iterable[T], limit: int, before: UserId | SessionId | None) -> tuple[list[T], bool]:
    """Return a page, newest first, and whether there is more after it."""
    older = sorted((i for i in items if before is None or i.id < before), key=lambda i: i.id, reverse=True)
    return older[:limit], len(older) > limit


def _live_view(session: Session, current: SessionId) -> SessionView:
    return SessionView(
        id=str(session.id),
        created_at=timestamp(session.created_at),
        last_used_at=timestamp(session.last_used_at),
        expires_at=timestamp(session.expires_at),
        user_agent=session.device.user_agent,
        address=session.device.address,
        current=session.id == current,
    )


def _stored_view(session: Session) -> SessionView:
    return SessionView(
        id=str(session.id),
        created_at=timestamp(session.created_at),
        last_used_at=timestamp(session.last_used_at),
        expires_at=timestamp(session.expires_at),
        user_agent=session.device.user_agent,
        address=session.device.address,
        revoked_at=None if session.revoked_at is None else timestamp(session.revoked_at),
    )
