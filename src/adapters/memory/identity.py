"""Accounts and sessions in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from adapters.memory.store import MemoryStore, Transaction, copy_of
from application.identity.ports import (
    AccountReader,
    Credentials,
    CredentialsReader,
    RoleAndStatus,
    SessionRepository,
    UserRepository,
)
from application.identity.views import AccountView, account_view
from application.shared.errors import VersionConflict
from application.shared.views import Versioned
from domain.identity.errors import EmailTaken, SessionNotFound, UsernameTaken, UserNotFound
from domain.identity.session import Session
from domain.identity.user import User
from domain.shared.ids import SessionId, UserId


class AccountRemoval(Protocol):
    """Takes away what one context holds of an account that is about to go, as contexts and foreign keys of SQL do."""

    def __call__(self, transaction: Transaction, user_id: UserId, /, *, at: datetime) -> None: ...


class MemoryUserRepository(UserRepository):
    def __init__(self, transaction: Transaction, removals: Sequence[AccountRemoval]) -> None:
        self._transaction = transaction
        self._removals = removals

    async def add(self, user: User) -> None:
        await self._transaction.lock()
        if self._transaction.users.get(user.id) is not None:
            raise ValueError(f"there is a user {user.id} already")
        self._claim_keys(user)
        self._store(user)

    async def get(self, user_id: UserId) -> User:
        await self._transaction.lock()
        user = self._transaction.users.get(user_id)
        if user is None:
            raise UserNotFound
        return copy_of(user)

    async def save(self, user: User) -> None:
        await self._transaction.lock()
        stored = self._transaction.users.get(user.id)
        if stored is None or stored.version != user.version:
            raise VersionConflict
        self._claim_keys(user)
        if stored.email.key != user.email.key:
            self._transaction.emails.remove(stored.email.key)
        if stored.username.key != user.username.key:
            self._transaction.usernames.remove(stored.username.key)
        user.version += 1
        self._store(user)

    async def role_and_status(self, user_id: UserId) -> RoleAndStatus | None:
        user = self._transaction.users.get(user_id)
        return None if user is None else RoleAndStatus(user.role, user.status)

    async def lock_active_admins(self) -> list[UserId]:
        await self._transaction.lock()
        return sorted(user.id for user in self._transaction.users.values() if user.is_active_admin)

    async def remove(self, user: User, *, at: datetime) -> None:
        await self._transaction.lock()
        stored = self._transaction.users.get(user.id)
        if stored is None or stored.version != user.version:
            raise VersionConflict
        for remove in self._removals:
            remove(self._transaction, user.id, at=at)
        self._transaction.sessions.remove_where(lambda _, session: session.user_id == user.id)
        self._transaction.one_time_tokens.remove_where(lambda _, token: token.user_id == user.id)
        self._transaction.api_keys.remove_where(lambda _, key: key.user_id == user.id)
        self._transaction.second_factors.remove(user.id)
        self._transaction.emails.remove(stored.email.key)
        self._transaction.usernames.remove(stored.username.key)
        self._transaction.users.remove(user.id)
        self._transaction.track(user)

    def _claim_keys(self, user: User) -> None:
        # Both are checked before either is claimed: a refused user leaves nothing behind.
        if self._transaction.emails.get(user.email.key) not in (None, user.id):
            raise EmailTaken
        if self._transaction.usernames.get(user.username.key) not in (None, user.id):
            raise UsernameTaken
        self._transaction.emails.put(user.email.key, user.id)
        self._transaction.usernames.put(user.username.key, user.id)

    def _store(self, user: User) -> None:
        self._transaction.users.put(user.id, copy_of(user))
        self._transaction.track(user)


class MemorySessionRepository(SessionRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, session: Session) -> None:
        await self._transaction.lock()
        if self._transaction.sessions.get(session.id) is not None:
            raise ValueError(f"there is a session {session.id} already")
        if self._transaction.users.get(session.user_id) is None:
            raise UserNotFound
        self._store(session)

    async def get(self, session_id: SessionId) -> Session:
        await self._transaction.lock()
        session = self._transaction.sessions.get(session_id)
        if session is None:
            raise SessionNotFound
        return copy_of(session)

    async def save(self, session: Session) -> None:
        await self._transaction.lock()
        stored = self._transaction.sessions.get(session.id)
        if stored is None or stored.version != session.version:
            raise VersionConflict
        session.version += 1
        self._store(session)

    async def list_live(self, user_id: UserId, *, at: datetime) -> list[Session]:
        await self._transaction.lock()
        live = [s for s in self._transaction.sessions.values() if s.user_id == user_id and s.is_live(at)]
        return [copy_of(session) for session in sorted(live, key=lambda s: (s.created_at, s.id))]

    async def oldest_beyond(self, user_id: UserId, *, keep: int, at: datetime) -> list[Session]:
        live = await self.list_live(user_id, at=at)
        return live[: max(0, len(live) - keep)]

    async def note_use(self, session_id: SessionId, generation: int) -> None:
        await self._transaction.lock()
        session = self._transaction.sessions.get(session_id)
        if session is not None and session.generation == generation:
            self._transaction.sessions.put(session_id, replace(session, newest_used=True))

    def _store(self, session: Session) -> None:
        self._transaction.sessions.put(session.id, copy_of(session))
        self._transaction.track(session)


class MemoryCredentialsReader(CredentialsReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def by_email(self, email_key: str) -> Credentials | None:
        user_id = self._store.emails.get(email_key)
        return None if user_id is None else await self.by_id(user_id)

    async def by_id(self, user_id: UserId) -> Credentials | None:
        user = self._store.users.get(user_id)
        if user is None:
            return None
        return Credentials(user.id, user.email, user.username, user.password_hash, user.is_active)


class MemoryAccountReader(AccountReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def account(self, user_id: UserId) -> Versioned[AccountView] | None:
        user = self._store.users.get(user_id)
        return None if user is None else Versioned(account_view(user), user.version)
