"""What relays share out among each other, in tables.

A shard is claimed by locking its row for as long as its batch takes, with SKIP LOCKED, so that several relays each get
shards of their own, and a relay that is killed lets go at once, with its connection. On SQLite one lock is everybody's;
there a shard is leased, and the lease of a relay that is killed runs out.

Events are delivered in order of their positions within a shard, so a number per shard says what was delivered, and
nothing is written for each event. What is refused is copied to the letters and passed.
"""

import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from adapters.sql.database import Database
from adapters.sql.events.log import EVENT_COLUMNS, event_from
from adapters.sql.outbox import SHARDS, shard_of
from adapters.sql.tables import EventLogRow, OutboxRow, RelayRetryRow, RelayShardRow, table_of
from adapters.sql.transaction import Transaction, write
from adapters.sql.types import Id
from application.events.ports import (
    NOTHING,
    Claim,
    ClaimedBatch,
    Lag,
    Outcome,
    RelayLedger,
    RelayQueue,
    RetryEntry,
    first_by_subject,
)
from application.shared.errors import TransientFailure
from application.shared.event_log import LoggedEvent

_LOG = table_of(EventLogRow)
_OUTBOX = table_of(OutboxRow)
_SHARDS = table_of(RelayShardRow)
_LETTERS = table_of(RelayRetryRow)

