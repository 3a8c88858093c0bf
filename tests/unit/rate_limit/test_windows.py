"""Windows in memory, by a clock that is set."""

from adapters.rate_limit.windows import MemoryRateLimiter, WindowStorage
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimited, client_network


class Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_lasts_its_seconds_and_not_one_longer() -> None:
    timer = Timer()
    storage = WindowStorage(timer=timer)
    assert storage.count("alice", 60, 1) == (1, 60)

    timer.now += 59.5
    assert storage.count("alice", 60, 1) == (2, 0.5)

    timer.now += 0.5
    assert (storage.get("alice"), storage.count("alice", 60, 1)) == (0, (1, 60))


def test_a_count_never_falls_below_nothing() -> None:
    storage = WindowStorage(timer=Timer())
    storage.count("alice", 60, 1)
    assert [storage.count("alice", 60, -1)[0] for _ in range(3)] == [0, 0, 0]
    assert storage.count("nobody", 60, -1) == (0, 60)
    assert len(storage) == 1


def test_windows_that_have_ended_are_forgotten_as_others_begin() -> None:
    timer = Timer()
    storage = WindowStorage(timer=timer)
    for n in range(1000):
        storage.count(f"early {n}", 60, 1)
    timer.now += 61

    for n in range(500):
        storage.count(f"late {n}", 60, 1)

    assert len(storage) == 500


def test_no_more_windows_than_allowed_and_the_oldest_go_first() -> None:
    storage = WindowStorage(timer=Timer(), max_windows=100)
    for n in range(1000):
        storage.count(f"{n}", 60, 1)

    assert len(storage) == 100
    assert [storage.get("899"), storage.get("900"), storage.get("999")] == [0, 1, 1]


async def test_a_flood_of_one_limit_leaves_the_windows_of_another_alone() -> None:
    limiter = MemoryRateLimiter(max_windows=10)
    precious, flooded = Limit("log-in", 3, 60), Limit("address", 3, 60)
    await limiter.take([Charge(precious, "alice")])
    for n in range(100):
        await limiter.take([Charge(flooded, str(n))])

    assert [standing.remaining for standing in await limiter.take([Charge(precious, "alice", 0)])] == [2]


def test_a_place_is_an_ipv4_address_or_the_64_of_an_ipv6_one() -> None:
    assert client_network("192.0.2.7") == "192.0.2.7"
    assert client_network("2001:db8:1:2:3:4:5:6") == client_network("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert client_network("2001:db8:1:3::") == "2001:db8:1:3::/64"
    assert client_network("::ffff:192.0.2.7") == "192.0.2.7"
    assert client_network("a socket") == "a socket"


def test_the_wait_is_that_of_the_longest_limit_that_is_exceeded_in_whole_seconds() -> None:
    minute, hour = Limit("minute", 1, 60), Limit("hour", 1, 3600)

    assert RateLimited([LimitState(minute, -1, 30.2), LimitState(hour, 0, 3000)]).retry_after_seconds == 31
    assert RateLimited([LimitState(minute, -1, 30.2), LimitState(hour, -1, 3000)]).retry_after_seconds == 3000
    assert RateLimited([LimitState(minute, -1, 0)]).retry_after_seconds == 1
