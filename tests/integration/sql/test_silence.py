"""A server that has stopped answering without hanging up, as behind a firewall that forgot the connection."""

import asyncio
import time

import pytest

from adapters.sql.engine.fast.servers.pool import _CLOSING_SECONDS
from application.shared.errors import OutcomeUnknown, StorageUnavailable
from entrypoints.storage import sql_storage
from tests.builders import a_post, a_user
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import OpenDatabase, connections_out, on_both_engines, on_servers
from tests.integration.sql.counting_proxy import through_proxy

STATEMENT_SECONDS = 0.2
# The driver waits two seconds longer than the server may work.
AT_THE_MOST_SECONDS = 10.0
TEXT_THAT_FILLS_BUFFERS = "many words " * 90_000


@on_both_engines
@on_servers
async def test_a_read_that_is_never_answered_is_given_up_and_the_next_works(
    open_with: OpenDatabase, database_url: str
) -> None:
    async with through_proxy(open_with, database_url, statement_timeout_seconds=STATEMENT_SECONDS) as (database, line):
        storage = sql_storage(database)
        user = a_user()
        await given(storage, user)
        assert await storage.accounts.account(user.id) is not None

        line.open.clear()
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            await storage.accounts.account(user.id)
        assert STATEMENT_SECONDS < time.monotonic() - began < AT_THE_MOST_SECONDS
        line.open.set()

        assert await storage.accounts.account(user.id) is not None
        assert connections_out(database) == 0


@on_servers
async def test_what_is_closed_does_not_wait_for_good_byes(
    open_with: OpenDatabase, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with through_proxy(open_with, database_url) as (database, line):
        storage = sql_storage(database)
        await given(storage, user := a_user())
        assert await storage.accounts.account(user.id) is not None
        assert [pool.open for pool in database.pools()] == [1, 1]

        line.open.clear()
        began = time.monotonic()
        await database.dispose()
        assert time.monotonic() - began < 2 * _CLOSING_SECONDS, "one pool waited for the other"
        for _ in range(10):
            await asyncio.sleep(0)
        assert caplog.text == ""
        line.open.set()


@on_both_engines
@on_servers
@pytest.mark.parametrize("text", ["short", TEXT_THAT_FILLS_BUFFERS])
async def test_a_write_that_is_never_answered_is_given_up_and_the_next_works(
    open_with: OpenDatabase, database_url: str, text: str
) -> None:
    async with through_proxy(open_with, database_url, statement_timeout_seconds=STATEMENT_SECONDS) as (database, line):
        storage = sql_storage(database)
        user = a_user()
        await given(storage, user)

        line.open.clear()
        async with asyncio.timeout(AT_THE_MOST_SECONDS):
            with pytest.raises(StorageUnavailable):
                await given(storage, a_post(user, text=text))
        line.open.set()

        post = a_post(user)
        await given(storage, post)
        assert await storage.posts.get(post.id, viewer=None) is not None
        assert connections_out(database) == 0


@on_both_engines
@on_servers
async def test_a_commit_whose_answer_never_comes_is_in_doubt(open_with: OpenDatabase, database_url: str) -> None:
    async with through_proxy(open_with, database_url) as (database, line):
        storage = sql_storage(database)
        async with storage.identity_units() as uow:
            user = a_user()
            await uow.users.add(user)
            assert await uow.users.role_and_status(user.id) is not None
            line.open.clear()
            committing = asyncio.create_task(uow.commit())
            await asyncio.sleep(0)
            await line.cut()
            with pytest.raises(OutcomeUnknown):
                await committing
        assert connections_out(database) == 0
