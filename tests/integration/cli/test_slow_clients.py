"""Honest clients among slow ones, in short; `make torture-slow` is the long form, which holds times as well."""

import sys
from pathlib import Path

import pytest

from tests.backends import missing
from tools.torture_slow import MOST_MEMORY_MB, SlowClientGroup, served, torture


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_honest_clients_are_answered_among_slow_ones_of_the_same_address(tmp_path: Path) -> None:
    if sys.platform != "linux":
        missing("no Linux")
    with served(tmp_path, WORKERS="1", TRANSFERS_PER_ADDRESS="16", CONNECTIONS_PER_ADDRESS="128") as server:
        result = await torture(server, SlowClientGroup(dripping=200, unread=50, idle=100), quiet_seconds=2, seconds=8)

    assert all(not honest.failures for honest in result.loud.values()), str(result)
    assert all(honest.seconds for honest in result.loud.values())
    assert result.grown_mb < MOST_MEMORY_MB
    # They were kept out by what keeps them out.
    assert result.outcomes["drip: 429"] > 0
    assert result.outcomes["idle: ended"] > 0
    assert result.outcomes["leave_unread: ended"] > 0
