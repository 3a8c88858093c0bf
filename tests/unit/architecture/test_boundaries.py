"""The import contracts: the tree keeps all of them, and each fires on the violation it is there for, and alone."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PACKAGES = ("domain", "application", "adapters", "entrypoints")


@dataclass(frozen=True)
class Violation:
    """A line that a module must not have; `contract` is the one that says so."""

    contract: str
    module: str
    line: str


VIOLATIONS = [
    # In modules that nobody imports, so that nothing else depends on the wrong thing through them.
    Violation("layers", "domain/identity/planted.py", "import application.shared.clock"),
    Violation("layers", "application/posts/planted.py", "import adapters.system"),
    Violation("layers", "adapters/system/planted.py", "import entrypoints"),
    Violation("domain-contexts", "domain/posts/values.py", "import domain.identity.errors"),
    Violation("domain-contexts", "domain/shared/text.py", "import domain.posts.values"),
    Violation("domain-contexts", "domain/billing/__init__.py", ""),
    Violation("application-contexts", "application/identity/sign_up.py", "import application.posts.pages"),
    Violation("application-contexts", "application/shared/clock.py", "import application.identity.ports"),
    Violation("application-contexts", "application/billing/__init__.py", ""),
    Violation("own-context-identity", "application/identity/sign_up.py", "import domain.posts.values"),
    Violation("own-context-posts", "application/posts/publish_post.py", "import domain.identity.values"),
    Violation("own-context-orders", "application/orders/place_order.py", "import domain.posts.values"),
    Violation("own-context-webhooks", "application/webhooks/register_webhook.py", "import domain.posts.values"),
    Violation("adapters", "adapters/memory/store.py", "import adapters.sql"),
    Violation("adapters", "adapters/security/keys.py", "import adapters.system.clock"),
    Violation("adapters", "adapters/telegraph/__init__.py", ""),
    Violation("entrypoints", "entrypoints/settings/info.py", "import entrypoints.storage"),
    Violation("entrypoints", "entrypoints/gateway/__init__.py", ""),
    Violation("entrypoints", "entrypoints/relay/process.py", "import entrypoints.http.app"),
    Violation("application-contexts", "application/posts/cast_vote.py", "import application.events.relay"),
    Violation("ambient", "domain/shared/text.py", "import os"),
    Violation("ambient", "application/shared/retry.py", "from random import random as _random"),
    Violation("cycles", "domain/identity/values.py", "import domain.identity.user"),
    Violation("confined", "domain/posts/values.py", "import msgspec"),
    Violation("confined", "application/posts/publish_post.py", "import msgspec"),
    Violation("confined", "adapters/security/keys.py", "import sqlalchemy"),
    Violation("confined", "entrypoints/settings/loading.py", "import litestar"),
    Violation("confined", "adapters/system/clock.py", "import numpy"),
]


@pytest.fixture(scope="module")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], tuple[set[str], str]]:
    """Run import-linter over the tree in a folder; tell which contracts broke, by id, and all it said."""
    cache = tmp_path_factory.mktemp("import-cache")

    def run(root: Path) -> tuple[set[str], str]:
        program = (
            f"import sys; sys.path[:0] = [{str(root / 'src')!r}, {str(root)!r}]; "
            "from importlinter.cli import lint_imports; "
            f"sys.exit(lint_imports(config_filename={str(root / 'pyproject.toml')!r}, cache_dir={str(cache)!r}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"COLUMNS": "400", "PATH": "", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = done.stdout + done.stderr
        verdicts = {
            contract["id"]: re.search(rf"^{re.escape(contract['name'])} (KEPT|BROKEN)", said, re.MULTILINE)
            for contract in CONTRACTS
        }
        assert all(verdicts.values()), said
        broken = {name for name, verdict in verdicts.items() if verdict is not None and verdict[1] == "BROKEN"}
        assert done.returncode == (1 if broken else 0), said
        return broken, said

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages, the contracts and their own contract type, to plant something in."""
    no_caches = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")
    for package in PACKAGES:
        shutil.copytree(ROOT / "src" / package, tmp_path / "src" / package, ignore=no_caches)
    for folder in ("migrations", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=no_caches)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_every_contract(lint: Callable[[Path], tuple[set[str], str]], tree: Path) -> None:
    broken, said = lint(tree)

    assert broken == set(), said


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v.contract}-{v.module}")
def test_a_planted_violation_breaks_its_contract_and_no_other(
    violation: Violation, lint: Callable[[Path], tuple[set[str], str]], tree: Path
) -> None:
    module = tree / "src" / violation.module
    module.parent.mkdir(exist_ok=True)
    before = module.read_text() if module.exists() else ""
    module.write_text(before + ("\n" + violation.line + "\n" if violation.line else ""))

    broken, said = lint(tree)

    assert broken == {violation.contract}, said
    if violation.line:
        name = violation.module.removesuffix(".py").replace("/", ".")
        report = said.partition("Broken contracts")[2]
        # A cycle is told relative to the package that it is in.
        assert name in report or f".{name.rpartition('.')[2]} ->" in report, "the report names the module"


def test_a_rule_for_a_package_that_nobody_imports_breaks_the_confinement(
    lint: Callable[[Path], tuple[set[str], str]], tree: Path
) -> None:
    file = tree / "pyproject.toml"
    file.write_text(file.read_text().replace('"redis in ', '"numpy in adapters.**",\n    "redis in '))

    broken, said = lint(tree)

    assert broken == {"confined"}
    assert "the rule for numpy allows what nobody imports" in said


def test_every_contract_has_a_violation_planted_against_it() -> None:
    assert {violation.contract for violation in VIOLATIONS} == {contract["id"] for contract in CONTRACTS}


def test_every_contract_with_containers_is_exhaustive() -> None:
    assert all(contract["exhaustive"] for contract in CONTRACTS if "containers" in contract)


def test_every_package_in_src_is_under_contract() -> None:
    packages = {path.parent.name for path in (ROOT / "src").glob("*/__init__.py")}

    assert packages == set(PACKAGES)
