"""Whether anything was committed, as a SQLite file tells: by whatever process, and after each failure to ask."""

import sqlite3
from pathlib import Path

from adapters.sql.commits import SqliteCommits
from entrypoints.storage import sql_storage
from tests.builders import a_post, a_user
from tests.contracts.stories import given
from tests.integration.sql.conftest import OpenDatabase, on_sqlite

pytestmark = on_sqlite


def file_of(database: object) -> Path:
    path = getattr(database, "sqlite_file", None)
    assert isinstance(path, Path)
    return path


async def test_the_mark_is_another_after_each_commit_and_stays_between_them(open_with: OpenDatabase) -> None:
    database = open_with()
    storage = sql_storage(database)
    commits = SqliteCommits(file_of(database))
    alice = a_user()
    seen = [commits.current()]
    for write in (alice, a_post(by=alice), a_post(by=alice)):
        await given(storage, write)
        assert commits.current() not in seen
        seen.append(commits.current())
        assert commits.current() == seen[-1]
        await storage.posts.newest(limit=20, before=None, viewer=alice.id)
        assert commits.current() == seen[-1]
    assert None not in seen
    await commits.close()


async def test_a_commit_over_a_connection_of_somebody_else_counts(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommits(file_of(database))
    before = commits.current()
    other = sqlite3.connect(file_of(database), isolation_level=None)
    other.execute("UPDATE users SET name = 'Somebody'")
    other.close()
    assert commits.current() != before
    await commits.close()


async def test_marks_of_before_a_new_connection_do_not_come_back(open_with: OpenDatabase) -> None:
    database = open_with()
    await given(sql_storage(database), a_user())
    commits = SqliteCommits(file_of(database))
    before = commits.current()
    await commits.close()  # as a failure does
    assert commits.current() != before
    await commits.close()


async def test_without_a_file_nobody_can_say(open_with: OpenDatabase) -> None:
    path = file_of(open_with()).with_name("not there.db")
    assert SqliteCommits(path).current() is None
    assert not path.exists()
