"""What a start leaves out: what is imported before the first request is what a start takes, in time and in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = {"aio_pika", "aiosmtplib", "alembic", "asyncmy", "asyncpg", "httpcore", "mako", "redis"}
"""Libraries that a server over SQLite, without a broker, Redis and mail, has no use for."""
LATER = {"adapters.memory", "email_validator", "prometheus_client"}
"""What somebody may have a use for, but not before they ask: storage in memory, an address, a scrape."""
WORKER = """
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.settings import Settings
create_app(Container(settings=Settings.load()))
"""


def _imported(code: str, folder: Path, environ: dict[str, str]) -> set[str]:
    """Return the packages, and those within, that a new process has imported once it has run `code`."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {package for name in shown.stdout.split() for package in (name, *_above(name))}


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "x8Kf0aQw-" * 6,
        "ALLOWED_HOSTS": "api.example.com",
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/postern.db",
    }


def test_the_process_that_watches_the_workers_imports_no_database_and_no_framework(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    imported = _imported("import entrypoints.cli.serve", tmp_path, environ)

    assert "entrypoints" in imported
    assert not imported & (CLIENTS | {"argon2", "dependency_injector", "jwt", "limits", "litestar", "sqlalchemy"})


@pytest.mark.parametrize(
    ("url", "needed"),
    [
        ("sqlite+aiosqlite:///postern.db", "sqlite"),
        ("mysql://root@127.0.0.1/postern", "mysql"),
        ("postgresql://postgres@127.0.0.1/postern", "postgresql"),
    ],
)
def test_a_worker_imports_the_dialect_of_its_own_database_alone(
    tmp_path: Path, environ: dict[str, str], url: str, needed: str
) -> None:
    environ["DATABASE_URL"] = url

    imported = _imported(WORKER, tmp_path, environ)

    dialects = {f"sqlalchemy.dialects.{name}" for name in ("mysql", "postgresql")}
    assert imported & dialects == {f"sqlalchemy.dialects.{needed}"} - {"sqlalchemy.dialects.sqlite"}
    assert f"adapters.sql.dialects.{needed}" in imported


@pytest.mark.parametrize(
    ("url", "engine", "needed"),
    [
        ("sqlite+aiosqlite:///postern.db", "fast", "fast.sqlite.engine"),
        ("postgresql://postgres@127.0.0.1/postern", "fast", "fast.servers.engine"),
        ("postgresql://postgres@127.0.0.1/postern", "plain", "plain"),
    ],
)
def test_a_worker_imports_its_own_engine_alone(
    tmp_path: Path, environ: dict[str, str], url: str, engine: str, needed: str
) -> None:
    environ |= {"DATABASE_URL": url, "DATABASE_ENGINE": engine}

    imported = _imported(WORKER, tmp_path, environ)

    engines = {f"adapters.sql.engine.{name}" for name in ("fast.sqlite.engine", "fast.servers.engine", "plain")}
    assert imported & engines == {f"adapters.sql.engine.{needed}"}


def test_a_worker_imports_no_client_of_what_it_is_not_connected_to(tmp_path: Path, environ: dict[str, str]) -> None:
    imported = _imported(WORKER, tmp_path, environ)

    assert "litestar" in imported
    assert not imported & (CLIENTS | LATER)


@pytest.mark.parametrize(
    ("name", "value", "client"),
    [
        ("BROKER_URL", "amqp://user:password@127.0.0.1:5672/", "aio_pika"),
        ("BROKER_URL", "redis://127.0.0.1:6379/1", "redis"),
        ("REDIS_URL", "redis://127.0.0.1:6379/0", "redis"),
    ],
)
def test_it_does_import_the_client_of_what_it_is_told_to_use(
    tmp_path: Path, environ: dict[str, str], name: str, value: str, client: str
) -> None:
    environ[name] = value

    assert client in _imported(WORKER, tmp_path, environ)
