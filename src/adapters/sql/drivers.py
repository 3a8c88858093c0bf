"""Statements run by the drivers' own calls, on connections that SQLAlchemy's pools hold.

SQLAlchemy's adapters make the drivers look synchronous: each statement is a greenlet, a lock, a second cursor around
the driver's and a copy of its rows. Here the driver is awaited as it is. What the adapters know is still asked of
them: whether a transaction was begun, and which DB-API error one of the driver's is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from adapters.sql.compiled import Compiled, Rows

_Adapter: TypeAlias = Any
"""SQLAlchemy's view of one connection, whose classes are private to each of its dialects."""
RunDirectly = Callable[[_Adapter, Compiled, Sequence[Any]], Awaitable[Rows]]
"""Run a statement with these values, in their order. Raises DB-API errors, and `OSError` as the drivers do."""


async def _by_asyncmy(adapter: _Adapter, plan: Compiled, values: Sequence[Any]) -> Rows:
    driver = adapter.driver_connection
    # The driver bounds each wait for the server by `asyncio.wait_for`, which costs a task and a third of a short
    # statement. One timer does the same here; whatever else is asked of the connection stays bounded by the driver.
    limit, driver._read_timeout = driver._read_timeout, None  # noqa: SLF001 # no argument of a statement
    timer = None if limit is None else asyncio.get_running_loop().call_later(limit, _hang_up, driver)
    try:
        # Connections are not in autocommit where a transaction matters, so nothing begins one.
        cursor = driver.cursor()
        await cursor.execute(plan.sql, values)
        rows = plan.rows(await cursor.fetchall()) if plan.returns_rows else ()
        await cursor.close()
    except Exception as error:  # the adapter raises it again, as what it is
        adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
        raise
    finally:
        driver._read_timeout = limit  # noqa: SLF001
        if timer is not None:
            timer.cancel()
    return Rows(rows, cursor.rowcount)


def _hang_up(driver: Any) -> None:
    """Have whoever waits for the server get its own error for a lost connection."""
    transport = driver._transport  # noqa: SLF001 # `close` waits for what has not been sent yet, maybe for ever
    driver.close()
    if transport is not None:
        transport.abort()


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
