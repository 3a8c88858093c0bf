"""Whether the database answers, and takes writes."""

import asyncio
import time
from typing import Final
from uuid import UUID

from sqlalchemy import literal, select

from adapters.sql.database import Database
from adapters.sql.transaction import write
from application.shared.errors import StorageUnavailable
from application.shared.health import Probe
from domain.shared.errors import PosternError

_ONE = select(literal(1))
_PATIENCE_SECONDS = 2.0
"""Less than the three seconds or so after which load balancers give up on a health check."""
_EVERY_SECONDS: Final = 5.0
"""How often a write is tried while nothing speaks against it: a process that no client writes to must know, too."""
_EVERY_SECONDS_WHILE_FAILING: Final = 1.0
_ROW: Final = UUID(int=0)
"""A fence that is never up: what the probe writes. All processes share it."""


class SqlProbe(Probe):
    """Asks for the number one, over the connections that reads use: a pool that is used up is a fault too.

    Then a row is written, now and then: `SELECT 1` tells nothing of writes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tried_at = float("-inf")
        self._trying: asyncio.Task[None] | None = None

    async def check(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._database.fetch_one(_ONE, {})
                await self._check_writes()
        except TimeoutError as error:
            raise StorageUnavailable from error

    async def _check_writes(self) -> None:
        writes = self._database.writes
        every = _EVERY_SECONDS_WHILE_FAILING if writes.is_failing else _EVERY_SECONDS
        if self._trying is None and time.monotonic() - self._tried_at >= every:
            self._trying = asyncio.get_running_loop().create_task(self._try(), name="probing writes")
        if self._trying is not None:
            # One for all who ask; it goes on when who asked has gone, and is bounded as every statement is.
            await asyncio.shield(self._trying)
        if writes.is_failing:
            raise StorageUnavailable(writes.reason)

    async def _try(self) -> None:
        """Write a row. What fails is noted where every failed write is."""
        try:
            if self._database.writes.is_failing:
                await self._database.require_disk_space()
            await write(self._database, self._database.dialect.raise_fence, {"process_id": _ROW, "microseconds": 0})
        except PosternError as error:
            if not isinstance(error, StorageUnavailable):
                # A lock that is not given up in the time that a write waits for one.
                self._database.writes.failed(StorageUnavailable(error.detail))
        else:
            self._database.writes.passed()
        finally:
            self._tried_at = time.monotonic()
            self._trying = None
