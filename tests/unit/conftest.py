"""Fixtures of the unit tests."""

import pytest

from tests.unit.world import World


@pytest.fixture
async def world() -> World:
    return World()
