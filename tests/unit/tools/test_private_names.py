"""Private names of other libraries are where they may be, are known, and are there."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Insert, create_engine
from sqlalchemy.engine import RootTransaction

from adapters.sql.engine.fast.private_names import USED, missing, require_private_names
from tools.private_names import check, main, uses

pytestmark = pytest.mark.untraced

ROOT = Path(__file__).parents[3]
FAST = "adapters/sql/engine/fast"
ADAPTERS = {
    "asyncmy": ("sqlalchemy.dialects.mysql.asyncmy", "AsyncAdapt_asyncmy_connection"),
    "asyncpg": ("sqlalchemy.dialects.postgresql.asyncpg", "AsyncAdapt_asyncpg_connection"),
}


@pytest.mark.parametrize(
    "line",
    [
        "print(connection._secret)",
        "self.driver._secret = 1",
        "from library import _secret",
        "from library._secret import thing",
        "import library._secret",
        "getattr(connection, '_secret')",
        "setattr(self.driver, '_secret', 1)",
    ],
)
def test_a_private_name_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "planted.py").write_text(f"x = 1\n{line}  # noqa: SLF001 # it does not help\n")

    (found,) = check(tmp_path)

    assert found.startswith("planted.py:2: _secret is private to ")


@pytest.mark.parametrize(
    "line",
    [
        "self._own",
        "row._replace(a=1)",
        "class A:\n    def _mine(self, other): return other._mine()",
        "getattr(self, name)",
        "_, rest = pair",
    ],
)
def test_what_is_of_the_module_itself_or_documented_passes(tmp_path: Path, line: str) -> None:
    (tmp_path / "planted.py").write_text(f"{line}\n")

    assert check(tmp_path) == []


def test_it_is_allowed_in_the_fast_engine_alone(tmp_path: Path) -> None:
    for place in (f"{FAST}/new.py", "adapters/sql/engine/plain.py", "entrypoints/cli/worker.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("connection._secret\n")

    assert [line.partition(":")[0] for line in check(tmp_path)] == [
        "adapters/sql/engine/plain.py",
        "entrypoints/cli/worker.py",
    ]


def test_the_sources_keep_to_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["private_names", str(ROOT / "src")])

    assert main() == 0
    assert capsys.readouterr().out == ""


def test_the_table_of_the_fast_engine_is_complete_and_has_nothing_else() -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file in (ROOT / "src" / FAST).rglob("*.py"):
        for use in uses(ast.parse(file.read_text())):
            found[use.owner].add(use.name)
    listed: defaultdict[str, set[str]] = defaultdict(set)
    for owners in USED.values():
        for owner, names in owners.items():
            listed[owner] |= names

    assert found == listed


def installed(library: str) -> dict[str, object]:
    """Return what the names are of, as far as it can be had without a server, on a loop."""
    if library == "sqlalchemy":
        with create_engine("sqlite://").connect() as connection:
            return {"connection": connection, "transaction": RootTransaction, "statement": Insert}
    module, name = ADAPTERS[library]
    owners = {"adapter": getattr(import_module(module), name)}
    if library == "asyncmy":
        owners["driver"] = import_module("asyncmy.connection").Connection()
    return owners


@pytest.mark.parametrize("library", USED)
async def test_the_installed_libraries_have_them(library: str) -> None:
    assert missing(library, installed(library)) == []


@pytest.mark.parametrize(("owner", "name"), [("adapter", "_handle_exception"), ("driver", "_transport")])
def test_one_that_is_gone_is_named_with_the_way_out(owner: str, name: str) -> None:
    owners: dict[str, Any] = {
        which: SimpleNamespace(**dict.fromkeys(names)) for which, names in USED["asyncmy"].items()
    }
    delattr(owners[owner], name)
    owners["adapter"].driver_connection = owners["driver"]
    connection: Any = SimpleNamespace(
        _transaction=None,
        connection=SimpleNamespace(dbapi_connection=owners["adapter"]),
        dialect=SimpleNamespace(driver="asyncmy"),
    )

    with pytest.raises(RuntimeError, match=rf"asyncmy [0-9.]+ has no {owner}\.{name}: set DATABASE_ENGINE=plain"):
        require_private_names(connection)


@pytest.mark.parametrize("library", [*USED, "granian"])
def test_a_library_with_private_names_in_use_has_an_upper_bound(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    (asked,) = [line for line in project["dependencies"] if re.match(rf"{library}\b", line)]

    assert re.search(r",<[0-9]", asked)
