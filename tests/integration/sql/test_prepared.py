"""Statements that a connection has prepared, and what a migration does to them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.sql.conftest import OpenDatabase, on_servers

_TABLE = Table(
    "changed_by_a_migration", MetaData(), Column("id", Integer), Column("name", String(200)), Column("n", BigInteger)
)
_READ = select(_TABLE).where(_TABLE.c.id == bindparam("at_id"))
_ALTER = {
    "postgresql": "ALTER TABLE changed_by_a_migration ALTER name TYPE VARCHAR(200), ALTER n TYPE BIGINT",
    "mariadb": "ALTER TABLE changed_by_a_migration MODIFY name VARCHAR(200), MODIFY n BIGINT",
    "mysql": "ALTER TABLE changed_by_a_migration MODIFY name VARCHAR(200), MODIFY n BIGINT",
}


@pytest.fixture
async def table(behind: AsyncEngine) -> AsyncIterator[None]:
    async with behind.connect() as connection:
        await connection.execute(text("CREATE TABLE changed_by_a_migration (id INTEGER, name VARCHAR(5), n INTEGER)"))
        await connection.execute(text("INSERT INTO changed_by_a_migration VALUES (1, 'short', 1)"))
        yield
        await connection.execute(text("DROP TABLE changed_by_a_migration"))


@on_servers
@pytest.mark.usefixtures("table")
async def test_a_prepared_statement_reads_what_a_column_holds_that_was_widened_since(
    open_with: OpenDatabase, behind: AsyncEngine, sql_backend: str
) -> None:
    database = open_with(pool_size=2, max_overflow=0)  # one connection for reading
    for _ in range(3):
        assert await database.fetch_one(_READ, {"at_id": 1}) == (1, "short", 1)

    async with behind.connect() as connection:
        await connection.execute(text(_ALTER[sql_backend]))
        await connection.execute(
            text("UPDATE changed_by_a_migration SET name = :name, n = :n"), {"name": "ü" * 200, "n": 1 << 40}
        )

    for _ in range(3):
        assert await database.fetch_one(_READ, {"at_id": 1}) == (1, "ü" * 200, 1 << 40)


@on_servers
@pytest.mark.usefixtures("table")
async def test_a_prepared_statement_reads_answers_of_every_length(open_with: OpenDatabase, behind: AsyncEngine) -> None:
    """None, one, and more than comes in one piece, in turns."""
    database = open_with(pool_size=2, max_overflow=0)
    async with behind.connect() as connection:
        for _ in range(14):
            await connection.execute(
                text("INSERT INTO changed_by_a_migration SELECT 2, name, n FROM changed_by_a_migration")
            )

    for at_id, number in [(1, 1), (2, 2**14 - 1), (3, 0)] * 2:
        assert len(await database.fetch_all(_READ, {"at_id": at_id})) == number
