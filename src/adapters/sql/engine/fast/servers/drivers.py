"""Statements run by the drivers' own calls, on connections that SQLAlchemy made.

SQLAlchemy's adapters make the drivers look synchronous: each statement is a greenlet, a lock, a second cursor around
the driver's and a copy of its rows. Here the driver is awaited as it is. What the adapters know is still asked of
them: whether a transaction was begun, and which DB-API error one of the driver's is.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from adapters.sql.engine.fast.compiled import Compiled
from adapters.sql.rows import Rows

_PREPARED_AT_MOST: Final = 128
"""A connection, the oldest going first. A server takes 16,382 from all of them by default."""
_NOT_PREPARED: Final = frozenset({1295, 1461, 1615})
"""What a server says of a statement that it runs as text all the same: not this one (1295), no more of them (1461), or
its tables change faster than it can be prepared (1615)."""

Adapter: TypeAlias = Any
"""SQLAlchemy's view of one connection, whose classes are private to each of its dialects."""


class Link(ABC):
    """One connection, as its driver has it. Everything raises DB-API errors, and `OSError` as the drivers do.

    After any error but a verdict of the server, a cancellation included, the connection is in the middle of something.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.driver: Any = adapter.driver_connection

    @abstractmethod
    async def run(self, plan: Compiled, values: Sequence[Any]) -> Rows:
        """Run a statement with these values, in their order; outside of autocommit the first one begins."""
        ...

    @abstractmethod
    async def commit(self) -> None: ...

    @abstractmethod
    async def roll_back(self) -> None: ...

    @abstractmethod
    def hang_up(self) -> None:
        """Close it at once, without a word to the server. Whoever waits for it gets the error for a lost connection."""
        ...


class AsyncmyLink(Link):
    """The driver bounds each wait for the server by `asyncio.wait_for`, which costs a task and a third of a short
    statement. What is run from here is bounded by one timer instead, which is not even set anew for each statement;
    whatever SQLAlchemy asks of the connection stays bounded by the driver.

    What returns rows is prepared when it is run for the second time: the server then need not read its text, and the
    driver need not read the description of each column, which it compares with the one that it has. When a migration
    changes the columns, the server prepares the statement anew, and the driver reads the new description.
    """

    def __init__(self, adapter: Adapter) -> None:
        super().__init__(adapter)
        self._limit: float | None = self.driver._read_timeout  # noqa: SLF001 # no argument of a statement
        self._loop = asyncio.get_running_loop()
        self._until: float | None = None
        """When to give the server up, in the loop's time; None while nothing is asked of it."""
        self._timer: asyncio.TimerHandle | None = None
        self._prepared: dict[Compiled, Any] = {}
        """What was run, the latest last: None after the first time, then prepared, or False if the server will not."""

    async def run(self, plan: Compiled, values: Sequence[Any]) -> Rows:
        self.begin_to_wait()
        try:
            result = await self._execute(plan, values)
        except Exception as error:  # the adapter raises it again, as what it is
            self.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        finally:
            self.end_waiting()
        return Rows(plan.rows(result.rows) if plan.returns_rows else (), result.affected_rows)

    async def _prepared_for(self, plan: Compiled) -> Any:
        """Return the prepared statement; None for one that is to be sent as text, as the first time."""
        known = self._prepared
        if plan not in known:
            known[plan] = None
            if len(known) > _PREPARED_AT_MOST:
                await self._forget(next(iter(known)))
            return None
        statement = known.pop(plan)
        if statement is None:
            statement = await self._prepare(plan)
            self.begin_to_wait()
        known[plan] = statement
        return statement or None

    async def _prepare(self, plan: Compiled) -> Any:
        """Return False when the server will not."""
        try:
            # Doubled percent signs become what they stand for, as they do when the driver puts values in.
            return await self.driver.prepare(plan.sql % (("?",) * plan.places))
        except Exception as error:
            if _code(error) not in _NOT_PREPARED:
                raise
        return False

    async def _execute(self, plan: Compiled, values: Sequence[Any]) -> Any:
        """Return the driver's result."""
        driver = self.driver
        statement = await self._prepared_for(plan) if plan.returns_rows else None
        if statement is not None:
            try:
                return await statement.execute(values)
            except Exception as error:
                if _code(error) not in _NOT_PREPARED:
                    raise
            await self._forget(plan)
            self._prepared[plan] = False
            self.begin_to_wait()
        # What a cursor does, without the cursor, which would go on to ask for the text of each warning.
        await driver.query(self.text(plan, values))
        return driver._result  # noqa: SLF001 # told nowhere else

    async def _forget(self, plan: Compiled) -> None:
        if statement := self._prepared.pop(plan):
            await statement.close()  # The server does not answer to that.

    def text(self, plan: Compiled, values: Sequence[Any]) -> str:
        """Return what is sent: the driver puts values into the text."""
        literal = self.driver.literal
        text: str = plan.sql % tuple([literal(value) for value in values])
        return text

    async def commit(self) -> None:
        await self._end(self.driver.commit())

    async def roll_back(self) -> None:
        await self._end(self.driver.rollback())

    async def _end(self, ending: Any) -> None:
        self.begin_to_wait()
        try:
            await ending
        except Exception as error:  # the adapter raises it again, as what it is
            self.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        finally:
            self.end_waiting()

    def begin_to_wait(self) -> None:
        """Hang up unless the server answers in time, counted from now; once it has, `end_waiting`."""
        if self._limit is not None:
            self.driver._read_timeout = None  # noqa: SLF001 # no argument of a statement
            self._until = self._loop.time() + self._limit
            if self._timer is None:
                self._timer = self._loop.call_later(self._limit, self._look)

    def end_waiting(self) -> None:
        if self._limit is not None:
            self._until = None
            self.driver._read_timeout = self._limit  # noqa: SLF001

    def _look(self) -> None:
        self._timer = None
        if self._until is not None:
            left = self._until - self._loop.time()
            if left > 0:
                # Another statement than the one that it was set for.
                self._timer = self._loop.call_later(left, self._look)
            else:
                self.hang_up()

    def hang_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport = self.driver._transport  # noqa: SLF001 # `close` waits for what has not been sent, maybe for ever
        self.driver.close()
        if transport is not None:
            transport.abort()