_SHARDS_AT_ONCE: Final = 16
"""A quarter of them: four relays find work side by side, and a single one is not slowed down by claiming."""
LEASE: Final = timedelta(seconds=30)
"""On SQLite. Longer than a batch is ever worked at: ten seconds, and one publishing that hangs."""
_AT_ONCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every present: what only waits for those before it."""

_KNOWN = select(_SHARDS.c.shard)
# The newest of each shard, from the end of the index: what was delivered is not looked through.
_NEWEST = (
    select(_LOG.c.position)
    .where(_LOG.c.shard == _SHARDS.c.shard)
    .order_by(_LOG.c.position.desc())
    .limit(1)
    .scalar_subquery()
)
_BEHIND = select(_SHARDS.c.shard, _SHARDS.c.handled_to).where(_SHARDS.c.handled_to < _NEWEST)
_DUE = (
    select(_LETTERS.c.shard)
    .where(_LETTERS.c.dead.is_(False), _LETTERS.c.next_attempt_at <= bindparam("now", type_=_LETTERS.c.time.type))
    .distinct()
)
_THESE_SHARDS = _SHARDS.c.shard.in_(bindparam("shards", expanding=True))
_LOCK = select(_SHARDS.c.shard, _SHARDS.c.handled_to).where(_THESE_SHARDS).with_for_update(skip_locked=True)
_LEASE = (
    update(_SHARDS)
    .where(
        _THESE_SHARDS,
        or_(_SHARDS.c.leased_until.is_(None), _SHARDS.c.leased_until < bindparam("now", type_=_LETTERS.c.time.type)),
    )
    .values(lease_id=bindparam("mine", type_=Id), leased_until=bindparam("until", type_=_LETTERS.c.time.type))
)
_LEASED = select(_SHARDS.c.shard, _SHARDS.c.handled_to).where(_SHARDS.c.lease_id == bindparam("mine", type_=Id))
_LET_GO = (
    update(_SHARDS).where(_SHARDS.c.lease_id == bindparam("mine", type_=Id)).values(lease_id=None, leased_until=None)
)
_UNDELIVERED = (
    select(*EVENT_COLUMNS)
    .where(_LOG.c.shard == bindparam("of"), _LOG.c.position > bindparam("after"))
    .order_by(_LOG.c.position)
    .limit(bindparam("rows"))
)
_COUNT_UNDELIVERED = select(func.count(), func.min(_LOG.c.position), func.min(_LOG.c.time)).where(
    _LOG.c.shard == bindparam("of"), _LOG.c.position > bindparam("after")
)
_FIRST_UNDELIVERED = (
    select(_LOG.c.time)
    .where(_LOG.c.shard == bindparam("of"), _LOG.c.position > bindparam("after"))
    .order_by(_LOG.c.position)
    .limit(1)
)
_FIRST_OF_OUTBOX = select(_OUTBOX.c.time).order_by(_OUTBOX.c.id).limit(1)
_COUNT_OUTBOX = select(func.count(), func.min(_OUTBOX.c.time))
_COUNT_LETTERS = select(func.count(), func.min(_LETTERS.c.time)).where(_LETTERS.c.dead == bindparam("is_dead"))
_HEADS = (
    select(func.min(_LETTERS.c.position).label("position"))
    .where(_LETTERS.c.dead.is_(False), _LETTERS.c.shard.in_(bindparam("shards", expanding=True)))
    .group_by(_LETTERS.c.subject)
)
_LETTER_COLUMNS = (
    *(_LETTERS.c[column.name] for column in EVENT_COLUMNS),
    _LETTERS.c.dead,
    _LETTERS.c.attempts,
    _LETTERS.c.next_attempt_at,
    _LETTERS.c.error,
)
_FIRST_LETTERS = select(_LETTERS.c.subject, _LETTERS.c.next_attempt_at).where(_LETTERS.c.position.in_(_HEADS))
_LETTERS_OF = (
    select(*_LETTER_COLUMNS)
    .where(
        _LETTERS.c.dead.is_(False),
        _LETTERS.c.shard.in_(bindparam("shards", expanding=True)),
        _LETTERS.c.subject.in_(bindparam("subjects", expanding=True, type_=Id)),
    )
    .order_by(_LETTERS.c.position)
    .limit(bindparam("rows"))
)
_LIST = (
    select(*_LETTER_COLUMNS)
    .where(_LETTERS.c.dead == bindparam("is_dead"))
    .order_by(_LETTERS.c.position)
    .limit(bindparam("rows"))
)
_PASS = update(_SHARDS).where(_SHARDS.c.shard == bindparam("of")).values(handled_to=bindparam("upto"))
# One by one, by the key: a list may be looked for by reading the whole table, other relays' locked rows included.
_REMOVE = delete(_LETTERS).where(_LETTERS.c.position == bindparam("at_position"))
_CHANGE = update(_LETTERS).where(_LETTERS.c.position == bindparam("at_position"))
_ADD = insert(_LETTERS)
_REVIVE = (
    update(_LETTERS)
    .where(_LETTERS.c.dead.is_(True))
    .values(dead=False, attempts=0, error="", next_attempt_at=bindparam("due", type_=_LETTERS.c.time.type))
)
_REVIVE_SOME = _REVIVE.where(_LETTERS.c.event_id.in_(bindparam("ids", expanding=True, type_=Id)))


def _retry_entry_from(row: Any) -> RetryEntry:
    return RetryEntry(event_from(row), row.attempts, row.next_attempt_at, row.error, bool(row.dead))


def _values(entry: RetryEntry) -> dict[str, Any]:
    event = entry.event
    return {
        "position": event.position,
        "event_id": event.id,
        "type": event.type,
        "version": event.version,
        "subject": event.subject,
        "shard": shard_of(event.subject),
        "owner_id": event.owner_id,
        "public": event.public,
        "time": event.time,
        "data": event.data,
        **_state(entry),
    }


def _state(entry: RetryEntry) -> dict[str, Any]:
    return {
        "dead": entry.dead,
        "attempts": entry.attempts,
        "next_attempt_at": entry.next_attempt_at or _AT_ONCE,
        "error": entry.error,
    }


class _Claim(Claim):
    def __init__(self, batch: ClaimedBatch, handled_to: Mapping[int, int]) -> None:
        self._batch = batch
        self._handled_to = handled_to

    @property
    def batch(self) -> ClaimedBatch:
        return self._batch

    @abstractmethod
    async def finish(self, outcome: Outcome) -> None: ...

    async def _record(self, transaction: Transaction, outcome: Outcome) -> None:
        upto = dict(self._handled_to)
        for event in self._batch.events:
            shard = shard_of(event.subject)
            upto[shard] = max(upto[shard], event.position)
        for event in outcome.unhandled:
            shard = shard_of(event.subject)
            upto[shard] = min(upto[shard], event.position - 1)
        moved = [{"of": shard, "upto": to} for shard, to in upto.items() if to != self._handled_to[shard]]
        await transaction.run_many(_PASS, moved)
        await transaction.run_many(_REMOVE, [{"at_position": entry.event.position} for entry in outcome.delivered])
        changed = [{"at_position": entry.event.position, **_state(entry)} for entry in outcome.refused]
        await transaction.run_many(_CHANGE, changed)
        # Beyond what is passed, an event is still the log's, and will be met again.
        added = [entry for entry in outcome.deferred if entry.event.position <= upto[shard_of(entry.event.subject)]]
        await transaction.run_many(_ADD, [_values(entry) for entry in added])


class _Locked(_Claim):
    """The transaction that holds the locks is the one that records."""

    def __init__(self, transaction: Transaction, batch: ClaimedBatch, handled_to: Mapping[int, int]) -> None:
        super().__init__(batch, handled_to)
        self._transaction = transaction

    async def finish(self, outcome: Outcome) -> None:
        await self._record(self._transaction, outcome)
        await self._transaction.commit()


class _Leased(_Claim):
    def __init__(self, database: Database, lease: UUID, batch: ClaimedBatch, handled_to: Mapping[int, int]) -> None:
        super().__init__(batch, handled_to)
        self._database = database
        self._lease = lease

    async def finish(self, outcome: Outcome) -> None:
        async with Transaction(self._database) as transaction:
            held = (await transaction.run(_LEASED, {"mine": self._lease})).rows
            if len(held) < len(self._handled_to):
                # It ran out, and somebody else may have gone on from there.
                raise TransientFailure
            await self._record(transaction, outcome)
            await transaction.run(_LET_GO, {"mine": self._lease})
            await transaction.commit()


class _SqlRelay(RelayQueue, RelayLedger):
    """What is the same, however a shard is claimed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._complete = False

    @abstractmethod
    def claim(self, *, limit: int, now: datetime) -> AbstractAsyncContextManager[Claim]: ...

    async def lag(self) -> Lag:
        counts = [
            (await self._database.fetch_all(_COUNT_OUTBOX, {}))[0],
            (await self._database.fetch_all(_COUNT_LETTERS, {"is_dead": False}))[0],
        ]
        for shard, handled_to in await self._behind():
            count, _, time = (await self._database.fetch_all(_COUNT_UNDELIVERED, {"of": shard, "after": handled_to}))[0]
            counts.append((count, time))
        dead = (await self._database.fetch_all(_COUNT_LETTERS, {"is_dead": True}))[0]
        times = [time for _, time in counts if time is not None]
        return Lag(sum(count for count, _ in counts), min(times, default=None), dead[0])

    async def waiting_since(self, now: datetime) -> datetime | None:
        times = [row.time for row in await self._database.fetch_all(_FIRST_OF_OUTBOX, {})]
        for shard, handled_to in await self._behind():
            rows = await self._database.fetch_all(_FIRST_UNDELIVERED, {"of": shard, "after": handled_to})
            times += [row.time for row in rows]
        return min((time for time in times if time <= now), default=None)

    async def dead(self, *, limit: int) -> Sequence[RetryEntry]:
        rows = await self._database.fetch_all(_LIST, {"is_dead": True, "rows": limit})
        return [_retry_entry_from(row) for row in rows]

    async def pending(self, *, limit: int) -> Sequence[RetryEntry]:
        rows = await self._database.fetch_all(_LIST, {"is_dead": False, "rows": limit})
        found = [_retry_entry_from(row) for row in rows]
        for shard, handled_to in await self._behind():
            found += [RetryEntry(event) for event in await self._undelivered(shard, handled_to, limit)]
        return sorted(found, key=lambda entry: entry.event.position)[:limit]

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        if ids is None:
            return await write(self._database, _REVIVE, {"due": _AT_ONCE})
        return await write(self._database, _REVIVE_SOME, {"due": _AT_ONCE, "ids": list(ids)})

    async def oldest_undelivered(self) -> int | None:
        """Return the position of the oldest event in the log that was neither delivered nor became a letter."""
        positions = [
            (await self._database.fetch_all(_COUNT_UNDELIVERED, {"of": shard, "after": handled_to}))[0][1]
            for shard, handled_to in await self._behind()
        ]
        return min((position for position in positions if position is not None), default=None)

    async def _behind(self) -> Sequence[tuple[int, int]]:
        """Return the shards with events after what was delivered, and up to where they were."""
        await self._make_shards()
        return [(row.shard, row.handled_to) for row in await self._database.fetch_all(_BEHIND, {})]

    async def _make_shards(self) -> None:
        if self._complete or len(await self._database.fetch_all(_KNOWN, {})) == SHARDS:
            self._complete = True
            return
        rows = [{"shard": shard, "handled_to": 0} for shard in range(SHARDS)]
        async with Transaction(self._database) as transaction:
            await transaction.run_many(self._database.dialect.insert_or_keep(_SHARDS), rows)
            await transaction.commit()

    async def _with_work(self, now: datetime) -> list[int]:
        """Return shards that have something to deliver, a few of them at random, so that relays do not crowd."""
        found = {shard for shard, _ in await self._behind()}
        found |= {row.shard for row in await self._database.fetch_all(_DUE, {"now": now})}
        return random.sample(sorted(found), min(len(found), _SHARDS_AT_ONCE))

    async def _take(self, handled_to: Mapping[int, int], limit: int, now: datetime) -> ClaimedBatch:
        shards = list(handled_to)
        first = await self._database.fetch_all(_FIRST_LETTERS, {"shards": shards})
        due = [row.subject for row in first if row.next_attempt_at <= now]
        entries: list[RetryEntry] = []
        if due:
            rows = await self._database.fetch_all(_LETTERS_OF, {"shards": shards, "subjects": due, "rows": limit})
            entries = [_retry_entry_from(row) for row in rows]
        events: list[LoggedEvent] = []
        for shard in random.sample(shards, len(shards)):
            if len(events) < limit:
                events += await self._undelivered(shard, handled_to[shard], limit - len(events))
        # A replayed letter may stand before one that is not due: its subject waits for both.
        ready = {subject for subject, entry in first_by_subject(entries).items() if _is_due(entry, now)}
        return ClaimedBatch(
            [entry for entry in entries if entry.event.subject in ready],
            events,
            frozenset(row.subject for row in first),
        )

    async def _undelivered(self, shard: int, after: int, limit: int) -> list[LoggedEvent]:
        rows = await self._database.fetch_all(_UNDELIVERED, {"of": shard, "after": after, "rows": limit})
        return [event_from(row) for row in rows]


