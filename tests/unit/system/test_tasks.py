"""Tasks that are ended have ended."""

import asyncio

import pytest

from adapters.shared.tasks import end


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end([task])
    assert task.cancelled()
    assert lost == 3


async def test_a_loop_around_wait_for_ends_even_when_its_answer_comes_with_the_cancellation() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def watch() -> None:
        first = answer
        while True:
            await asyncio.wait_for(first, 60)
            first = asyncio.get_running_loop().create_future()

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)
    answer.set_result(None)
    async with asyncio.timeout(5):
        await end([task])
    assert task.cancelled()


@pytest.mark.parametrize("outcome", [None, ValueError("its own failure")])
async def test_a_task_that_ended_before_is_none_of_our_business(outcome: Exception | None) -> None:
    async def work() -> None:
        if outcome is not None:
            raise outcome

    task = asyncio.create_task(work())
    await asyncio.wait([task])
    await end([task])
    assert task.done()
    assert outcome is None or task.exception() is outcome
