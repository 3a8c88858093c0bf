"""Limits that processes count together in Redis, and what they do while it is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from adapters.rate_limit.redis import KEY_PREFIX, RedisRateLimiter
from adapters.rate_limit.windows import MemoryRateLimiter
from adapters.shared.redis import Command, RedisConnection, Replies
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimiter
from tests.integration.cache.servers import RedisServer
from tests.waiting import all_end_with, at_once

TEN = Limit("ten", 10, 60)
OTHER = Limit("other", 5, 3600)
OpenLimiter = Callable[..., RateLimiter]


@pytest.fixture
async def open_limiter() -> AsyncIterator[OpenLimiter]:
    """Opens the limiter of one more process."""
    connections: list[RedisConnection] = []

    def open_(url: str) -> RateLimiter:
        connections.append(RedisConnection(url, name="limits"))
        return RedisRateLimiter(connections[-1], MemoryRateLimiter())

    yield open_
    for connection in connections:
        await connection.close()


async def once(limiter: RateLimiter) -> LimitState:
    (state,) = await limiter.take([Charge(TEN, "alice")])
    return state


async def test_two_processes_use_up_one_amount_together(server: RedisServer, open_limiter: OpenLimiter) -> None:
    left, right = open_limiter(server.url), open_limiter(server.url)

    states = await asyncio.gather(*(once(limiter) for limiter in (left, right) for _ in range(15)))

    assert sum(not state.is_exceeded for state in states) == 10
    assert min(state.remaining for state in states) == -20


class CountedConnection(RedisConnection):
    """Counts its exchanges."""

    exchanges = 0

    async def ask(self, *commands: Command) -> Replies:
        self.exchanges += 1
        return await super().ask(*commands)


async def test_all_limits_of_a_request_travel_in_one_exchange(server: RedisServer) -> None:
    connection = CountedConnection(server.url)
    limiter = RedisRateLimiter(connection, MemoryRateLimiter())

    states = await limiter.take([Charge(TEN, "alice"), Charge(OTHER, "alice"), Charge(OTHER, "192.0.2.7", 0)])

    await connection.close()
    assert connection.exchanges == 1
    assert [state.remaining for state in states] == [9, 4, 5]


async def test_every_counter_ends(server: RedisServer, open_limiter: OpenLimiter) -> None:
    limiter = open_limiter(server.url)
    await limiter.take([Charge(TEN, "alice"), Charge(OTHER, "bob", 0), Charge(OTHER, "carol", -1)])

    for limit, subject in ((TEN, "alice"), (OTHER, "bob"), (OTHER, "carol")):
        answer = server.command("TTL", f"{KEY_PREFIX}{limit.name}:{subject}")
        assert 0 < int(answer.strip().lstrip(b":")) <= limit.seconds


async def test_a_redis_that_dies_holds_nobody_up_and_each_process_counts_alone(
    server: RedisServer, open_limiter: OpenLimiter
) -> None:
    limiter = open_limiter(server.url)
    assert [(await once(limiter)).remaining for _ in range(8)] == [9, 8, 7, 6, 5, 4, 3, 2]

    server.kill()
    await once(limiter)  # finds out
    states = [at_once(once(limiter)) for _ in range(20)]

    assert [state.is_exceeded for state in states] == [False] * 9 + [True] * 11


async def test_a_redis_that_hangs_costs_those_who_wait_one_time_out_and_nobody_after(
    server: RedisServer, open_limiter: OpenLimiter
) -> None:
    limiter = open_limiter(server.url)
    await once(limiter)
    server.freeze()
    try:
        await all_end_with({asyncio.create_task(once(limiter)) for _ in range(5)})
        for _ in range(50):
            at_once(once(limiter))
    finally:
        server.thaw()


async def test_when_redis_is_back_they_count_together_again(server: RedisServer, open_limiter: OpenLimiter) -> None:
    left, right = open_limiter(server.url), open_limiter(server.url)
    await once(left)
    server.kill()
    for limiter in (left, right):
        await once(limiter)
    server.start()

    deadline = time.monotonic() + 10
    while server.command("EXISTS", f"{KEY_PREFIX}ten:alice") != b":1\r\n":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
        await once(left)
    while (await once(left)).remaining != (await once(right)).remaining + 1:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
