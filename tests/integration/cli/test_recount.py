"""`postern recount`, as an operator runs it."""

import sqlite3
from contextlib import closing

import pytest

from tests.builders import NOW, an_id
from tests.integration.cli.conftest import Shell

_USER = (
    "INSERT INTO users (id, email, email_key, email_verified, username, username_key, password_hash, role, status, "
    "created_at, updated_at, version) VALUES (?, 'a@example.org', 'a', 0, 'a', 'a', '-', 'user', 'active', ?, ?, 1)"
)
_POST = (
    "INSERT INTO posts (id, author_id, replies, listed, hot, ranked_at, text_bytes, score, upvotes, downvotes, "
    "created_at, updated_at, version, text) VALUES (?, ?, 0, 1, ?, 0, 1, 4, 4, 0, ?, ?, 1, 'x')"
)


@pytest.mark.measured
def test_it_tells_what_is_wrong_repairs_it_and_finds_nothing_the_next_time(shell: Shell) -> None:
    shell.migrate()
    at, author, post = NOW.isoformat(timespec="microseconds").replace("+00:00", "Z"), an_id(), an_id()
    with closing(sqlite3.connect(shell.folder / ".postern" / "postern.db")) as connection:
        connection.execute(_USER, (author.bytes, at, at))
        connection.execute(_POST, (post.bytes, author.bytes, 0, at, at))
        connection.commit()

    looked = shell.run("recount", "--check")
    repaired = shell.run("recount", "--batch", "1")
    again = shell.run("recount")

    assert (looked.returncode, looked.stdout) == (1, f"{post} is wrong\nLooked at 1 posts: 1 wrong, 0 repaired.\n")
    assert (repaired.returncode, repaired.stdout) == (1, f"{post} was wrong\nLooked at 1 posts: 1 wrong, 1 repaired.\n")
    assert (again.returncode, again.stdout) == (0, "Looked at 1 posts: 0 wrong, 0 repaired.\n")


def test_a_batch_of_nothing_is_wrong_usage(shell: Shell) -> None:
    assert shell.run("recount", "--batch", "0").returncode == 2
