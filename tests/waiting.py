"""Waiting for what tells nobody that it has happened."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once `condition` holds. Raises `TimeoutError` after far more time than it takes on a busy machine."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)
