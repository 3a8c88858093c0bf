"""How events are written, in the very transaction that commits what they tell of: one INSERT, whatever their number.

Where many write at once, they go to the outbox, in the order of a number that is drawn before the commit, and get
their positions later (`events.log`). SQLite's writers stand in one line, so there the row's own number is the position.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Insert, insert

from adapters.sql.dialects.base import Dialect
from adapters.sql.tables import EventLogRow, OutboxRow, table_of
from adapters.sql.transaction import CommitParticipant, Transaction
from application.events.catalogue import logged
from domain.shared.events import DomainEvent

SHARDS: Final = 64
"""Into so many parts relays divide the work: more than there will be relays, and few enough to look at all of them."""

# `inline`: nobody asks which number a row got, which PostgreSQL would have to send back.
_TO_OUTBOX = insert(table_of(OutboxRow)).inline()
_TO_LOG = insert(table_of(EventLogRow)).inline()


def shard_of(subject: UUID) -> int:
    """Return the shard of an aggregate, from the random end of its id."""
    return subject.int % SHARDS


def statement_for(dialect: Dialect) -> Insert:
    return _TO_LOG if dialect.single_writer else _TO_OUTBOX


def rows_for(
    dialect: Dialect, events: Sequence[DomainEvent], new_id: Callable[[datetime], UUID]
) -> list[dict[str, Any]]:
    """Return what `statement_for` stores of these events, in their order; nothing for those that stay in the house."""
    rows: list[dict[str, Any]] = []
    for event in events:
        told = logged(event, id=new_id(event.at))
        if told is None:
            continue
        row: dict[str, Any] = {
            "event_id": told.id,
            "type": told.type,
            "version": told.version,
            "subject": told.subject,
            "shard": shard_of(told.subject),
            "owner_id": told.owner_id,
            "public": told.public,
            "time": told.time,
            "data": told.data,
        }
        # NULL makes SQLite take the next number.
        rows.append({"position": None, **row} if dialect.single_writer else row)
    return rows


class OutboxWriter(CommitParticipant):
    """Writes the events that leave the house."""

    def __init__(self, new_id: Callable[[datetime], UUID]) -> None:
        self._new_id = new_id

    async def before_commit(self, transaction: Transaction, events: Sequence[DomainEvent]) -> None:
        rows = rows_for(transaction.dialect, events, self._new_id)
        statement = statement_for(transaction.dialect)
        if len(rows) == 1:
            await transaction.enqueue(statement, rows[0])
        else:
            await transaction.run_many(statement, rows)
