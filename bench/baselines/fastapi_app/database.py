"""The engine and its sessions: one session a request (https://docs.sqlalchemy.org/en/21/orm/extensions/asyncio.html).

On SQLite with the product's durability and isolation: a write-ahead log, `synchronous = FULL`, and units of work that
write begin IMMEDIATE (SQLAlchemy's recipe for transactional SQLite), because a transaction that first reads and then
writes fails as soon as another was faster.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.baselines.fastapi_app.config import get_settings

settings = get_settings()
is_sqlite = settings.database_url.startswith("sqlite")

engine = create_async_engine(
    settings.database_url,
    pool_size=settings.database_pool_size,
    max_overflow=settings.database_max_overflow,
    **({} if is_sqlite else {"isolation_level": "READ COMMITTED"}),
)

if is_sqlite:

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 30000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


reading = async_sessionmaker(engine, expire_on_commit=False)
writing = async_sessionmaker(engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"), expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with reading() as session:
        yield session


async def get_writing_session() -> AsyncIterator[AsyncSession]:
    async with writing() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
WritingSession = Annotated[AsyncSession, Depends(get_writing_session)]
