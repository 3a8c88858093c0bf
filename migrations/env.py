"""Where Alembic starts: on the connection that `adapters.sql.schema.migrate` hands over, or on one of its own.

Its own is for developers (`alembic revision --autogenerate`), to the database that `DATABASE_URL` names.
"""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.tables import Row, is_search_index


def _run(connection: Connection) -> None:
    for table in Row.metadata.tables.values():
        # For `--autogenerate`: see `models`.
        table.dialect_kwargs.update(table.info)
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        compare_type=True,
        # SQLite changes a table by copying it; the others ignore this.
        render_as_batch=True,
        include_name=lambda name, _kind, _parents: not is_search_index(name),
    )
    with context.begin_transaction():
        context.run_migrations()


async def _run_on_own_connection() -> None:
    engine = create_async_engine(os.environ["DATABASE_URL"], poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


if (handed_over := context.config.attributes.get("connection")) is not None:
    _run(handed_over)
else:
    asyncio.run(_run_on_own_connection())
