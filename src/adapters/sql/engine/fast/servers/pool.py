"""Connections to a database server, lent to one user at a time.

SQLAlchemy makes and closes them: its engine knows how to connect, what to set up, and what an error means. Lending
them is done here, since its own pools do it in greenlets, and in a task with a time-out for each who waits: that took
longer than a short statement takes. Here, taking a connection that is free and giving one back are plain calls.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.util import greenlet_spawn

from adapters.shared.cancellation import CancellationKept
from adapters.sql.engine.fast.compiled import compiled
from adapters.sql.engine.fast.servers.drivers import LINKS
from adapters.sql.engine.port import PoolState
from adapters.sql.rows import Parameters, Rows, rows_of

R = TypeVar("R")

_CLOSING_SECONDS: Final = 2.0
"""How long to be polite to a server in closing a connection to it."""


class PooledConnection:
    """One connection, for one user at a time.

    What fails is raised as SQLAlchemy would raise it. Whatever fails or is cancelled in the middle makes it `lost`;
    what the server answered in good order, an error included, leaves it as it was.
    """

    __slots__ = (
        "_by_sqlalchemy",
        "_connection",
        "_dbapi",
        "_is_demoted",
        "born",
        "closed_by_peer",
        "dialect",
        "idle_since",
        "link",
        "lost",
        "was_demoted",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        autocommit: bool,
        is_demoted: Callable[[DBAPIError], bool] = lambda _: False,
    ) -> None:
        """Take over a connection that SQLAlchemy has just made, and that has begun nothing.

        In `autocommit` each statement stands for itself; else the first begins, and `commit` or `roll_back` ends.
        `is_demoted` tells by an error whether the server no longer takes writes.
        """
        self._connection = connection
        self._is_demoted = is_demoted
        self._by_sqlalchemy = _run_autocommit if autocommit else _run_in_transaction
        self.dialect = connection.dialect
        self._dbapi = connection.dialect.loaded_dbapi
        self.link = LINKS[connection.dialect.driver](connection.connection.dbapi_connection)
        self.born = self.idle_since = time.monotonic()
        self.lost = False
        """Whether it must not be used again."""
        self.closed_by_peer = False
        """Whether it was lost by no doing of ours, so that others of its age may be, too."""
        self.was_demoted = False
        """Whether it leads to a server that no longer takes writes, as all others of its age do then, too."""

    async def run(self, statement: Executable, parameters: Parameters) -> Rows:
        """Run a statement by the driver itself, where its text does not depend on its values."""
        plan = compiled(statement, self.dialect, parameters)
        if plan is None:
            return await self.spawn(self._by_sqlalchemy, statement, parameters)
        values = plan.bind(parameters)
        try:
            return await self.link.run(plan, values)
        except BaseException as error:  # noqa: BLE001 # it is raised again
            self.fail(error, plan.sql)

    async def commit(self) -> None:
        if self._connection.get_transaction() is not None:
            await self.spawn(Connection.commit)
            return
        try:
            await self.link.commit()
        except BaseException as error:  # noqa: BLE001 # it is raised again
            self.fail(error, "COMMIT")

    async def roll_back(self) -> None:
        if self._connection.get_transaction() is not None:
            await self.spawn(Connection.rollback)
            return
        try:
            await self.link.roll_back()
        except BaseException as error:  # noqa: BLE001 # it is raised again
            self.fail(error, "ROLLBACK")

    async def spawn(self, work: Callable[..., R], *arguments: Any) -> R:
        """Call `work` with SQLAlchemy's connection in a greenlet, where it may be used as if it were synchronous.

        What SQLAlchemy begins, `commit` or `roll_back` must end.
        """
        try:
            with CancellationKept():
                return await greenlet_spawn(work, self._connection, *arguments)
        except BaseException as error:
            # An invalidated connection has none underneath any more.
            if isinstance(error, RuntimeError):
                raise self._broken(error) from error
            if self._connection.invalidated or isinstance(error, OSError) or not isinstance(error, Exception):
                self._lose(closed_by_peer=isinstance(error, Exception))
            elif isinstance(error, DBAPIError):
                self._judge(error)
            raise

    def fail(self, error: BaseException, sql: str) -> NoReturn:
        """Note what an error of the driver's means for the connection, and raise it, as SQLAlchemy's if it is one."""
        if isinstance(error, RuntimeError):
            raise self._broken(error) from error
        if not isinstance(error, self._dbapi.Error):
            # A cancellation, a refused write, a time-out: the server may still be answering.
            self._lose(closed_by_peer=isinstance(error, OSError))
            raise error
        gone = self.dialect.is_disconnect(error, self.link.adapter, None)
        # The driver's own confusion about what the server says is not told apart from the server's.
        if gone or isinstance(error, self._dbapi.InternalError):
            self._lose(closed_by_peer=gone)
        failure: Any = DBAPIError.instance(
            sql, None, error, self._dbapi.Error, connection_invalidated=gone, dialect=self.dialect
        )
        self._judge(failure)
        raise failure from error

    def _broken(self, error: RuntimeError) -> OSError:
        """Return what says that the connection is broken: uvloop has no other error for a transport that is closed."""
        self._lose(closed_by_peer=True)
        return ConnectionError(str(error))

    def _judge(self, failure: DBAPIError) -> None:
        if not self.lost and self._is_demoted(failure):
            self._lose(closed_by_peer=True)
            self.was_demoted = True

    def forget_transaction(self) -> None:
        """Have SQLAlchemy know that nothing is begun any more, without asking the database to end it."""
        transaction = self._connection.get_transaction()
        if transaction is not None:
            transaction._deactivate_from_connection()  # noqa: SLF001 # nothing public does
            self._connection._transaction = None  # noqa: SLF001

    async def is_alive(self) -> bool:
        """Ask the server."""
        try:
            await greenlet_spawn(self.dialect.do_ping, self.link.adapter)
        except BaseException as error:
            self._lose(closed_by_peer=isinstance(error, Exception))
            if isinstance(error, (self._dbapi.Error, OSError, RuntimeError)):
                return False
            raise
        return True

    async def close(self) -> None:
        """Close it, politely if there is somebody to be polite to. Raises nothing, unless it is cancelled."""
        leaving = asyncio.ensure_future(self._close_connection())
        try:
            await asyncio.wait({leaving}, timeout=_CLOSING_SECONDS)
        finally:
            # With this whoever still waits for the server has nothing to wait for: cancelled, SQLAlchemy would log it.
            self.link.hang_up()
            if not leaving.done():
                asyncio.get_running_loop().call_later(_CLOSING_SECONDS, leaving.cancel)

    async def _close_connection(self) -> None:
        # It is closed, whatever comes of that.
        with suppress(Exception):
            if self.lost:
                await greenlet_spawn(self._connection.invalidate)
            await greenlet_spawn(self._connection.close)

    def discard_on_release(self) -> None:
        """Have it closed when it is given back: nobody knows what it is in the middle of."""
        self.lost = True

    def _lose(self, *, closed_by_peer: bool) -> None:
        self.lost = True
        self.closed_by_peer = closed_by_peer


def _run_in_transaction(connection: Connection, statement: Executable, parameters: Parameters) -> Rows:
    return rows_of(connection.execute(statement, parameters))


def _run_autocommit(connection: Connection, statement: Executable, parameters: Parameters) -> Rows:
    try:
        return rows_of(connection.execute(statement, parameters))
    finally:
        # Nothing is sent: SQLAlchemy begins in its own mind alone.
        connection.rollback()


class ConnectionPool:
    """Connections that are kept open, up to a number, and lent out.

    Of those that are free the one used last is lent first, so that those opened for a peak fall idle; who must wait
    is served in turn. One that lay idle is asked whether it still lives before it is lent. When one turns out to have
    been cut off, all that are as old are suspect, and closed rather than lent: a server that restarts takes them all.
    """

    def __init__(
        self,
        name: str,
        open_one: Callable[[], Awaitable[PooledConnection]],
        *,
        size: int,
        overflow: int,
        wait_seconds: float,
        ping_after_idle_seconds: float,
        demoted: Callable[[], None] = lambda: None,
    ) -> None:
        """`size` are kept, `overflow` more are opened at need. Times are in seconds.

        `demoted` is called when a connection turns out to lead to a server that no longer takes writes.
        """
        self._demoted = demoted
        self._name = name
        self._open_one = open_one
        self._size = size
        self._most = size + overflow
        self._wait_seconds = wait_seconds
        self._ping_after = ping_after_idle_seconds
        self._free: list[PooledConnection] = []
        self._in_use = 0
        """Those that are being opened or asked included."""
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[float, asyncio.Future[PooledConnection | None]]] = deque()
        """Until when, in the loop's time, and for what: a connection, or a place for a new one."""
        self._alarm: asyncio.TimerHandle | None = None
        self._invalid_before = float("-inf")
        """What was born no later is suspect."""
        self._disposed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """The one that the connections are on. Asking which one runs is a call of the system."""

    @property
    def state(self) -> PoolState:
        return PoolState(self._name, self._most, self._open, self._in_use)

    @property
    def _open(self) -> int:
        return len(self._free) + self._in_use + len(self._closing)

    def acquire_nowait(self) -> PooledConnection | None:
        """Return a connection that can be used as it is, if there is one; who gets None may `acquire`."""
        free = self._free
        if free:
            connection = free[-1]
            if time.monotonic() - connection.idle_since < self._ping_after and connection.born > self._invalid_before:
                self._in_use += 1
                return free.pop()
        return None

    async def acquire(self) -> PooledConnection:
        """Return a connection for one user; to be given back, whatever happens.

        Raises `PoolTimeoutError` when none becomes free in time, and what connecting raises.
        """
        with CancellationKept() as cancellation:
            connection = await self._acquired()
            if cancellation.was_dropped:
                self.release(connection)
        return connection

    async def _acquired(self) -> PooledConnection:
        while True:
            if self._free:
                connection = self._free.pop()
                self._in_use += 1
                if await self._is_alive(connection):
                    return connection
            elif self._open < self._most:
                self._in_use += 1
                return await self._opened()
            else:
                given = await self._given()
                return await self._opened() if given is None else given

    def release(self, connection: PooledConnection) -> None:
        """Take a connection back that has nothing begun. One that is lost is closed."""
        if connection.closed_by_peer and connection.born > self._invalid_before:
            # One of those that are suspect already says nothing new: those made since may well be sound.
            self.invalidate_all()
            if connection.was_demoted:
                self._demoted()
        if connection.lost or connection.born <= self._invalid_before:
            self._close(connection)
        elif (waiter := self._next()) is not None:
            waiter.set_result(connection)
        elif self._disposed or len(self._free) + self._in_use > self._size:
            self._close(connection)
        else:
            connection.idle_since = time.monotonic()
            self._free.append(connection)
            self._in_use -= 1

    def invalidate_all(self) -> None:
        """Have those that are open by now closed rather than lent again."""
        self._invalid_before = time.monotonic()

    async def dispose(self) -> None:
        """Close those that are free, now, and the others when they are given back."""
        self._disposed = True
        free, self._free = self._free, []
        for connection in free:
            self._in_use += 1
            self._close(connection)
        while self._closing:
            await asyncio.wait(self._closing)
        if self._alarm is not None and not self._waiting:
            self._alarm.cancel()
            self._alarm = None

    async def _opened(self) -> PooledConnection:
        """Open one, for which there is a place."""
        try:
            return await self._open_one()
        except BaseException:
            self._make_room()
            raise

    async def _is_alive(self, connection: PooledConnection) -> bool:
        """Ask one that is lent whether it can be used; give it back if not."""
        try:
            if connection.born > self._invalid_before and await connection.is_alive():
                return True
        except BaseException:
            self.release(connection)
            raise
        self.release(connection)
        return False

    async def _given(self) -> PooledConnection | None:
        """Wait for a connection to be given back, or for a place for a new one: None."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        waiter: asyncio.Future[PooledConnection | None] = loop.create_future()
        self._waiting.append((loop.time() + self._wait_seconds, waiter))
        if self._alarm is None:
            # One timer for all: whoever came first gives up first.
            self._alarm = loop.call_later(self._wait_seconds, self._give_up)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:
                # It came in the very moment.
                given = waiter.result()
                if given is None:
                    self._make_room()
                else:
                    self.release(given)
            raise

    def _next(self) -> "asyncio.Future[PooledConnection | None] | None":
        """Return who has waited longest, and still does."""
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _give_up(self) -> None:
        self._alarm = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            until, waiter = self._waiting[0]
            if not waiter.done():
                left = until - loop.time()
                if left > 0:
                    self._alarm = loop.call_later(left, self._give_up)
                    return
                waiter.set_exception(PoolTimeoutError(f"no connection for {self._name} was free in time"))
            self._waiting.popleft()

    def _close(self, connection: PooledConnection) -> None:
        """Close one that is lent, besides; its place is free when it is closed."""
        self._in_use -= 1
        task = asyncio.get_running_loop().create_task(connection.close(), name="closing a connection")
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: "asyncio.Task[None]") -> None:
        self._closing.discard(task)
        self._in_use += 1
        self._make_room()

    def _make_room(self) -> None:
        """Give a place up that was counted as lent."""
        waiter = self._next()
        if waiter is None:
            self._in_use -= 1
        else:
            waiter.set_result(None)
