"""What coverage measures of processes that tests start."""

import os

import pytest

from tests.tracing import MEASURING

_found: dict[str, str] = {}
"""What tells processes to measure themselves, by the name of its variable."""


def pytest_collection_finish() -> None:
    # A start takes 1 s of a processor, and 3 to 5 s when it is measured.
    for name in MEASURING & os.environ.keys():
        _found[name] = os.environ.pop(name)


@pytest.fixture(autouse=True)
def _measured(request: pytest.FixtureRequest) -> None:
    """Measure the processes of the few tests that are marked so, which between them run every line."""
    if request.node.get_closest_marker("measured") is not None:
        monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        for name, value in _found.items():
            monkeypatch.setenv(name, value)
