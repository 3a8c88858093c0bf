"""Several statements in one round trip: what a unit of work has kept back, because nobody needed its answer."""

from typing import Any

from adapters.sql.engine.fast.servers.batches.mysql import OneText
from adapters.sql.engine.fast.servers.batches.postgresql import OneStatement
from adapters.sql.engine.fast.servers.batches.shape import Batch, Together

__all__ = ["TOGETHER", "Batch", "Together"]

TOGETHER: dict[str, Together[Any]] = {"asyncmy": OneText(), "asyncpg": OneStatement()}
"""By the name of the driver."""
