"""Waiting for what tells nobody that it has happened."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once `condition` holds. Raises `TimeoutError` after far more time than it takes on a busy machine."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


async def time_passes(seconds: float) -> None:
    """Let the running loop's clock leap ahead, and whatever is due by then run: timers, sleeps and time-outs."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
    await some_turns()


async def some_turns() -> None:
    """Let what is ready run, and what becomes ready by that."""
    for _ in range(10):
        await asyncio.sleep(0)


def at_once(scenario: Coroutine[Any, Any, T]) -> T:
    """Return what it returns, or raise what it raises. Fails if it waits for anything, however short."""
    try:
        scenario.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    scenario.close()
    raise AssertionError("it waited")


async def all_end_with(tasks: set["asyncio.Task[Any]"]) -> None:
    """Return once the first of them has ended; fail unless the others end in the same moment, whatever the clock says.

    A moment is a few turns of the event loop, which carry what has ended from one waiter to the next.
    """
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await some_turns()
    late = sum(not task.done() for task in tasks)
    assert not late, f"{late} of {len(tasks)} still wait"
