"""The files that a checkout is run, built and deployed with."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from entrypoints.settings import setting_infos

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=;\s]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _locked(lock: Path) -> dict[str, str]:
    """Return each requirement of a lock file with all that is said of it, by name."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    return {_name(entry): entry for entry in entries}


def _lock(name: str) -> dict[str, str]:
    return _locked(ROOT / "requirements" / f"{name}.txt")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((ROOT / "compose.yaml").read_text())
    return loaded


def test_there_is_a_lock_for_running_building_and_developing() -> None:
    assert {"build.txt", "dev.txt", "runtime.txt"} <= {lock.name for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_every_requirement_by_hash_and_names_no_host(lock: Path) -> None:
    for name, entry in _locked(lock).items():
        assert re.match(r"[A-Za-z0-9._-]+==[0-9]", entry), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name
    assert "://" not in lock.read_text()
    assert not re.search(r"^\s*(#|-i|--index|--extra-index|--find-links|--trusted)", lock.read_text(), re.MULTILINE)


def test_the_locks_hold_everything_that_is_declared_and_agree() -> None:
    runtime, development = _lock("runtime"), _lock("dev")
    declared = {_name(requirement) for requirement in PROJECT["project"]["dependencies"]}
    tools = {_name(entry) for entry in PROJECT["dependency-groups"]["dev"] if isinstance(entry, str)}

    assert declared <= set(runtime)
    assert tools <= set(development)
    assert all(development[name] == entry for name, entry in runtime.items())


def test_django_stays_out_although_a_package_of_static_files_names_it() -> None:
    assert not {"django", "asgiref", "sqlparse"} & {name for lock in LOCKS for name in _locked(lock)}


@pytest.mark.slow  # It reads the schema in a process of its own.
def test_the_compose_file_is_one(tmp_path: Path) -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_compose_brings_the_database_the_cache_and_the_migration_before_the_app(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert services["mysql"]["image"] == "mysql:8.4"
    assert services["app"]["depends_on"] == {
        "mysql": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert services["migrate"]["command"] == ["migrate"]
    assert services["relay"]["command"] == ["relay"]
    assert services["relay"]["depends_on"]["rabbitmq"] == {"condition": "service_healthy"}
    assert services["migrate"]["depends_on"] == {"mysql": {"condition": "service_healthy"}}
    assert all("healthcheck" in service for service in services.values())


def test_compose_has_no_default_for_a_secret(compose: dict[str, Any]) -> None:
    text = json.dumps(compose)

    assert set(re.findall(r"\$\{(SECRET_KEY|MYSQL_PASSWORD|RABBITMQ_PASSWORD)(..)", text)) == {
        ("SECRET_KEY", ":?"),
        ("MYSQL_PASSWORD", ":?"),
        ("RABBITMQ_PASSWORD", ":?"),
    }
    assert compose["services"]["app"]["environment"]["ENVIRONMENT"] == "production"


def test_compose_sets_only_settings_that_exist(compose: dict[str, Any]) -> None:
    assert set(compose["services"]["app"]["environment"]) <= set(setting_infos())


def test_the_image_runs_as_nobody_in_particular_and_says_whether_it_is_well() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile.rpartition("\nFROM ")[2]

    assert re.search(r"^USER [1-9][0-9]*$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "--require-hashes" in dockerfile
    assert "SECRET_KEY=" not in dockerfile


def test_make_alone_lists_what_there_is_to_do() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    targets = re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE)

    assert done.returncode == 0
    assert {"run", "test", "install", "lint", "types", "migrate", "format", "lock", "check"} <= set(targets)


def test_the_hooks_before_a_commit_are_the_checks_of_ci() -> None:
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].split()[0] for repository in hooks for hook in repository["hooks"]]
    makefile = (ROOT / "Makefile").read_text()

    assert {repository["repo"] for repository in hooks} == {"local"}
    assert {Path(entry).name for entry in entries} == {"ruff", "lint-imports", "mypy", "pyright"}
    assert all(f"$(BIN)/{Path(entry).name}" in makefile for entry in entries)


def test_every_decision_is_listed_and_has_the_four_parts() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (ROOT / "docs" / "adr" / "README.md").read_text())

    assert [path.name for path in decisions] == sorted(listed)
    for path in decisions:
        text = path.read_text()
        for part in ("Context", "Decision", "Alternatives", "Consequences"):
            assert f"**{part}.**" in text, (path.name, part)


def test_links_between_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
