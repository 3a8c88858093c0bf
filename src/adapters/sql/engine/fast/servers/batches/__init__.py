"""Several statements in one round trip: what a unit of work has kept back, because nobody needed its answer."""

from typing import Any

from adapters.sql.engine.fast.servers.batches.batch import Batch, BatchRunner
from adapters.sql.engine.fast.servers.batches.mysql import MultiStatementText
from adapters.sql.engine.fast.servers.batches.postgresql import CteChain

__all__ = ["BATCH_RUNNERS", "Batch", "BatchRunner"]

BATCH_RUNNERS: dict[str, BatchRunner[Any]] = {"asyncmy": MultiStatementText(), "asyncpg": CteChain()}
"""By the name of the driver."""
