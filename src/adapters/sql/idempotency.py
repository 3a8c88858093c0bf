"""Idempotency keys in a database."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Integer, bindparam, delete, func, insert, select

from adapters.sql.database import Database
from adapters.sql.errors import ConstraintErrors
from adapters.sql.tables import IdempotencyKeyRow, table_of
from adapters.sql.transaction import SqlRepository, write, write_each
from application.shared.idempotency import (
    CallerGone,
    IdempotencyClaim,
    IdempotencyKey,
    IdempotencyKeys,
    KeyContended,
    KeyTaken,
    StoredResponse,
    StoredResponses,
)
from domain.shared.ids import UserId

V = TypeVar("V")

_KEYS = table_of(IdempotencyKeyRow)
_AT_KEY = (
    _KEYS.c.owner_id == bindparam("of_owner", type_=_KEYS.c.owner_id.type),
    _KEYS.c.idempotency_key == bindparam("at_key", type_=_KEYS.c.idempotency_key.type),
)
_UNTIL = _KEYS.c.created_at <= bindparam("until", type_=_KEYS.c.created_at.type)

_CLAIM = insert(_KEYS)
_FIND = select(_KEYS.c.answer, _KEYS.c.created_at).where(*_AT_KEY)
# Of the primary key alone, and no further than anybody asks.
_COUNT = select(func.count().label("held")).select_from(
    select(_KEYS.c.owner_id).where(_AT_KEY[0]).limit(bindparam("rows", type_=Integer)).subquery("held")
)
_FORGET = delete(_KEYS).where(*_AT_KEY, _UNTIL)
_OLDEST = (
    select(_KEYS.c.owner_id, _KEYS.c.idempotency_key)
    .where(_UNTIL)
    .order_by(_KEYS.c.created_at)
    .limit(bindparam("rows"))
)

_OF_A_CALLER: ConstraintErrors = {
    "fk_idempotency_keys_owner_id_users": CallerGone,
    # SQLite and MySQL do not name a primary key; `pk_` tells the kind, which is enough with one in question.
    "pk_idempotency_keys": KeyTaken,
}


class SqlIdempotencyKeys(SqlRepository, IdempotencyKeys):
    """Claiming is an INSERT, so that a transaction that is about to commit the same key is waited for.

    On servers it is the first of what is sent together, so a key costs no round trip of its own.
    """

    async def claim(self, idempotency: IdempotencyClaim[V] | None, view: V) -> None:
        if idempotency is None:
            return
        row = {
            "owner_id": idempotency.owner,
            "idempotency_key": idempotency.key.value,
            "created_at": idempotency.at,
            "answer": idempotency.seal(view),
        }
        # Where there is one writer, whoever lost waited to write at all.
        lost = None if self._transaction.dialect.single_writer else KeyContended
        await self._transaction.enqueue(_CLAIM, row, _OF_A_CALLER, on_conflict=lost)


class SqlStoredResponses(StoredResponses):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, owner: UserId, key: IdempotencyKey) -> StoredResponse | None:
        row = await self._database.fetch_one(_FIND, {"of_owner": owner, "at_key": key.value})
        return None if row is None else StoredResponse(row.answer, row.created_at)

    async def forget(self, owner: UserId, key: IdempotencyKey, *, until: datetime) -> None:
        await write(self._database, _FORGET, {"of_owner": owner, "at_key": key.value, "until": until})

    async def count(self, owner: UserId, *, limit: int) -> int:
        row = await self._database.fetch_one(_COUNT, {"of_owner": owner, "rows": limit})
        return 0 if row is None else int(row.held)

    async def purge(self, *, until: datetime, limit: int) -> int:
        rows = await self._database.fetch_all(_OLDEST, {"until": until, "rows": limit})
        # Only what is still old.
        keys = [{"of_owner": row.owner_id, "at_key": row.idempotency_key, "until": until} for row in rows]
        return await write_each(self._database, _FORGET, keys)
