"""Environments of contenders: what is installed there, whatever is installed here."""

from pathlib import Path

import pytest

from bench.environments import Environment
from bench.servers import Unavailable


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Make one with an interpreter and one package, which nobody else has."""
    described = tmp_path / "lib" / "python3.11" / "site-packages" / "only_there-4.5.dist-info" / "METADATA"
    described.parent.mkdir(parents=True)
    described.write_text("Metadata-Version: 2.1\nName: only-there\nVersion: 4.5\n", encoding="utf-8")
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.touch(mode=0o755)
    return Environment(tmp_path)


def test_versions_are_those_of_the_environment_and_not_of_this_one(environment: Environment) -> None:
    # pytest is installed where this runs, and not there.
    assert environment.versions("only-there", "pytest") == {"only-there": "4.5"}


def test_what_is_missing_there_is_named_with_what_to_do(environment: Environment) -> None:
    environment.need("only-there")
    with pytest.raises(Unavailable, match=r"pytest: not installed; `make bench`"):
        environment.need("only-there", "pytest")


def test_an_environment_that_was_never_made_is_unavailable(environment: Environment, tmp_path: Path) -> None:
    assert environment.python == str(tmp_path / "bin" / "python")
    with pytest.raises(Unavailable, match="make bench"):
        _ = Environment(tmp_path / "none").python
