"""Connections are lent to one user at a time, in turn, and what is lost is never lent again."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.sql.engine.fast.servers.pool import Lease, Leases
from tests.waiting import some_turns, time_passes


class Imagined(Lease):
    """A connection to nowhere."""

    __slots__ = ("answers", "asked", "closed", "closing", "gone")

    def __init__(self) -> None:
        self.born = self.idle_since = time.monotonic()
        self.lost = self.was_cut = self.was_demoted = False
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
            self.lose(was_cut=True)
        return self.answers

    async def close(self) -> None:
        await self.closing.wait()
        self.closed = True
        self.gone.set()

    def lose(self, *, was_cut: bool) -> None:
        self._lose(was_cut=was_cut)


class Server:
    """Opens connections, and remembers them."""

    def __init__(self) -> None:
        self.opened: list[Imagined] = []
        self.refuses = False
        self.is_deaf = False
        """Whether a cancellation is dropped while a connection is opened."""

    async def open(self) -> Lease:
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


Lend = Callable[..., Leases]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def lend(server: Server) -> Lend:
    def leases(
        *, size: int = 1, overflow: int = 0, wait_seconds: float = 5.0, ping_after_idle_seconds: float = 60.0
    ) -> Leases:
        return Leases(
            "reads",
            server.open,
            size=size,
            overflow=overflow,
            wait_seconds=wait_seconds,
            ping_after_idle_seconds=ping_after_idle_seconds,
        )

    return leases


async def waiting_for(leases: Leases, count: int) -> list[asyncio.Task[Lease]]:
    tasks = [asyncio.create_task(leases.take()) for _ in range(count)]
    await some_turns()
    return tasks


def test_nothing_is_there_to_be_taken_at_first(lend: Lend) -> None:
    assert lend().take_now() is None


async def test_the_connection_that_was_used_last_is_lent_first(lend: Lend) -> None:
    leases = lend(size=2)
    first, second = await leases.take(), await leases.take()
    leases.give_back(first)
    leases.give_back(second)

    assert leases.take_now() is second
    assert leases.take_now() is first
    assert leases.take_now() is None


async def test_whoever_waits_is_served_in_turn(lend: Lend) -> None:
    leases = lend()
    lease = await leases.take()
    one, two = await waiting_for(leases, 2)

    leases.give_back(lease)
    # Nobody overtakes those who wait.
    assert leases.take_now() is None
    await some_turns()
    assert one.result() is lease
    assert not two.done()
    leases.give_back(lease)
    assert await two is lease


async def test_whoever_waits_too_long_is_told_so_and_the_others_wait_on(lend: Lend, server: Server) -> None:
    leases = lend(wait_seconds=60)
    lease = await leases.take()
    (early,) = await waiting_for(leases, 1)
    await time_passes(30)
    (late,) = await waiting_for(leases, 1)
    assert not early.done()

    await time_passes(31)
    with pytest.raises(PoolTimeoutError):
        await early
    assert not late.done()
    await time_passes(30)
    with pytest.raises(PoolTimeoutError):
        await late
    leases.give_back(lease)
    assert leases.take_now() is lease
    assert len(server.opened) == 1


async def test_no_more_are_open_than_there_may_be_and_what_was_opened_for_a_peak_is_closed(
    lend: Lend, server: Server
) -> None:
    leases = lend(size=1, overflow=2)
    tasks = await waiting_for(leases, 5)
    taken = [task.result() for task in tasks if task.done()]
    assert len(taken) == server.open_now == 3
    assert leases.state == ("reads", 3, 3, 3)

    for lease in taken:
        leases.give_back(lease)
    await some_turns()
    for task in tasks[3:]:
        leases.give_back(task.result())
    await some_turns()
    assert server.open_now == 1
    assert leases.state == ("reads", 3, 1, 0)


async def test_a_lost_connection_is_closed_and_its_place_is_free_when_that_is_done(lend: Lend, server: Server) -> None:
    leases = lend()
    lost = await leases.take()
    (waiting,) = await waiting_for(leases, 1)

    server.opened[0].lose(was_cut=False)
    server.opened[0].closing.clear()
    leases.give_back(lost)
    await some_turns()
    assert not waiting.done()
    assert leases.state == ("reads", 1, 1, 0)

    server.opened[0].closing.set()
    await some_turns()
    assert waiting.result() is server.opened[1]


async def test_a_connection_that_was_cut_off_makes_all_of_its_age_suspect_and_none_that_is_younger(
    lend: Lend, server: Server
) -> None:
    leases = lend(size=3)
    first, second, third = [await leases.take() for _ in range(3)]
    leases.give_back(first)
    server.opened[1].lose(was_cut=True)
    leases.give_back(second)

    assert leases.take_now() is None
    younger = await leases.take()
    assert server.opened[0].closed
    assert younger is server.opened[3]
    leases.give_back(younger)
    # It was suspect already: that it was cut off says nothing of the younger one.
    server.opened[2].lose(was_cut=True)
    leases.give_back(third)
    assert leases.take_now() is younger


async def test_a_connection_lost_by_our_own_doing_says_nothing_of_the_others(lend: Lend, server: Server) -> None:
    leases = lend(size=2)
    first, second = await leases.take(), await leases.take()
    server.opened[0].lose(was_cut=False)
    leases.give_back(first)
    leases.give_back(second)

    assert leases.take_now() is second


async def test_one_that_lay_idle_is_asked_before_it_is_lent(lend: Lend, server: Server) -> None:
    leases = lend(ping_after_idle_seconds=0)
    lease = await leases.take()
    leases.give_back(lease)

    assert leases.take_now() is None
    assert await leases.take() is lease
    assert server.opened[0].asked == 1
    leases.give_back(lease)
    server.opened[0].answers = False
    assert await leases.take() is server.opened[1]
    assert server.opened[0].closed


async def test_whoever_hangs_up_in_the_moment_in_which_it_is_served_passes_it_on(lend: Lend) -> None:
    leases = lend()
    lease = await leases.take()
    one, two = await waiting_for(leases, 2)

    leases.give_back(lease)
    one.cancel()
    assert await two is lease
    assert one.cancelled()


async def test_whoever_hangs_up_in_the_moment_in_which_a_place_is_free_passes_it_on(lend: Lend, server: Server) -> None:
    leases = lend()
    lost = await leases.take()
    server.opened[0].closing.clear()
    server.opened[0].lose(was_cut=False)
    leases.give_back(lost)
    one, two = await waiting_for(leases, 2)

    server.opened[0].closing.set()
    await server.opened[0].gone.wait()
    # Now the place is given, and in the next moment it would be taken.
    await asyncio.sleep(0)
    one.cancel()
    assert await two is server.opened[1]


async def test_a_place_in_which_none_could_be_opened_goes_to_the_next(lend: Lend, server: Server) -> None:
    leases = lend()
    server.refuses = True
    one, two = asyncio.create_task(leases.take()), asyncio.create_task(leases.take())
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await one
    server.refuses = False

    assert await two is server.opened[0]


async def test_what_is_disposed_of_closes_what_is_free_and_what_comes_back(lend: Lend, server: Server) -> None:
    leases = lend(size=2)
    free, lent = await leases.take(), await leases.take()
    leases.give_back(free)

    await leases.dispose()
    assert [each.closed for each in server.opened] == [True, False]
    leases.give_back(lent)
    await some_turns()
    assert server.open_now == 0


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_nobody_shares_a_connection_and_none_goes_missing(
    lend: Lend, server: Server, seed: int
) -> None:
    chance = random.Random(seed)
    leases = lend(size=2, overflow=1, ping_after_idle_seconds=0.0005)
    in_use: set[int] = set()

    async def use() -> None:
        lease = leases.take_now() or await leases.take()
        try:
            assert isinstance(lease, Imagined)
            assert not lease.lost
            assert id(lease) not in in_use
            in_use.add(id(lease))
            assert server.open_now <= 3
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                lease.lose(was_cut=chance.random() < 0.5)
        except asyncio.CancelledError:
            lease.forsake()
            raise
        finally:
            in_use.discard(id(lease))
            leases.give_back(lease)

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
    assert leases.state.in_use == 0
    assert leases.state.open == server.open_now <= 2


@pytest.mark.parametrize("refuses", [False, True])
async def test_who_is_cancelled_while_one_is_opened_ends_so_although_that_is_dropped(
    lend: Lend, server: Server, refuses: bool
) -> None:
    leases = lend()
    server.is_deaf = True
    server.refuses = refuses
    task, after = asyncio.create_task(leases.take()), asyncio.create_task(leases.take())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.refuses = False

    # What was opened goes to who waits, as does the place of what was not.
    assert (await asyncio.wait_for(after, 5)) is server.opened[0]
    assert server.open_now == 1
