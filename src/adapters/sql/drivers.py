"""Statements run by the drivers' own calls, on connections that SQLAlchemy's pools hold.

SQLAlchemy's adapters make the drivers look synchronous: each statement is a greenlet, a lock, a second cursor around
the driver's and a copy of its rows. Here the driver is awaited as it is. What the adapters know is still asked of
them: whether a transaction was begun, and which DB-API error one of the driver's is.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from adapters.sql.compiled import Compiled, Rows

_Adapter: TypeAlias = Any
"""SQLAlchemy's view of one connection, whose classes are private to each of its dialects."""
RunDirectly = Callable[[_Adapter, Compiled, Sequence[Any]], Awaitable[Rows]]
"""Run a statement with these values, in their order. Raises DB-API errors, and `OSError` as the drivers do."""


async def _by_asyncmy(adapter: _Adapter, plan: Compiled, values: Sequence[Any]) -> Rows:
    try:
        # Connections are not in autocommit where a transaction matters, so nothing begins one.
        cursor = adapter.driver_connection.cursor()
        await cursor.execute(plan.sql, values)
        rows = plan.rows(await cursor.fetchall()) if plan.returns_rows else ()
        await cursor.close()
    except Exception as error:  # the adapter raises it again, as what it is
        adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
        raise
    return Rows(rows, cursor.rowcount)


async def _by_asyncpg(adapter: _Adapter, plan: Compiled, values: Sequence[Any]) -> Rows:
    try:
        # Nothing on a connection in autocommit; elsewhere the first statement begins, as in the adapter's cursor.
        if adapter._transaction is None:  # noqa: SLF001 # told nowhere else
            await adapter._start_transaction()  # noqa: SLF001
        driver = adapter.driver_connection
        # Either keeps its prepared statement with the connection, and prepares anew what a migration has made stale.
        if plan.returns_rows:
            fetched = await driver.fetch(plan.sql, *values)
            return Rows(plan.rows(fetched), len(fetched))
        status = await driver.execute(plan.sql, *values)
    except Exception as error:  # the adapter raises it again, as what it is
        adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
        raise
    return Rows((), _count(status))


def _count(status: str) -> int:
    """Read how many rows were matched from the end of `UPDATE 1` or `INSERT 0 1`."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else -1


RUN_DIRECTLY: dict[str, RunDirectly] = {"asyncmy": _by_asyncmy, "asyncpg": _by_asyncpg}
"""By the name of the driver."""
