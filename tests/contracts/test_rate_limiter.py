"""What every rate limiter does, in memory and in Redis; and that memory counts as the library does."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from redis.asyncio import Redis

from adapters.rate_limit.redis import RedisRateLimiter
from adapters.rate_limit.windows import MemoryRateLimiter, WindowStorage
from adapters.shared.redis import RedisConnection
from application.shared.pending import settled
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimiter

THREE = Limit("three", 3, 60)
HUNDRED = Limit("hundred", 100, 60)


class Unreachable(RateLimiter):
    """Stands where nothing may fall back to."""

    async def take(self, charges: object) -> list[LimitState]:
        raise AssertionError(charges)

    def take_one(self, limit: Limit, subject: str) -> tuple[int, float]:
        raise AssertionError(limit, subject)


class Time(Protocol):
    """The time that windows are measured by."""

    async def passes(self, seconds: float) -> None: ...


class OwnTime:
    """The timer of the limiter in memory."""

    def __init__(self) -> None:
        self.now = 1000.0

    async def passes(self, seconds: float) -> None:
        self.now += seconds


class RedisTime:
    """Redis has a clock of its own, so the keys are brought as much nearer to their end."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix

    async def passes(self, seconds: float) -> None:
        async with Redis.from_url(self._url) as client:
            async for key in client.scan_iter(f"{self._prefix}*"):
                await client.pexpire(key, await client.pttl(key) - round(seconds * 1000))


@pytest.fixture(params=["memory", "redis"])
async def limiter_and_time(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RateLimiter, Time]]:
    if request.param == "memory":
        time = OwnTime()
        yield MemoryRateLimiter(timer=lambda: time.now), time
        return
    url = request.getfixturevalue("redis_url")
    prefix = f"test:{secrets.token_hex(8)}:"
    connection = RedisConnection(url, name="limits")
    yield RedisRateLimiter(connection, Unreachable(), prefix=prefix), RedisTime(url, prefix)
    await connection.close()


@pytest.fixture
def limiter(limiter_and_time: tuple[RateLimiter, Time]) -> RateLimiter:
    return limiter_and_time[0]


@pytest.fixture
def time(limiter_and_time: tuple[RateLimiter, Time]) -> Time:
    return limiter_and_time[1]


async def once(limiter: RateLimiter, limit: Limit, subject: str, cost: int = 1) -> LimitState:
    (state,) = await limiter.take([Charge(limit, subject, cost)])
    return state


async def test_the_amount_may_be_used_up_and_the_next_is_one_too_many(limiter: RateLimiter) -> None:
    states = [await once(limiter, THREE, "alice") for _ in range(4)]

    assert [state.remaining for state in states] == [2, 1, 0, -1]
    assert [state.is_exceeded for state in states] == [False, False, False, True]
    assert all(50 < state.resets_in <= 60 for state in states)


async def test_one_charge_alone_counts_as_any(limiter: RateLimiter) -> None:
    await once(limiter, THREE, "alice")
    remaining, resets_in = await settled(limiter.take_one(THREE, "alice"))
    assert remaining == 1
    assert 50 < resets_in <= 60
    assert (await once(limiter, THREE, "alice")).remaining == 0
    assert await settled(limiter.take_one(THREE, "alice")) == pytest.approx((-1, resets_in), abs=1)
    assert await settled(limiter.take_one(THREE, "bob")) == pytest.approx((2, 60), abs=1)


def test_memory_counts_at_once() -> None:
    assert isinstance(MemoryRateLimiter().take_one(THREE, "alice"), tuple)


async def test_subjects_and_limits_are_counted_apart(limiter: RateLimiter) -> None:
    await once(limiter, THREE, "alice")

    assert (await once(limiter, THREE, "bob")).remaining == 2
    assert (await once(limiter, HUNDRED, "alice")).remaining == 99


async def test_several_charges_are_all_counted_also_when_one_is_over(limiter: RateLimiter) -> None:
    for _ in range(3):
        await once(limiter, THREE, "alice")

    states = await limiter.take([Charge(THREE, "alice"), Charge(HUNDRED, "alice")])

    assert [(state.limit, state.remaining) for state in states] == [(THREE, -1), (HUNDRED, 99)]
    assert (await once(limiter, HUNDRED, "alice")).remaining == 98


async def test_no_charge_at_all_is_no_question(limiter: RateLimiter) -> None:
    assert await limiter.take([]) == []


async def test_looking_counts_nothing(limiter: RateLimiter) -> None:
    assert [(await once(limiter, THREE, "alice", 0)).remaining for _ in range(3)] == [3, 3, 3]
    await once(limiter, THREE, "alice")
    assert (await once(limiter, THREE, "alice", 0)).remaining == 2


async def test_what_is_taken_back_may_be_used_again(limiter: RateLimiter) -> None:
    for _ in range(3):
        await once(limiter, THREE, "alice")

    assert (await once(limiter, THREE, "alice", -1)).remaining == 1
    assert (await once(limiter, THREE, "alice")).remaining == 0


async def test_the_window_ends_and_everything_is_there_again(limiter: RateLimiter, time: Time) -> None:
    for _ in range(4):
        await once(limiter, THREE, "alice")

    await time.passes(50)
    assert (await once(limiter, THREE, "alice")).is_exceeded
    await time.passes(10)

    assert not (await once(limiter, THREE, "alice")).is_exceeded


async def test_a_window_is_not_prolonged_by_what_comes_during_it(limiter: RateLimiter, time: Time) -> None:
    first = await once(limiter, THREE, "alice")
    await time.passes(5)
    assert (await once(limiter, THREE, "alice")).resets_in <= first.resets_in - 5


async def test_fifty_at_once_use_up_exactly_what_there_is(limiter: RateLimiter) -> None:
    ten = Limit("ten", 10, 60)
    states = await asyncio.gather(*(once(limiter, ten, "alice") for _ in range(50)))

    assert sum(not state.is_exceeded for state in states) == 10


def test_memory_decides_as_the_library_does() -> None:
    item = RateLimitItemPerSecond(5, 60)
    library = MemoryStorage()
    ours, theirs = FixedWindowRateLimiter(WindowStorage()), FixedWindowRateLimiter(library)
    try:
        for subject, cost in [("a", 1), ("a", 2), ("b", 5), ("a", 2), ("a", 1), ("b", 1), ("a", 1)]:
            assert ours.test(item, subject, cost=cost) == theirs.test(item, subject, cost=cost)
            assert ours.hit(item, subject, cost=cost) == theirs.hit(item, subject, cost=cost)
            assert ours.get_window_stats(item, subject).remaining == theirs.get_window_stats(item, subject).remaining
    finally:
        library.timer.cancel()
