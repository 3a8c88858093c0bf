"""Connections are lent to one user at a time, in turn, and what is lost is never lent again."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.sql.engine.fast.servers.pool import ConnectionPool, PooledConnection
from tests.waiting import some_turns, time_passes


class Imagined(PooledConnection):
    """A connection to nowhere."""

    __slots__ = ("answers", "asked", "closed", "closing", "gone")

    def __init__(self) -> None:
        self.born = self.idle_since = time.monotonic()
        self.lost = self.closed_by_peer = self.was_demoted = False
        self.answers = True
        """Whether it does when it is asked if it lives."""
        self.asked = 0
        self.closed = False
        self.closing = asyncio.Event()
        """Whether closing comes to its end."""
        self.closing.set()
        self.gone = asyncio.Event()

    async def is_alive(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.answers:
            self.lose(closed_by_peer=True)
        return self.answers

    async def close(self) -> None:
        await self.closing.wait()
        self.closed = True
        self.gone.set()

    def lose(self, *, closed_by_peer: bool) -> None:
        self._lose(closed_by_peer=closed_by_peer)


class Server:
    """Opens connections, and remembers them."""

    def __init__(self) -> None:
        self.opened: list[Imagined] = []
        self.refuses = False
        self.is_deaf = False
        """Whether a cancellation is dropped while a connection is opened."""

    async def open(self) -> PooledConnection:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self.is_deaf:
                raise
        if self.refuses:
            raise ConnectionRefusedError
        self.opened.append(Imagined())
        return self.opened[-1]

    @property
    def open_now(self) -> int:
        return sum(not each.closed for each in self.opened)


Lend = Callable[..., ConnectionPool]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def lend(server: Server) -> Lend:
    def pool(
        *, size: int = 1, overflow: int = 0, wait_seconds: float = 5.0, ping_after_idle_seconds: float = 60.0
    ) -> ConnectionPool:
        return ConnectionPool(
            "reads",
            server.open,
            size=size,
            overflow=overflow,
            wait_seconds=wait_seconds,
            ping_after_idle_seconds=ping_after_idle_seconds,
        )

    return pool


async def waiting_for(pool: ConnectionPool, count: int) -> list[asyncio.Task[PooledConnection]]:
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(count)]
    await some_turns()
    return tasks


def test_nothing_is_there_to_be_taken_at_first(lend: Lend) -> None:
    assert lend().acquire_nowait() is None


async def test_the_connection_that_was_used_last_is_lent_first(lend: Lend) -> None:
    pool = lend(size=2)
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(first)
    pool.release(second)

    assert pool.acquire_nowait() is second
    assert pool.acquire_nowait() is first
    assert pool.acquire_nowait() is None


async def test_whoever_waits_is_served_in_turn(lend: Lend) -> None:
    pool = lend()
    connection = await pool.acquire()
    one, two = await waiting_for(pool, 2)

    pool.release(connection)
    # Nobody overtakes those who wait.
    assert pool.acquire_nowait() is None
    await some_turns()
    assert one.result() is connection
    assert not two.done()
    pool.release(connection)
    assert await two is connection


async def test_whoever_waits_too_long_is_told_so_and_the_others_wait_on(lend: Lend, server: Server) -> None:
    pool = lend(wait_seconds=60)
    connection = await pool.acquire()
    (early,) = await waiting_for(pool, 1)
    await time_passes(30)
    (late,) = await waiting_for(pool, 1)
    assert not early.done()

    await time_passes(31)
    with pytest.raises(PoolTimeoutError):
        await early
    assert not late.done()
    await time_passes(30)
    with pytest.raises(PoolTimeoutError):
        await late
    pool.release(connection)
    assert pool.acquire_nowait() is connection
    assert len(server.opened) == 1


async def test_no_more_are_open_than_there_may_be_and_what_was_opened_for_a_peak_is_closed(
    lend: Lend, server: Server
) -> None:
    pool = lend(size=1, overflow=2)
    tasks = await waiting_for(pool, 5)
    taken = [task.result() for task in tasks if task.done()]
    assert len(taken) == server.open_now == 3
    assert pool.state == ("reads", 3, 3, 3)

    for connection in taken:
        pool.release(connection)
    await some_turns()
    for task in tasks[3:]:
        pool.release(task.result())
    await some_turns()
    assert server.open_now == 1
    assert pool.state == ("reads", 3, 1, 0)


async def test_a_lost_connection_is_closed_and_its_place_is_free_when_that_is_done(lend: Lend, server: Server) -> None:
    pool = lend()
    lost = await pool.acquire()
    (waiting,) = await waiting_for(pool, 1)

    server.opened[0].lose(closed_by_peer=False)
    server.opened[0].closing.clear()
    pool.release(lost)
    await some_turns()
    assert not waiting.done()
    assert pool.state == ("reads", 1, 1, 0)

    server.opened[0].closing.set()
    await some_turns()
    assert waiting.result() is server.opened[1]


async def test_a_connection_that_was_cut_off_makes_all_of_its_age_suspect_and_none_that_is_younger(
    lend: Lend, server: Server
) -> None:
    pool = lend(size=3)
    first, second, third = [await pool.acquire() for _ in range(3)]
    pool.release(first)
    server.opened[1].lose(closed_by_peer=True)
    pool.release(second)

    assert pool.acquire_nowait() is None
    younger = await pool.acquire()
    assert server.opened[0].closed
    assert younger is server.opened[3]
    pool.release(younger)
    # It was suspect already: that it was cut off says nothing of the younger one.
    server.opened[2].lose(closed_by_peer=True)
    pool.release(third)
    assert pool.acquire_nowait() is younger


async def test_a_connection_lost_by_our_own_doing_says_nothing_of_the_others(lend: Lend, server: Server) -> None:
    pool = lend(size=2)
    first, second = await pool.acquire(), await pool.acquire()
    server.opened[0].lose(closed_by_peer=False)
    pool.release(first)
    pool.release(second)

    assert pool.acquire_nowait() is second


async def test_one_that_lay_idle_is_asked_before_it_is_lent(lend: Lend, server: Server) -> None:
    pool = lend(ping_after_idle_seconds=0)
    connection = await pool.acquire()
    pool.release(connection)

    assert pool.acquire_nowait() is None
    assert await pool.acquire() is connection
    assert server.opened[0].asked == 1
    pool.release(connection)
    server.opened[0].answers = False
    assert await pool.acquire() is server.opened[1]
    assert server.opened[0].closed


async def test_whoever_hangs_up_in_the_moment_in_which_it_is_served_passes_it_on(lend: Lend) -> None:
    pool = lend()
    connection = await pool.acquire()
    one, two = await waiting_for(pool, 2)

    pool.release(connection)
    one.cancel()
    assert await two is connection
    assert one.cancelled()


async def test_whoever_hangs_up_in_the_moment_in_which_a_place_is_free_passes_it_on(lend: Lend, server: Server) -> None:
    pool = lend()
    lost = await pool.acquire()
    server.opened[0].closing.clear()
    server.opened[0].lose(closed_by_peer=False)
    pool.release(lost)
    one, two = await waiting_for(pool, 2)

    server.opened[0].closing.set()
    await server.opened[0].gone.wait()
    # Now the place is given, and in the next moment it would be taken.
    await asyncio.sleep(0)
    one.cancel()
    assert await two is server.opened[1]


async def test_a_place_in_which_none_could_be_opened_goes_to_the_next(lend: Lend, server: Server) -> None:
    pool = lend()
    server.refuses = True
    one, two = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await one
    server.refuses = False

    assert await two is server.opened[0]


async def test_what_is_disposed_of_closes_what_is_free_and_what_comes_back(lend: Lend, server: Server) -> None:
    pool = lend(size=2)
    free, lent = await pool.acquire(), await pool.acquire()
    pool.release(free)

    await pool.dispose()
    assert [each.closed for each in server.opened] == [True, False]
    pool.release(lent)
    await some_turns()
    assert server.open_now == 0


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_nobody_shares_a_connection_and_none_goes_missing(
    lend: Lend, server: Server, seed: int
) -> None:
    chance = random.Random(seed)
    pool = lend(size=2, overflow=1, ping_after_idle_seconds=0.0005)
    in_use: set[int] = set()

    async def use() -> None:
        connection = pool.acquire_nowait() or await pool.acquire()
        try:
            assert isinstance(connection, Imagined)
            assert not connection.lost
            assert id(connection) not in in_use
            in_use.add(id(connection))
            assert server.open_now <= 3
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                connection.lose(closed_by_peer=chance.random() < 0.5)
        except asyncio.CancelledError:
            connection.discard_on_release()
            raise
        finally:
            in_use.discard(id(connection))
            pool.release(connection)

    tasks: list[asyncio.Task[None]] = []
    for _ in range(400):
        tasks.append(asyncio.create_task(use()))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    await some_turns()

    assert {type(each) for each in done} <= {type(None), asyncio.CancelledError}
    assert pool.state.in_use == 0
    assert pool.state.open == server.open_now <= 2


@pytest.mark.parametrize("refuses", [False, True])
async def test_who_is_cancelled_while_one_is_opened_ends_so_although_that_is_dropped(
    lend: Lend, server: Server, refuses: bool
) -> None:
    pool = lend()
    server.is_deaf = True
    server.refuses = refuses
    task, after = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.refuses = False

    # What was opened goes to who waits, as does the place of what was not.
    assert (await asyncio.wait_for(after, 5)) is server.opened[0]
    assert server.open_now == 1
