"""Make the tables in an empty database: `python -m bench.baselines.fastapi_app.create_tables URL`."""

import asyncio
import sqlite3
import sys
from contextlib import closing

from sqlalchemy.ext.asyncio import create_async_engine

from bench.baselines.fastapi_app.models import Base


async def create_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


def main() -> None:
    url = sys.argv[1]
    asyncio.run(create_tables(url))
    if url.startswith("sqlite"):
        # It is kept in the file, so that the first worker finds it as the product's finds its own.
        with closing(sqlite3.connect(url.partition(":///")[2])) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


if __name__ == "__main__":
    main()
