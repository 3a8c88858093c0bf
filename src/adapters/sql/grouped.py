"""Use cases that share their commit on SQLite; see `adapters.sql.engine.fast.sqlite.groups`."""

from typing import Generic, TypeVar

from adapters.sql.database import Database
from application.shared.grouping import Grouping
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class _Grouped(Generic[C, R]):
    def __init__(self, use_case: UseCase[C, R], database: Database) -> None:
        self._use_case = use_case
        self._database = database

    async def execute(self, command: C, /) -> R:
        return await self._database.grouped(lambda: self._use_case.execute(command))


class SqlGrouping(Grouping):
    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, use_case: UseCase[C, R], /) -> UseCase[C, R]:
        return _Grouped(use_case, self._database)
