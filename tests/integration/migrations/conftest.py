"""Databases that no migration has seen."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.backends import Databases

_numbers = count(1)


@pytest.fixture
def fresh_url(sql_backend: str, databases: Databases) -> Iterator[str]:
    """Where a new, empty database of this backend is."""
    databases.url(sql_backend)  # Skips when there is no server.
    url = databases.create(sql_backend, f"_fresh_{next(_numbers)}")
    yield url
    databases.drop(sql_backend, url)
