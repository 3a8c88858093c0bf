"""What every `CacheFence` promises."""

import asyncio
from collections.abc import Callable

from application.shared.fence import CacheFence

OpenFence = Callable[[], CacheFence]


async def test_no_fence_is_up_to_begin_with(open_fence: OpenFence) -> None:
    assert await open_fence().is_up() is False


async def test_a_raised_fence_is_seen_by_every_process(open_fence: OpenFence) -> None:
    ours, theirs = open_fence(), open_fence()

    await ours.raise_for(60)

    assert await ours.is_up() is True
    assert await theirs.is_up() is True


async def test_a_lowered_fence_is_down_for_every_process(open_fence: OpenFence) -> None:
    ours, theirs = open_fence(), open_fence()
    await ours.raise_for(60)

    await ours.lower()

    assert await ours.is_up() is False
    assert await theirs.is_up() is False


async def test_a_process_lowers_its_own_fence_alone(open_fence: OpenFence) -> None:
    ours, theirs = open_fence(), open_fence()
    await ours.raise_for(60)
    await theirs.raise_for(60)

    await ours.lower()

    assert await ours.is_up() is True
    await theirs.lower()
    assert await ours.is_up() is False


async def test_lowering_what_was_never_raised_is_nothing(open_fence: OpenFence) -> None:
    fence = open_fence()

    await fence.lower()

    assert await fence.is_up() is False


async def test_a_fence_comes_down_by_itself(open_fence: OpenFence) -> None:
    ours, theirs = open_fence(), open_fence()

    await ours.raise_for(1)
    assert await theirs.is_up() is True

    async with asyncio.timeout(30):
        while await theirs.is_up():  # noqa: ASYNC110 - a fence tells of no event
            await asyncio.sleep(0.05)


async def test_raising_again_extends_the_time(open_fence: OpenFence) -> None:
    fence = open_fence()

    await fence.raise_for(0.2)
    await fence.raise_for(60)
    await asyncio.sleep(0.4)

    assert await fence.is_up() is True
