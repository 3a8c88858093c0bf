"""The import contracts: the tree keeps all of them, and each fires on the violation it is there for, and alone."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.untraced

ROOT = Path(__file__).parents[3]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LINTER = Path(__file__).with_name("linter.py")
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
    Violation("engine-door", "adapters/sql/posts/reader.py", "import adapters.sql.engine.fast.compiled"),
    Violation("engine-door", "entrypoints/storage.py", "import adapters.sql.engine.plain"),
    Violation("engine-door", "adapters/sql/engine/plain.py", "import adapters.sql.engine.fast.compiled"),
    Violation("engine-door", "adapters/sql/engine/fast/planted.py", "import adapters.sql.engine.plain"),
    Violation("engine-port", "adapters/sql/posts/reader.py", "import adapters.sql.engine.port"),
    Violation("sql", "adapters/sql/orders.py", "import adapters.sql.posts.votes"),
    Violation("sql", "adapters/sql/identity/repositories.py", "import adapters.sql.orders"),
    Violation("sql", "adapters/sql/health.py", "import adapters.sql.unit_of_work"),
    Violation("sql", "adapters/sql/schema/planted.py", "import adapters.sql.database"),
    Violation("sql", "adapters/sql/billing/__init__.py", ""),
    Violation("confined", "adapters/sql/health.py", "import alembic"),
    Violation("entrypoints", "entrypoints/settings/metadata.py", "import entrypoints.storage"),
    Violation("entrypoints", "entrypoints/gateway/__init__.py", ""),
    Violation("entrypoints", "entrypoints/relay/process.py", "import entrypoints.http.app"),
    Violation("http", "entrypoints/http/orders/schemas.py", "import entrypoints.http.posts.schemas"),
    Violation("http", "entrypoints/http/edge/accept.py", "import entrypoints.http.components"),
    Violation("http", "entrypoints/http/billing/__init__.py", ""),
    Violation("application-contexts", "application/posts/cast_vote.py", "import application.events.relay"),
    Violation("ambient", "domain/shared/text.py", "import os"),
    Violation("ambient", "application/shared/retry.py", "from random import random as _random"),
    Violation("cycles", "domain/identity/values.py", "import domain.identity.user"),
    Violation("confined", "domain/posts/values.py", "import msgspec"),
    Violation("confined", "application/posts/publish_post.py", "import msgspec"),
    Violation("confined", "adapters/security/keys.py", "import sqlalchemy"),
    Violation("confined", "entrypoints/settings/loading.py", "import litestar"),
    Violation("confined", "entrypoints/http/orders/routes.py", "import litestar"),
    Violation("confined", "adapters/system/clock.py", "import numpy"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, the contracts and their own contract type, to plant something in."""
    root = tmp_path_factory.mktemp("tree")
    no_caches = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")
    for package in PACKAGES:
        shutil.copytree(ROOT / "src" / package, root / "src" / package, ignore=no_caches)
    for folder in ("migrations", "tools"):
        shutil.copytree(ROOT / folder, root / folder, ignore=no_caches)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@contextmanager
def changed(file: Path, text: str) -> Iterator[None]:
    """Have `text` in a file, and afterwards what was there before, be it nothing."""
    before = file.read_text() if file.exists() else None
    makes_folder = not file.parent.exists()
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    try:
        yield
    finally:
        if before is not None:
            file.write_text(before)
        elif makes_folder:
            shutil.rmtree(file.parent)
        else:
            file.unlink()


@pytest.fixture(scope="module")
def lint(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], tuple[set[str], str]]]:
    """Runs import-linter over the tree; tells which contracts broke, by id, and all it said."""
    process = subprocess.Popen(
        [sys.executable, LINTER, tree, tmp_path_factory.mktemp("import-cache")],
        cwd=tree,
        env={"COLUMNS": "400", "PATH": "", "NO_COLOR": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answered = process.stdin, process.stdout

    def run() -> tuple[set[str], str]:
        print(file=asked, flush=True)
        answer = json.loads(answered.readline())
        said = answer["said"]
        verdicts = {
            contract["id"]: re.search(rf"^{re.escape(contract['name'])} (KEPT|BROKEN)", said, re.MULTILINE)
            for contract in CONTRACTS
        }
        assert all(verdicts.values()), said
        broken = {name for name, verdict in verdicts.items() if verdict is not None and verdict[1] == "BROKEN"}
        assert answer["status"] == (1 if broken else 0), said
        return broken, said

    yield run
    asked.close()
    assert process.wait(30) == 0
    answered.close()


def test_the_tree_keeps_every_contract(lint: Callable[[], tuple[set[str], str]]) -> None:
    broken, said = lint()

    assert broken == set(), said


@pytest.mark.slow
@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v.contract}-{v.module}")
def test_a_planted_violation_breaks_its_contract_and_no_other(
    violation: Violation, lint: Callable[[], tuple[set[str], str]], tree: Path
) -> None:
    module = tree / "src" / violation.module
    before = module.read_text() if module.exists() else ""

    with changed(module, before + ("\n" + violation.line + "\n" if violation.line else "")):
        broken, said = lint()

    assert broken == {violation.contract}, said
    if violation.line:
        name = violation.module.removesuffix(".py").replace("/", ".")
        report = said.partition("Broken contracts")[2]
        # A cycle is told relative to the package that it is in.
        assert name in report or f".{name.rpartition('.')[2]} ->" in report, "the report names the module"


def test_a_rule_for_a_package_that_nobody_imports_breaks_the_confinement(
    lint: Callable[[], tuple[set[str], str]], tree: Path
) -> None:
    file = tree / "pyproject.toml"

    with changed(file, file.read_text().replace('"redis in ', '"numpy in adapters.**",\n    "redis in ')):
        broken, said = lint()

    assert broken == {"confined"}
    assert "the rule for numpy allows what nobody imports" in said


def test_every_contract_has_a_violation_planted_against_it() -> None:
    assert {violation.contract for violation in VIOLATIONS} == {contract["id"] for contract in CONTRACTS}


def test_every_contract_with_containers_is_exhaustive() -> None:
    assert all(contract["exhaustive"] for contract in CONTRACTS if "containers" in contract)


def test_every_package_in_src_is_under_contract() -> None:
    packages = {path.parent.name for path in (ROOT / "src").glob("*/__init__.py")}

    assert packages == set(PACKAGES)