def _code(error: Exception) -> object:
    return error.args[0] if error.args else None


class AsyncpgLink(Link):
    """The driver keeps a prepared statement for each text, and bounds each wait by a timer of its own."""

    async def run(self, plan: Compiled, values: Sequence[Any]) -> Rows:
        try:
            # Nothing on a connection in autocommit; elsewhere the first statement begins, as in the adapter's cursor.
            if self.adapter._transaction is None:  # noqa: SLF001 # told nowhere else
                await self.begin()
            # Either keeps its prepared statement with the connection, and prepares anew what a migration has made
            # stale.
            if plan.returns_rows:
                fetched = await self.driver.fetch(plan.sql, *values)
                return Rows(plan.rows(fetched), len(fetched))
            status = await self.driver.execute(plan.sql, *values)
        except Exception as error:  # the adapter raises it again, as what it is
            self.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        return Rows((), _count(status))

    @property
    def has_begun(self) -> bool:
        return self.adapter._transaction is not None  # noqa: SLF001 # told nowhere else

    async def begin(self) -> None:
        """Begin, unless that is done, or the connection is in autocommit."""
        if not self.has_begun:
            await self.adapter._start_transaction()  # noqa: SLF001 # nothing public does

    async def commit(self) -> None:
        transaction = self.adapter._transaction  # noqa: SLF001
        if transaction is not None:
            await self._end(transaction.commit)

    async def roll_back(self) -> None:
        transaction = self.adapter._transaction  # noqa: SLF001
        if transaction is not None:
            await self._end(transaction.rollback)

    async def _end(self, ending: Callable[[], Awaitable[None]]) -> None:
        try:
            # Called in here: on a connection that has been lost meanwhile it is the call that raises.
            await ending()
        except Exception as error:  # the adapter raises it again, as what it is
            self.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        finally:
            # Whether or not that succeeded, it is over.
            self.adapter._transaction = None  # noqa: SLF001

    def hang_up(self) -> None:
        self.driver.terminate()


def _count(status: str) -> int:
    """Read how many rows were matched from the end of `UPDATE 1` or `INSERT 0 1`."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else -1


LINKS: dict[str, type[Link]] = {"asyncmy": AsyncmyLink, "asyncpg": AsyncpgLink}
"""By the name of the driver."""
