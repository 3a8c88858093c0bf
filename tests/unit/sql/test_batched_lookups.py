"""Look-ups made together: who gets what, and what becomes of those who wait when one fails."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.sql.batched_lookups import KEYS_A_LOOK_UP, LOOK_UPS_AT_ONCE, BatchedLookups, padded
from application.shared.errors import StorageUnavailable


class Numbers(BatchedLookups[UUID, str]):
    """Knows even keys, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[int]] = []
        self.began = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.under_way = 0
        self.most_under_way = 0

    async def read(self, keys: Sequence[UUID]) -> dict[int, str]:
        self.asked.append([key.int for key in keys])
        self.began.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.open.wait()
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.failure is not None:
            raise self.failure
        return {key.int: f"number {key.int}" for key in keys if key.int % 2 == 0}


async def all_of(numbers: Numbers, *keys: int) -> list[object]:
    return await asyncio.gather(*(numbers.look_up(UUID(int=key)) for key in keys), return_exceptions=True)


async def test_those_of_one_moment_share_a_look_up_and_each_gets_their_own() -> None:
    numbers = Numbers()
    assert await all_of(numbers, 2, 3, 4, 2) == ["number 2", None, "number 4", "number 2"]
    assert numbers.asked == [[2, 3, 4]]


async def test_few_are_under_way_and_none_is_too_large() -> None:
    numbers = Numbers()
    count = 5 * KEYS_A_LOOK_UP + 1
    assert len(await all_of(numbers, *range(count))) == count
    assert sorted(key for keys in numbers.asked for key in keys) == list(range(count))
    assert max(map(len, numbers.asked)) == KEYS_A_LOOK_UP
    assert numbers.most_under_way == LOOK_UPS_AT_ONCE


async def test_a_failure_is_raised_where_it_was_asked_and_nowhere_else() -> None:
    numbers = Numbers()
    numbers.failure = StorageUnavailable("away")
    assert await all_of(numbers, 2, 3) == [numbers.failure, numbers.failure]
    numbers.failure = None
    assert await all_of(numbers, 2) == ["number 2"]


async def test_where_none_will_do_a_storage_that_is_away_raises_nothing() -> None:
    numbers = Numbers()
    numbers.is_none_when_unavailable = True  # type: ignore[misc]  # of a class, otherwise
    numbers.failure = StorageUnavailable("away")
    assert await all_of(numbers, 2, 3) == [None, None]
    numbers.failure = ValueError("a fault of ours")
    assert await all_of(numbers, 2) == [numbers.failure]


async def test_nobody_waits_for_ever_when_the_look_up_is_cancelled() -> None:
    numbers = Numbers()
    numbers.open.clear()
    waiting = asyncio.create_task(all_of(numbers, 2, 4))
    await numbers.began.wait()
    (task,) = numbers._under_way
    task.cancel()
    first, second = await waiting
    assert isinstance(first, StorageUnavailable)
    assert isinstance(second, StorageUnavailable)
    numbers.open.set()
    assert await all_of(numbers, 2) == ["number 2"]


@pytest.mark.parametrize(("keys", "places"), [(1, 1), (2, 2), (3, 4), (33, 64), (64, 64)])
def test_keys_are_padded_to_a_power_of_two_with_one_of_them(keys: int, places: int) -> None:
    given = [UUID(int=number) for number in range(keys)]
    parameters = padded(given)
    assert len(parameters) == places
    assert set(parameters.values()) == set(given)
