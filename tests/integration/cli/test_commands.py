"""Commands that come to an end: help, settings, schema, administrators, the document."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.cli.main import cli
from entrypoints.settings import setting_infos
from tests.backends import Databases
from tests.integration.cli.conftest import Shell, free_port

COMMANDS = ("serve", "relay", "outbox", "migrate", "downgrade", "create-admin", "recount", "config", "openapi")
PASSWORD = "a quiet harbour at dawn"


def test_help_lists_every_command_with_what_it_is_for(shell: Shell) -> None:
    done = shell.run("--help")

    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_gives_examples(shell: Shell, command: str) -> None:
    done = shell.run(command, "--help")

    assert done.returncode == 0
    assert "Example" in done.stdout
    assert done.stderr == ""


def test_help_does_not_wait_for_what_only_the_server_needs() -> None:
    program = (
        "import sys\n"
        "from entrypoints.cli.main import main\n"
        "for arguments in (['--help'], ['migrate', '--help'], ['serve', '--help']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit: pass\n"
        "print(sorted({'litestar', 'granian', 'alembic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.splitlines()[-1] == "[]"
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_is_declared_and_an_unknown_one_is_wrong_usage(shell: Shell) -> None:
    assert tuple(sorted(cli.commands or cli.list_commands(None))) == tuple(sorted(COMMANDS))  # type: ignore[arg-type]  # the lazy group asks for no context
    assert shell.run("serv").returncode == 2


def test_the_server_takes_no_prefix_of_paths_which_routes_do_not_know(shell: Shell) -> None:
    done = shell.run("serve", "--url-path-prefix", "/postern")

    assert (done.returncode, "No such option" in done.stderr) == (2, True)


@pytest.mark.measured
def test_every_bad_setting_is_one_line_with_name_value_and_expectation(shell: Shell) -> None:
    done = shell.run("serve", PORT="http", WORKERS="0", DATABASE_URL="mysqll://app:swordfish@db/postern")

    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert [line.partition(" is ")[0] for line in lines] == [
        "postern: PORT",
        "postern: WORKERS",
        "postern: DATABASE_URL",
    ]
    assert lines[0] == "postern: PORT is 'http'; expected a port number from 1 to 65535"
    assert "swordfish" not in done.stderr


@pytest.mark.measured
def test_a_misspelt_name_in_the_file_is_told_before_what_it_leaves_unset(shell: Shell) -> None:
    (shell.folder / ".env").write_text(
        "ENVIRONMENT=production\nSECERT_KEY=swordfish\nDATABASE_URL=sqlite:///posts.db\n"
    )
    done = shell.run("serve")

    assert done.returncode == 3
    told, missing, *_ = done.stderr.splitlines()
    assert told == "postern: SECERT_KEY in .env is not a setting and has no effect; did you mean SECRET_KEY?"
    assert missing.startswith("postern: SECRET_KEY is not set")


@pytest.mark.parametrize(
    ("environment", "hosts", "times"),
    [("production", "", 1), ("staging", "", 1), ("production", "api.example.com", 0), ("development", "", 0)],
)
def test_a_server_that_is_reached_by_no_name_says_so_once(
    shell: Shell, environment: str, hosts: str, times: int
) -> None:
    """It does not get far: its schema was never made."""
    key = "qV0m2c7xW1p9Zr4sT6uY8bN3dF5gH7jK9lA1eC3v"
    deployed = {"RATE_LIMIT_ENABLED": "true", "DATABASE_URL": "sqlite:///posts.db", "SECRET_KEY": key}
    done = shell.run("serve", ENVIRONMENT=environment, ALLOWED_HOSTS=hosts, PORT=str(free_port()), **deployed)

    assert done.returncode != 0
    assert done.stderr.count("ALLOWED_HOSTS is not set") == times
    assert done.stderr.count("unknown-host") == times


def test_production_does_not_start_without_a_key_of_its_own(shell: Shell) -> None:
    done = shell.run("serve", ENVIRONMENT="production", DATABASE_URL="sqlite:///posts.db", SECRET_KEY="changeme" * 8)

    assert done.returncode == 3
    assert done.stderr.startswith("postern: SECRET_KEY is '*** (64 bytes)'; expected at least 32 random bytes")
    assert "changeme" not in done.stderr


@pytest.mark.measured
def test_config_shows_every_setting_and_no_secret(shell: Shell) -> None:
    variables = {"DATABASE_URL": "mysql://app:swordfish@db/postern", "REDIS_URL": "redis://:swordfish@cache/0"}
    done = shell.run("config", **variables)
    as_json = json.loads(shell.run("config", "--json", **variables).stdout)

    assert done.returncode == 0
    assert [line.partition("=")[0] for line in done.stdout.splitlines()] == list(setting_infos())
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == as_json
    assert as_json["DATABASE_URL"] == "mysql+asyncmy://app:***@db/postern"
    assert as_json["REDIS_URL"] == "redis://:***@cache/0"
    key = (shell.folder / ".postern" / "secret_key").read_text().strip()
    assert key not in done.stdout


def test_migrate_makes_the_schema_and_then_has_nothing_to_do(shell: Shell) -> None:
    first, second, quiet = shell.run("migrate"), shell.run("migrate"), shell.run("migrate", "--quiet")

    assert "is now at" in first.stdout
    assert "(it was empty)" in first.stdout
    assert "up to date" in second.stdout
    assert (quiet.stdout, quiet.stderr, quiet.returncode) == ("", "", 0)
    assert (shell.folder / ".postern" / "postern.db").exists()


@pytest.mark.measured
def test_downgrade_takes_the_schema_away_and_migrate_brings_it_back(shell: Shell) -> None:
    shell.migrate()
    asked = shell.run("downgrade", "base", stdin="n\n")
    down = shell.run("downgrade", "base", "--yes")
    up = shell.run("migrate")

    assert asked.returncode == 1
    assert "Data is lost" in asked.stdout
    assert (down.returncode, down.stdout) == (0, "The schema is now at empty.\n")
    assert "(it was empty)" in up.stdout


def test_downgrade_to_what_does_not_exist_is_one_line(shell: Shell) -> None:
    shell.migrate()
    done = shell.run("downgrade", "nowhere", "--yes")

    assert done.returncode == 1
    assert done.stderr.startswith("postern: cannot take the schema back to 'nowhere':")
    assert len(done.stderr.splitlines()) == 1


def _set_revision(shell: Shell, revision: str) -> None:
    with sqlite3.connect(shell.folder / ".postern" / "postern.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


@pytest.mark.measured
@pytest.mark.parametrize("command", ["serve", "create-admin"])
def test_a_missing_or_empty_schema_is_told_with_the_command_that_helps(shell: Shell, command: str) -> None:
    missing = shell.run(command)
    shell.migrate()
    shell.run("downgrade", "base", "--yes")
    empty = shell.run(command)

    assert (missing.returncode, empty.returncode) == (5, 5)
    assert missing.stderr == "postern: there is no database .postern/postern.db yet; run `postern migrate`\n"
    assert empty.stderr.startswith("postern: the schema is too old (empty; ")
    assert empty.stderr.endswith("is needed); run `postern migrate`\n")


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_schema_from_the_future_is_told_and_left_alone(shell: Shell, command: str) -> None:
    shell.migrate()
    _set_revision(shell, "9999")
    done = shell.run(command)

    assert done.returncode == 5
    assert done.stderr.startswith("postern: the schema is too new (9999): a newer Postern has migrated it;")


@pytest.mark.parametrize("command", ["serve", "migrate", "create-admin"])
@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_database_out_of_reach_is_one_line_without_its_password(shell: Shell, command: str, scheme: str) -> None:
    done = shell.run(command, DATABASE_URL=f"{scheme}://app:swordfish@127.0.0.1:{free_port()}/postern")

    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert "app:***@127.0.0.1" in done.stderr
    assert done.stderr.startswith("postern: cannot use the database ")
    assert "swordfish" not in done.stderr


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"])
def test_a_database_that_does_not_exist_is_one_line(shell: Shell, databases: Databases, backend: str) -> None:
    url = databases.url(backend)
    name = url.rpartition("/")[2].partition("?")[0]
    done = shell.run("migrate", DATABASE_URL=url.replace(name, "postern_test_nowhere"))

    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert "postern_test_nowhere" in done.stderr.partition("postern_test_nowhere")[2]


def test_storage_in_memory_has_nothing_to_migrate(shell: Shell) -> None:
    done = shell.run("migrate", ENVIRONMENT="testing", DATABASE_URL="memory://")

    assert done.returncode == 3
    assert "storage in memory has no schema" in done.stderr


@pytest.mark.measured
def test_an_administrator_is_created_once(shell: Shell) -> None:
    shell.migrate()
    arguments = ("create-admin", "--email", "Ops@Example.com", "--username", "ops", "--name", "Operations")
    first = shell.run(*arguments, ADMIN_PASSWORD=PASSWORD)
    again = shell.run(
        "create-admin", "--email", "ops@example.com", "--username", "two", "--password-stdin", stdin=PASSWORD + "\n"
    )

    assert (first.returncode, first.stdout) == (0, "Created the administrator ops (Ops@example.com).\n")
    assert again.returncode == 7
    assert again.stderr == "postern: An account with this e-mail address exists.\n"
    with sqlite3.connect(shell.folder / ".postern" / "postern.db") as connection:
        assert connection.execute("SELECT username, role FROM users").fetchall() == [("ops", "admin")]
    connection.close()


def test_an_administrator_is_subject_to_the_rules_of_the_domain(shell: Shell) -> None:
    shell.migrate()
    invalid = shell.run("create-admin", "--email", "nobody", "--username", "x", "--name", " ", ADMIN_PASSWORD="short")
    common = shell.run(
        "create-admin", "--email", "ops@example.com", "--username", "ops", ADMIN_PASSWORD="passwordpassword"
    )

    assert invalid.returncode == 7
    assert [line.split()[1] for line in invalid.stderr.splitlines()] == ["email", "username", "name", "password"]
    assert (common.returncode, common.stderr) == (
        7,
        "postern: password is one of the passwords that are tried first\n",
    )


@pytest.mark.measured
def test_where_nobody_can_be_asked_what_is_missing_is_wrong_usage(shell: Shell) -> None:
    shell.migrate()
    without_email = shell.run("create-admin")
    without_password = shell.run("create-admin", "--email", "ops@example.com", "--username", "ops")

    assert (without_email.returncode, without_password.returncode) == (2, 2)
    assert "--email is needed" in without_email.stderr
    assert "ADMIN_PASSWORD or --password-stdin is needed" in without_password.stderr


@pytest.mark.measured
def test_the_document_is_printed_without_database_or_settings(shell: Shell) -> None:
    done = shell.run("openapi", DATABASE_URL="nonsense", PORT="nonsense")
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/users/me/posts" in document["paths"]
    assert json.loads(shell.run("openapi", "--indent", "0").stdout) == document
    assert not list(Path(shell.folder).iterdir())