def _is_due(entry: RetryEntry, now: datetime) -> bool:
    return entry.next_attempt_at is None or entry.next_attempt_at <= now


class SqlRelay(_SqlRelay):
    """Claims by row locks: MariaDB from 10.6, MySQL from 8, PostgreSQL."""

    @asynccontextmanager
    async def claim(self, *, limit: int, now: datetime) -> AsyncIterator[Claim]:
        shards = await self._with_work(now)
        async with Transaction(self._database) as transaction:
            rows = (await transaction.run(_LOCK, {"shards": shards})).rows if shards else ()
            handled_to = {row.shard: row.handled_to for row in rows}
            # Read by the side of the transaction, which only holds the locks: each statement sees what is there now.
            batch = await self._take(handled_to, limit, now) if handled_to else NOTHING
            yield _Locked(transaction, batch, handled_to)


class SqliteRelay(_SqlRelay):
    """Claims by leases."""

    @asynccontextmanager
    async def claim(self, *, limit: int, now: datetime) -> AsyncIterator[Claim]:
        shards, mine = await self._with_work(now), uuid4()
        if not shards:
            yield _Leased(self._database, mine, NOTHING, {})
            return
        lease = {"shards": shards, "now": now, "mine": mine, "until": now + LEASE}
        await write(self._database, _LEASE, lease)
        try:
            rows = await self._database.fetch_all(_LEASED, {"mine": mine})
            handled_to = {row.shard: row.handled_to for row in rows}
            batch = await self._take(handled_to, limit, now) if handled_to else NOTHING
            yield _Leased(self._database, mine, batch, handled_to)
        finally:
            await write(self._database, _LET_GO, {"mine": mine})


def relay_over(database: Database) -> SqlRelay | SqliteRelay:
    """Return the queue of a database, claimed as that database can."""
    return SqliteRelay(database) if database.dialect.single_writer else SqlRelay(database)
