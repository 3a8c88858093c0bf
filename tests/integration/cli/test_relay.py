"""`postern relay` and `postern outbox`, as an operator runs them."""

import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from adapters.sql.outbox import shard_of
from tests.builders import NOW, an_id
from tests.integration.cli.conftest import POSTERN, Shell, StartServer, eventually

_AT = NOW.isoformat(timespec="microseconds").replace("+00:00", "Z")
_LETTER = (
    "INSERT INTO relay_letters (position, event_id, type, version, subject, shard, owner_id, public, time, data, dead, "
    "attempts, next_attempt_at, error) "
    "VALUES (1, :event_id, 'post.edited', 1, :subject, :shard, NULL, 1, :at, :data, 1, 10, :at, 'too large')"
)


def given_event(shell: Shell, position: int, *, dead: bool = False) -> str:
    """Store an event, delivered never or given up; return its id."""
    event_id, subject = an_id(), an_id()
    row = {
        "position": position,
        "event_id": event_id.bytes,
        "subject": subject.bytes,
        "shard": shard_of(subject),
        "at": _AT,
        "data": b'{"version":2}',
    }
    with closing(sqlite3.connect(shell.folder / ".postern" / "postern.db")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(event_log)")]
        values = ", ".join(
            {"type": "'post.edited'", "version": "1", "owner_id": "NULL", "public": "1", "time": ":at"}.get(c, f":{c}")
            for c in columns
        )
        statement = _LETTER if dead else f"INSERT INTO event_log ({', '.join(columns)}) VALUES ({values})"
        connection.execute(statement, row)
        connection.commit()
    return str(event_id)


@pytest.fixture
def migrated(shell: Shell) -> Shell:
    shell.migrate()
    return shell


@pytest.mark.measured
def test_a_relay_writes_each_event_as_a_line_and_ends_on_sigterm(migrated: Shell) -> None:
    ids = [given_event(migrated, position) for position in range(1, 6)]
    out = migrated.folder / "events"
    with out.open("wb") as stream:
        relay = subprocess.Popen(
            [POSTERN, "relay"],
            cwd=migrated.folder,
            env=migrated.environment({"BROKER_URL": "stdout:"}),
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert eventually(lambda: out.read_bytes().count(b"\n") == 5)
        begun = time.monotonic()
        relay.send_signal(signal.SIGTERM)
        _, errors = relay.communicate(timeout=30)

    assert (relay.returncode, errors) == (0, "Relaying events to stdout:.\nStopped.\n")
    assert time.monotonic() - begun < 10
    assert sorted(json.loads(line)["id"] for line in out.read_text().splitlines()) == sorted(ids)
    listed = migrated.run("outbox", "list")
    assert (listed.stdout, listed.stderr) == ("", "0 pending; 0 dead.\n")


@pytest.mark.measured
def test_what_is_pending_and_what_is_dead_is_listed_and_the_dead_is_replayed(migrated: Shell) -> None:
    dead, pending = given_event(migrated, 1, dead=True), given_event(migrated, 2)

    listed = migrated.run("outbox", "list")
    assert listed.stderr == f"1 pending, the oldest of {_AT}; 1 dead.\n"
    assert [line.split("  ")[:3] for line in listed.stdout.splitlines()] == [
        [dead, "dead", "10"],
        [pending, "pending", "0"],
    ]
    assert listed.stdout.splitlines()[0].endswith("  too large")
    assert migrated.run("outbox", "list", "--dead").stdout.split()[0] == dead
    assert migrated.run("outbox", "list", "--pending").stdout.split()[0] == pending
    assert len(migrated.run("outbox", "list", "--limit", "1").stdout.splitlines()) == 1

    unknown = migrated.run("outbox", "replay", pending)
    assert (unknown.returncode, unknown.stderr) == (1, "postern: 1 of these are not among the dead\n")
    replayed = migrated.run("outbox", "replay", dead)
    assert (replayed.returncode, replayed.stdout) == (0, "1 will be tried again.\n")
    assert migrated.run("outbox", "list", "--dead").stdout == ""
    assert migrated.run("outbox", "replay", "--all").stdout == "0 will be tried again.\n"


def test_replaying_nothing_in_particular_is_wrong_usage(migrated: Shell) -> None:
    assert migrated.run("outbox", "replay").returncode == 2
    assert migrated.run("outbox", "replay", "--all", str(an_id())).returncode == 2


def test_a_relay_needs_a_database_that_others_can_see(shell: Shell) -> None:
    done = shell.run("relay", ENVIRONMENT="testing", DATABASE_URL="memory://")

    assert (done.returncode, "DATABASE_URL" in done.stderr) == (3, True)


def test_a_development_server_relays_by_itself(migrated: Shell, start: StartServer) -> None:
    given_event(migrated, 1)

    server = start(BROKER_URL="stdout:")

    assert eventually(lambda: migrated.run("outbox", "list").stderr == "0 pending; 0 dead.\n")
    assert server.stop() == 0
    assert server.complaints() == []
