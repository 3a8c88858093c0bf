"""The audit trail in a table that nothing in the program updates or deletes from."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, bindparam, insert, select, type_coerce, union

from adapters.sql.database import AnyRow, Database
from adapters.sql.keyset import ROWS, newest_first, page_parameters
from adapters.sql.tables import AuditRow, table_of
from adapters.sql.transaction import CommitParticipant, Transaction
from adapters.sql.types import Id, IdText, TimestampText
from application.identity.audit import AuditEntry, AuditRecord, Recorder
from application.identity.ports import AuditReader, AuditSlice, AuditTrail
from application.identity.views import AuditEntryView
from domain.shared.events import DomainEvent
from domain.shared.ids import UserId

_AUDIT = table_of(AuditRow)
_INSERT = insert(_AUDIT)

_ENTRIES: Select[*tuple[Any, ...]] = select(
    type_coerce(_AUDIT.c.id, IdText),
    type_coerce(_AUDIT.c.at, TimestampText),
    _AUDIT.c.event,
    type_coerce(_AUDIT.c.actor_id, IdText).label("actor"),
    type_coerce(_AUDIT.c.subject_id, IdText).label("subject"),
    _AUDIT.c.address,
    _AUDIT.c.user_agent,
    _AUDIT.c.request_id,
    _AUDIT.c.details,
)
_NEWEST = newest_first(_ENTRIES, _AUDIT.c.id)


def _of(column: str) -> Select[Any]:
    """Select the ids of a page of entries by one of the indexes; nested, since SQLite sorts only a whole union."""
    page = select(_AUDIT.c.id).where(_AUDIT.c[column] == bindparam("involving", type_=Id))
    return select(newest_first(page, _AUDIT.c.id).subquery().c.id)


# Two ranges of two indexes, each no longer than a page: with OR, a database would read all that somebody ever did.
_EITHER = union(_of("actor_id"), _of("subject_id")).subquery()
_INVOLVING = _ENTRIES.join(_EITHER, _EITHER.c.id == _AUDIT.c.id).order_by(_AUDIT.c.id.desc()).limit(ROWS)

_decode = msgspec.json.Decoder(dict[str, str]).decode


class SqlAuditTrail(AuditTrail):
    def __init__(self, transaction: Transaction, recorder: Recorder) -> None:
        self._transaction = transaction
        self._recorder = recorder

    async def record(self, entry: AuditEntry) -> None:
        await self._transaction.enqueue(_INSERT, _values(self._recorder.record(entry)))


class AuditWriter(CommitParticipant):
    """Adds what the trail says of events."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def before_commit(self, transaction: Transaction, events: Sequence[DomainEvent]) -> None:
        for record in self._recorder.records_of(events):
            await transaction.enqueue(_INSERT, _values(record))


class SqlAuditReader(AuditReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, *, limit: int, before: UUID | None, involving: UserId | None) -> AuditSlice:
        parameters = page_parameters(limit, before)
        if involving is None:
            rows = await self._database.fetch_all(_NEWEST, parameters)
        else:
            rows = await self._database.fetch_all(_INVOLVING, {**parameters, "involving": involving})
        return AuditSlice([_view(row) for row in rows[:limit]], more=len(rows) > limit)


def _values(record: AuditRecord) -> dict[str, Any]:
    entry, origin = record.entry, record.origin
    return {
        "id": record.id,
        "at": entry.at,
        "event": entry.event,
        "actor_id": entry.actor,
        "subject_id": entry.subject,
        "address": origin.address,
        "user_agent": origin.user_agent,
        "request_id": origin.request_id,
        "details": msgspec.json.encode(entry.details).decode(),
    }


def _view(row: AnyRow) -> AuditEntryView:
    return AuditEntryView(**{**row._asdict(), "details": _decode(row.details)})
