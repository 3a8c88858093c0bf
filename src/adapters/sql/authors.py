"""Authors as they are shown next to their posts."""

from sqlalchemy import bindparam, select, type_coerce

from adapters.sql.database import Database
from adapters.sql.models import UserRow, table_of
from adapters.sql.types import IdText
from application.posts.ports import AuthorDirectory
from application.posts.views import AuthorView
from domain.shared.ids import UserId

_USERS = table_of(UserRow)

_AUTHOR = select(type_coerce(_USERS.c.id, IdText), _USERS.c.username, _USERS.c.name).where(
    _USERS.c.id == bindparam("at_id")
)


class SqlAuthorDirectory(AuthorDirectory):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, author_id: UserId) -> AuthorView | None:
        row = await self._database.fetch_one(_AUTHOR, {"at_id": author_id}, brief=True)
        return None if row is None else AuthorView(*row)
