"""Fixtures: a Redis of one's own, and processes that use it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from domain.identity.user import User
from tests.builders import a_user
from tests.integration.cache.servers import Cluster, RedisServer, Wire


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def wire(server: RedisServer) -> AsyncIterator[Wire]:
    wire = Wire(server.port)
    await wire.start()
    yield wire
    await wire.stop()


@pytest.fixture
async def alice() -> User:
    return a_user("alice")


@pytest.fixture
async def cluster(server: RedisServer, alice: User) -> AsyncIterator[Cluster]:
    cluster = Cluster(server.url)
    await cluster.add_user(alice)
    yield cluster
    await cluster.leave()
