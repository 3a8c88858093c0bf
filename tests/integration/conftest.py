"""What coverage leaves out."""

import pytest

from tests.tracing import MEASURING


@pytest.fixture(autouse=True)
def _unmeasured(request: pytest.FixtureRequest) -> None:
    """Measure nothing of what a test starts only to kill it or to put load on it: that takes twice the CPU time."""
    if request.node.get_closest_marker("faults") is not None:
        monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        for name in MEASURING:
            monkeypatch.delenv(name, raising=False)
