"""Use cases that share their commit on SQLite; see `adapters.sql.engine.fast.sqlite.group_commit`."""

from typing import Generic, TypeVar

from adapters.sql.database import Database
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class GroupCommitted(Generic[C, R]):
    def __init__(self, database: Database, use_case: UseCase[C, R]) -> None:
        self._database = database
        self._use_case = use_case

    async def execute(self, command: C, /) -> R:
        return await self._database.run_in_group(lambda: self._use_case.execute(command))
