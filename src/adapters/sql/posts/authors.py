"""Authors as they are shown next to their posts."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, select, type_coerce

from adapters.sql.batched_lookups import KEYS_A_LOOK_UP, NAMES, BatchedLookups, padded
from adapters.sql.database import Database
from adapters.sql.tables import UserRow, table_of
from adapters.sql.types import Id, IdNumber, IdText
from application.posts.ports import AuthorDirectory
from application.posts.views import AuthorView
from domain.shared.ids import UserId

_USERS = table_of(UserRow)

_VIEW = (type_coerce(_USERS.c.id, IdText), _USERS.c.username, _USERS.c.name)
_AUTHOR = select(*_VIEW).where(_USERS.c.id == bindparam("at_id"))


@lru_cache(maxsize=KEYS_A_LOOK_UP.bit_length())
def _authors(number: int) -> Select[*tuple[Any, ...]]:
    """Build the look-up of so many authors: for each power of two once, so that databases know it by its text."""
    ids = [bindparam(name, type_=Id) for name in NAMES[:number]]
    return select(type_coerce(_USERS.c.id, IdNumber).label("number"), *_VIEW).where(_USERS.c.id.in_(ids))


class SqlAuthorDirectory(AuthorDirectory):
    """Looks each author up by themselves, which on SQLite takes less than waiting for others would."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, author_id: UserId) -> AuthorView | None:
        row = await self._database.fetch_one(_AUTHOR, {"at_id": author_id}, on_loop=True)
        return None if row is None else AuthorView(row.id, row.username, row.name)


class BatchedAuthorDirectory(BatchedLookups[UserId, AuthorView], AuthorDirectory):
    """Looks authors up by primary key, together those who are asked for at the same time: who publishes is."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def find(self, author_id: UserId) -> AuthorView | None:
        return await self.look_up(author_id)

    async def read(self, keys: Sequence[UserId]) -> dict[int, AuthorView]:
        parameters = padded(keys)
        rows = await self._database.fetch_all(_authors(len(parameters)), parameters)
        return {row.number: AuthorView(row.id, row.username, row.name) for row in rows}
