"""Work that is due again and again."""

import asyncio
import logging

import pytest

from adapters.system.periodic import Periodic
from application.shared.errors import StorageUnavailable


async def test_it_goes_on_after_failures_and_stops_when_closed(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise StorageUnavailable
        if turns == 2:
            raise ZeroDivisionError
        done.set()

    periodic = Periodic("sweeping", work, seconds=0.001)
    with caplog.at_level(logging.WARNING, "postern.periodic"):
        await periodic.start()
        await asyncio.wait_for(done.wait(), 5)
        await periodic.close()
    after = turns

    await asyncio.sleep(0.01)

    assert turns == after
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


async def test_closing_what_was_never_started_is_fine() -> None:
    async def work() -> None: ...

    await Periodic("idle", work, seconds=1).close()
