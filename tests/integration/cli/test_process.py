"""Servers that are stopped, killed and reloaded under load: in short what `make torture-process` does at length."""

import sys
from pathlib import Path

import pytest

from tools.torture_process import kills, parents, reloads, stops

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
    pytest.mark.timeout(300),
]


async def test_a_server_that_is_stopped_under_load_answers_every_connection_it_has_taken(tmp_path: Path) -> None:
    await stops(tmp_path, 2)


async def test_a_reload_under_load_drops_and_refuses_nothing(tmp_path: Path) -> None:
    await reloads(tmp_path, 1)


async def test_workers_that_are_killed_again_and_again_lose_nothing_and_the_server_goes_on(tmp_path: Path) -> None:
    await kills(tmp_path, 3)


async def test_no_worker_outlives_its_parent_by_a_second(tmp_path: Path) -> None:
    await parents(tmp_path, 2)
