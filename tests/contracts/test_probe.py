"""What every storage `Probe` promises."""

import asyncio

from entrypoints.storage import Storage


async def test_a_storage_that_answers_is_healthy(storage: Storage) -> None:
    async with asyncio.timeout(10):
        await storage.probe.check()


async def test_a_probe_can_be_asked_by_many_at_once(storage: Storage) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(*(storage.probe.check() for _ in range(20)))
