"""The event log in tables.

Positions are given by one process at a time, to what is visible by then, in a transaction that holds the lock of one
row: whoever gives the next ones begins after it has committed. So a position is never below one that was visible
before it, whatever the order in which transactions drew their numbers in the outbox, and committed.

Within the outbox, numbers of one aggregate are in the order of its changes: who changes it holds its lock until the
commit, so the next one draws its number after that. That holds as long as one server gives the numbers; with several
that write (Galera with several masters), send the writes to one of them.
"""

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select

from adapters.sql.database import Database
from adapters.sql.tables import EventLogRow, EventSequencerRow, OutboxRow, table_of
from adapters.sql.transaction import Transaction
from application.shared.event_log import EventLog, LoggedEvent
from domain.shared.ids import UserId

_OUTBOX = table_of(OutboxRow)
_LOG = table_of(EventLogRow)
_SEQUENCER = table_of(EventSequencerRow)

_ROW = 1
_LOCK = select(_SEQUENCER.c.id).where(_SEQUENCER.c.id == _ROW).with_for_update()
_WAITING = select(_OUTBOX.c.id).limit(1)
_NEXT = select(_OUTBOX.c.id).order_by(_OUTBOX.c.id).limit(bindparam("rows"))
_HEAD = select(func.coalesce(func.max(_LOG.c.position), 0).label("position"))
_TAIL = select(func.coalesce(func.min(_LOG.c.position) - 1, 0).label("position"))
_THESE = _OUTBOX.c.id.in_(bindparam("ids", expanding=True))
_COPIED = ("event_id", "type", "version", "subject", "shard", "owner_id", "public", "time", "data")
# By id and not by range: a statement sees what was committed while the one before it ran.
_NUMBER = insert(_LOG).from_select(
    ["position", *_COPIED],
    select(
        bindparam("head", type_=_LOG.c.position.type) + func.row_number().over(order_by=_OUTBOX.c.id),
        *(_OUTBOX.c[name] for name in _COPIED),
    ).where(_THESE),
)
_CLEAR = delete(_OUTBOX).where(_THESE)
_CLEAR_ONE = delete(_OUTBOX).where(_OUTBOX.c.id == bindparam("at_id"))

EVENT_COLUMNS = (
    _LOG.c.position,
    _LOG.c.event_id,
    _LOG.c.type,
    _LOG.c.version,
    _LOG.c.subject,
    _LOG.c.owner_id,
    _LOG.c.public,
    _LOG.c.time,
    _LOG.c.data,
)
_READ = (
    select(*EVENT_COLUMNS)
    .where(_LOG.c.position > bindparam("after"))
    .order_by(_LOG.c.position)
    .limit(bindparam("rows"))
)


class SqlEventLog(EventLog):
    """Settling costs nothing but one look at an empty table while there is nothing to settle."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._positions_with_commit = database.dialect.single_writer

    async def assign_positions(self, *, limit: int = 1000) -> int:
        if self._positions_with_commit or await self._database.fetch_one(_WAITING, {}) is None:
            return 0
        async with Transaction(self._database) as transaction:
            await self._take_turn(transaction)
            ids = (await transaction.run(_NEXT, {"rows": limit})).scalars()
            if ids:
                head = (await transaction.run(_HEAD, {})).scalar()
                await transaction.run(_NUMBER, {"head": head, "ids": ids})
                await self._clear(transaction, ids)
                await transaction.commit()
        return len(ids)

    async def read(self, *, after: int, limit: int) -> list[LoggedEvent]:
        # Events hold no texts, only what they are of: 200 of them are some 60 KB, along one index.
        rows = await self._database.fetch_all(_READ, {"after": after, "rows": limit}, on_loop=True)
        return [event_from(row) for row in rows]

    async def head(self) -> int:
        return await self._number(_HEAD)

    async def position_before_oldest(self) -> int:
        return await self._number(_TAIL)

    async def _number(self, statement: Any) -> int:
        row = await self._database.fetch_one(statement, {}, on_loop=True)  # an end of the primary key
        return 0 if row is None else int(row.position)

    async def _clear(self, transaction: Transaction, ids: list[int]) -> None:
        if transaction.dialect.name != "mysql":
            await transaction.run(_CLEAR, {"ids": ids})
            return
        # A list is looked for by reading all of a table, if it is most of it, and InnoDB then waits for every locked
        # row on its way: those of transactions that are not through, for as long as they take. FORCE INDEX reads all
        # of the index instead. By its key, a row is met alone.
        await transaction.run_many(_CLEAR_ONE, [{"at_id": id_} for id_ in ids])

    async def _take_turn(self, transaction: Transaction) -> None:
        while (await transaction.run(_LOCK, {})).one_or_none() is None:
            await transaction.run(transaction.dialect.insert_or_keep(_SEQUENCER), {"id": _ROW})


def event_from(row: Any) -> LoggedEvent:
    """Return the event that a row with `EVENT_COLUMNS` holds."""
    return LoggedEvent(
        position=row.position,
        id=row.event_id,
        type=row.type,
        version=row.version,
        subject=row.subject,
        owner_id=None if row.owner_id is None else UserId(row.owner_id),
        public=bool(row.public),
        time=row.time,
        data=row.data,
    )
