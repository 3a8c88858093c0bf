"""The proof of `make torture-events`, as much of it as a test may take: relays are processes, killed at work."""

import asyncio

import pytest

from adapters.sql.schema.migrate import upgrade
from tests.backends import Databases, in_thread
from tools.torture_events import Plan, torture


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("backend", "broker"), [("mariadb", "redis"), ("postgresql", "rabbitmq")])
def test_killed_relays_lose_nothing_and_keep_the_order(
    databases: Databases, request: pytest.FixtureRequest, backend: str, broker: str
) -> None:
    request.getfixturevalue(f"{broker}_url")  # Skips without the broker.
    databases.url(backend)
    url = databases.create(backend, "_torture")
    try:
        upgrade(url)
        plan = Plan(backend, broker, events=400, relays=2, kills=3, batch=10, cuts=1)
        assert in_thread(lambda: asyncio.run(torture(plan, url)))
    finally:
        databases.drop(backend, url)
