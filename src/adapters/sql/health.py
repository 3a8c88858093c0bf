"""Whether the database answers."""

import asyncio

from sqlalchemy import literal, select

from adapters.sql.database import Database
from application.shared.errors import StorageUnavailable
from application.shared.health import Probe

_ONE = select(literal(1))
_PATIENCE_SECONDS = 2.0
"""Less than the three seconds or so after which load balancers give up on a health check."""


class SqlProbe(Probe):
    """Asks for the number one, over the connections that reads use: a pool that is used up is a fault too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._database.fetch_one(_ONE, {})
        except TimeoutError as error:
            raise StorageUnavailable from error
