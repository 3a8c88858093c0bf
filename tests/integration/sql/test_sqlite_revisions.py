"""The revision on SQLite, which is mostly not looked up: exact all the same, over all processes."""

import asyncio
import sys
import textwrap
import time
from asyncio.subprocess import PIPE

import pytest

from adapters.sql.commit_counter import SqliteCommitCounter
from adapters.sql.posts.revisions import SqliteAuthorRevisions
from adapters.sql.sqlite_file import FileGuard
from application.shared.pending import settled
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId
from entrypoints.storage import sql_storage
from tests.builders import NOW, a_user, an_actor, an_id
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import OpenDatabase, on_sqlite

pytestmark = on_sqlite

WRITER = textwrap.dedent(
    """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
    for line in sys.stdin:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO author_revisions VALUES (?, 1) ON CONFLICT DO UPDATE SET revision = revision + 1",
            (bytes.fromhex(line.strip()),),
        )
        connection.execute("COMMIT")
        print("committed", flush=True)
    """
)


async def test_a_commit_by_another_process_is_seen_at_once(open_with: OpenDatabase) -> None:
    database = open_with()
    alice, bob = a_user(), a_user()
    await given(sql_storage(database), alice, bob)
    path = database.sqlite_file
    assert path is not None
    commits = SqliteCommitCounter(FileGuard(path))
    revisions = SqliteAuthorRevisions(commits)
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), stdin=PIPE, stdout=PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None

    for number in range(200):
        assert await settled(revisions.current(alice.id)) == number
        assert await settled(revisions.current(bob.id)) == 0
        writer.stdin.write(f"{alice.id.hex}\n".encode())
        assert await writer.stdout.readline() == b"committed\n"
    writer.stdin.close()
    await writer.wait()

    assert await settled(revisions.current(alice.id)) == 200
    await commits.close()


async def test_a_commit_by_this_process_is_seen_at_once(open_with: OpenDatabase) -> None:
    storage = sql_storage(open_with())
    alice = a_user()
    await given(storage, alice)

    for number in range(20):
        assert await settled(storage.revisions.current(alice.id)) == number
        post = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW)
        await given(storage, post)
    await storage.close()


async def test_asking_again_takes_microseconds(open_with: OpenDatabase) -> None:
    """Loosely bounded, so that a busy machine passes: a hop to a thread or a look-up each time would still not."""
    database = open_with()
    alice = a_user()
    await given(sql_storage(database), alice)
    assert database.sqlite_file is not None
    commits = SqliteCommitCounter(FileGuard(database.sqlite_file))
    revisions = SqliteAuthorRevisions(commits)
    await settled(revisions.current(alice.id))

    rounds = []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(100):
            await settled(revisions.current(alice.id))
        rounds.append((time.perf_counter() - begun) / 100)
    await commits.close()

    assert min(rounds) < 40e-6


async def test_a_file_that_is_not_there_has_no_revision_until_it_is(open_with: OpenDatabase) -> None:
    database = open_with()
    path = database.sqlite_file
    assert path is not None
    commits = SqliteCommitCounter(FileGuard(path.with_name("not there yet.db")))
    revisions = SqliteAuthorRevisions(commits)
    alice = a_user()
    assert await settled(revisions.current(alice.id)) is None

    path.with_name("not there yet.db").symlink_to(path)
    await given(sql_storage(database), alice)
    assert await settled(revisions.current(alice.id)) == 0

    path.with_name("not there yet.db").unlink()
    await commits.close()


async def test_revisions_of_very_many_authors_are_not_all_remembered(
    open_with: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.sql.posts.revisions._REMEMBERED_AUTHORS", 3)
    database = open_with()
    assert database.sqlite_file is not None
    commits = SqliteCommitCounter(FileGuard(database.sqlite_file))
    revisions = SqliteAuthorRevisions(commits)
    authors = [a_user() for _ in range(10)]
    await given(sql_storage(database), *authors)

    for author in authors:
        assert await settled(revisions.current(author.id)) == 0

    assert len(revisions._known) <= 4
    await commits.close()
