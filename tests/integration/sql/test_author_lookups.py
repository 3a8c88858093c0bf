"""Authors who publish at the same time are looked up together on servers, and each is shown as they are now."""

import asyncio

import pytest

from domain.shared.ids import UserId
from entrypoints.storage import sql_storage
from tests.builders import a_user, an_id
from tests.contracts.scenarios import given
from tests.integration.sql.conftest import Captured, OpenDatabase, on_servers


@pytest.mark.parametrize("authors", [1, 2, 5, 70])
async def test_each_is_told_their_own_name_and_who_is_gone_none(open_with: OpenDatabase, *, authors: int) -> None:
    storage = sql_storage(open_with())
    users = [a_user(username=f"user{number}") for number in range(authors)]
    await given(storage, *users)

    found = await asyncio.gather(
        *(storage.authors.find(user.id) for user in users), storage.authors.find(UserId(an_id()))
    )

    assert [view and (view.id, view.username) for view in found] == [
        *((str(user.id), user.username.value) for user in users),
        None,
    ]


@on_servers
async def test_one_statement_finds_those_of_one_moment(open_with: OpenDatabase, captured: Captured) -> None:
    storage = sql_storage(open_with())
    users = [a_user(username=f"user{number}") for number in range(20)]
    await given(storage, *users)
    captured.statements.clear()

    await asyncio.gather(*(storage.authors.find(user.id) for user in users))

    assert len(captured.statements) == 1
