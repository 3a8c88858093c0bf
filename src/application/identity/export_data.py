"""Taking one's data along."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from application.identity.audit import AuditEntry, AuditOnlyEvent
from application.identity.credentials import ApiKeyReader
from application.identity.ports import AccountReader, AuditReader, IdentityUnits, SessionReader
from application.identity.views import totp_state_view
from application.shared.clock import Clock
from application.shared.export import ExportSource
from application.shared.paging import MAX_LIMIT
from domain.identity.errors import InvalidToken
from domain.shared.actor import Actor
from domain.shared.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class ExportDataQuery:
    actor: Actor


@dataclass(frozen=True, slots=True)
class Export:
    """The members of the document, in order, each to be read as far as it is written."""

    user_id: UserId
    sources: Sequence[ExportSource]
    begin: Callable[[], Awaitable[None]]
    """Leaves a trace of it. To be called once it is certain that it is sent, and before anything of it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportData:
    """Export everything that is held on the caller as one JSON document: account, second factor, sessions, API keys,
    posts, votes, orders, audit trail.

    It is written as it is read, so its size is not bounded and not known before. Each list is read page by page: what
    is written meanwhile may or may not be in it.
    """

    uow: IdentityUnits
    accounts: AccountReader
    sources: Sequence[ExportSource]
    clock: Clock

    async def execute(self, query: ExportDataQuery) -> Export:
        user_id = query.actor.user_id
        if await self.accounts.account(user_id) is None:
            raise InvalidToken  # It speaks for an account that is gone.
        return Export(user_id, self.sources, lambda: self._record(user_id))

    async def _record(self, user_id: UserId) -> None:
        async with self.uow() as uow:
            entry = AuditEntry(event=AuditOnlyEvent.DATA_EXPORTED, at=self.clock.now(), actor=user_id, subject=user_id)
            await uow.audit.record(entry)
            await uow.commit()


class AccountExport(ExportSource):
    name = "account"
    is_list = False

    def __init__(self, accounts: AccountReader) -> None:
        self._accounts = accounts

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        account = await self._accounts.account(user_id)
        if account is None:
            raise InvalidToken
        yield [account.view]


class SessionsExport(ExportSource):
    """All sessions that are still stored, the closed ones too."""

    name = "sessions"
    is_list = True

    def __init__(self, sessions: SessionReader) -> None:
        self._sessions = sessions

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        before: SessionId | None = None
        more = True
        while more:
            found = await self._sessions.stored(user_id, limit=MAX_LIMIT, before=before)
            yield found.items
            more = found.more
            before = SessionId(UUID(found.items[-1].id)) if more else None


class ApiKeysExport(ExportSource):
    """What is held of API keys: all but the keys, of which only hashes are."""

    name = "api_keys"
    is_list = True

    def __init__(self, api_keys: ApiKeyReader) -> None:
        self._api_keys = api_keys

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        yield await self._api_keys.of_user(user_id)  # `API_KEYS_PER_USER` at the most: one batch.


class SecondFactorExport(ExportSource):
    """Whether there is a second factor; its secret is of no use to anybody but the authenticator app."""

    name = "second_factor"
    is_list = False

    def __init__(self, uow: IdentityUnits) -> None:
        self._uow = uow

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        async with self._uow() as uow:
            factor = await uow.second_factors.find(user_id)
        yield [totp_state_view(factor)]


class AuditExport(ExportSource):
    """What the person did, and what was done to them."""

    name = "audit"
    is_list = True

    def __init__(self, audit: AuditReader) -> None:
        self._audit = audit

    async def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        before: UUID | None = None
        more = True
        while more:
            found = await self._audit.newest(limit=MAX_LIMIT, before=before, involving=user_id)
            yield found.items
            more = found.more
            before = UUID(found.items[-1].id) if more else None
