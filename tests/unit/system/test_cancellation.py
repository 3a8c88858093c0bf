"""A cancellation that comes while a block runs ends it, whatever the block makes of it."""

import asyncio
from contextlib import suppress

import pytest

from adapters.shared.cancellation import CancellationKept, CancelledInCommit


async def cancelled_in(ending: Exception | asyncio.CancelledError | None) -> asyncio.Task[str]:
    """Return a task that was cancelled in a block which dropped that, and ended with `ending`."""

    async def work() -> str:
        with CancellationKept():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if ending is not None:
                    raise ending from None
            return "went on"

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    return task


@pytest.mark.parametrize("ending", [None, ConnectionError(), asyncio.CancelledError()])
async def test_it_ends_cancelled(ending: Exception | asyncio.CancelledError | None) -> None:
    assert (await cancelled_in(ending)).cancelled()


async def test_a_cancellation_that_says_more_is_kept() -> None:
    with pytest.raises(CancelledInCommit):
        await (await cancelled_in(CancelledInCommit()))


async def test_one_that_came_before_does_not_count() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            with CancellationKept():
                await asyncio.sleep(0)
            return "cleaned up"
        return "went on"

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"


async def test_a_time_out_around_it_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            with CancellationKept(), suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
