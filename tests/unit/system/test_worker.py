"""A worker that takes steps: until there is nothing to do, over failures, and to the end of the last one."""

import asyncio
import itertools
import logging

import pytest

from adapters.system.worker import Worker
from application.shared.errors import TransientFailure, Unavailable
from tests.waiting import until


async def test_it_goes_on_at_once_while_there_is_something_to_do() -> None:
    left = 50

    async def step() -> int:
        nonlocal left
        left -= left > 0
        return 1 if left else 0

    worker = Worker("a test", step, random=lambda: 0.5, idle_seconds=60)
    await worker.start()
    await until(lambda: left == 0)
    await worker.close()


async def test_it_looks_again_after_a_rest() -> None:
    looks = 0

    async def step() -> int:
        nonlocal looks
        looks += 1
        return 0

    worker = Worker("a test", step, random=lambda: 0.0, idle_seconds=0.01)
    await worker.start()
    await until(lambda: looks >= 5)
    await worker.close()


async def test_a_failure_is_told_once_and_so_is_the_recovery(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0

    async def step() -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise Unavailable("the broker is away")
        return 0

    worker = Worker("a test", step, random=lambda: 0.0, idle_seconds=0.01)
    with caplog.at_level(logging.WARNING, logger="postern.worker"):
        await worker.start()
        await until(lambda: attempts >= 6)
        await worker.close()

    assert [record.getMessage() for record in caplog.records] == [
        "a test failed and will be tried again: unavailable: the broker is away",
        "a test goes on after 3 failures",
    ]


@pytest.mark.parametrize(("lost", "lines"), [(4, 0), (6, 2)])
async def test_a_race_that_was_lost_is_told_when_several_were_in_a_row(
    lost: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = 0

    async def step() -> int:
        nonlocal attempts
        attempts += 1
        if attempts <= lost:
            raise TransientFailure
        return 0

    worker = Worker("a test", step, random=lambda: 0.0, idle_seconds=0.005)
    with caplog.at_level(logging.WARNING, logger="postern.worker"):
        await worker.start()
        await until(lambda: attempts >= lost + 2)
        await worker.close()

    assert len(caplog.records) == lines


async def test_a_defect_does_not_end_it_and_is_told_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0

    async def step() -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ZeroDivisionError
        return 0

    worker = Worker("a test", step, random=lambda: 0.0, idle_seconds=0.01)
    await worker.start()
    await until(lambda: attempts >= 3)
    await worker.close()

    assert [record.exc_info is not None for record in caplog.records] == [True, False]


async def test_rests_after_failures_grow_up_to_a_bound() -> None:
    begun = asyncio.get_running_loop().time()
    moments: list[float] = []

    async def step() -> int:
        moments.append(asyncio.get_running_loop().time() - begun)
        raise Unavailable

    worker = Worker("a test", step, random=lambda: 0.999, idle_seconds=0.02, longest_seconds=0.16)
    await worker.start()
    await until(lambda: len(moments) >= 6)
    await worker.close()

    rests = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(rest >= bound for rest, bound in zip(rests, [0.035, 0.07, 0.14, 0.14, 0.14], strict=False))
    assert rests[4] < 2


async def test_closing_lets_the_step_that_is_under_way_end() -> None:
    began, ended = asyncio.Event(), False

    async def step() -> int:
        nonlocal ended
        began.set()
        await asyncio.sleep(0.1)
        ended = True
        return 1

    worker = Worker("a test", step, random=lambda: 0.5)
    await worker.start()
    await began.wait()
    await worker.close()
    await worker.close()

    assert ended


async def test_a_step_that_does_not_end_is_cancelled() -> None:
    began = asyncio.Event()

    async def step() -> int:
        began.set()
        await asyncio.sleep(60)
        return 1

    worker = Worker("a test", step, random=lambda: 0.5)
    await worker.start()
    await began.wait()
    async with asyncio.timeout(10):
        await worker.close(grace_seconds=0.05)
