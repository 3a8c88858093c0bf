"""The audit trail in memory."""

from collections.abc import Iterator
from uuid import UUID

from adapters.memory.store import MemoryStore, Transaction
from application.identity.audit import AuditEntry, AuditRecord, Recorder
from application.identity.ports import AuditReader, AuditSlice, AuditTrail
from application.identity.views import AuditEntryView
from application.shared.views import timestamp
from domain.shared.ids import UserId


class MemoryAuditTrail(AuditTrail):
    def __init__(self, transaction: Transaction, recorder: Recorder) -> None:
        self._transaction = transaction
        self._recorder = recorder

    async def record(self, entry: AuditEntry) -> None:
        await self._transaction.lock()
        self._transaction.record(self._recorder.record(entry))


class MemoryAuditReader(AuditReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def newest(self, *, limit: int, before: UUID | None, involving: UserId | None) -> AuditSlice:
        items: list[AuditEntryView] = []
        for record in self._matching(before, involving):
            if len(items) == limit:
                return AuditSlice(items, more=True)
            items.append(_view(record))
        return AuditSlice(items, more=False)

    def _matching(self, before: UUID | None, involving: UserId | None) -> Iterator[AuditRecord]:
        for record in reversed(self._store.audit):
            entry = record.entry
            if (before is None or record.id < before) and involving in (None, entry.actor, entry.subject):
                yield record


def _view(record: AuditRecord) -> AuditEntryView:
    entry, origin = record.entry, record.origin
    return AuditEntryView(
        id=str(record.id),
        at=timestamp(entry.at),
        event=entry.event,
        actor=None if entry.actor is None else str(entry.actor),
        subject=None if entry.subject is None else str(entry.subject),
        address=origin.address,
        user_agent=origin.user_agent,
        request_id=origin.request_id,
        details=dict(entry.details),
    )
