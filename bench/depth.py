"""What page 10,000 of each list costs against page 1, on a million posts: `python -m bench.depth sqlite`.

Both pages are read through the adapter that serves them, in turns, so that whatever else the machine does hits both.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.posts.reader import SqlPostReader
from adapters.sql.schema.migrate import upgrade
from adapters.sql.tables import Row
from application.posts.ports import RankedPosition
from bench.data import Data
from bench.loading import load
from domain.posts.ranking import Sort
from domain.shared.ids import PostId

LIMIT: Final = 20
PAGE: Final = 10_000
NAME: Final = "postern_bench_depth"
_SERVERS: Final = {
    "mariadb": "mysql+asyncmy://root@127.0.0.1:3306/",
    "postgresql": "postgresql+asyncpg://postgres@127.0.0.1:5432/",
}

Read = Callable[[], Awaitable[Any]]


async def _admin(url: str, *statements: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


def prepare(backend: str, folder: Path, posts: int) -> str:
    """Make a fresh database with `posts` posts in it, and return where it is."""
    if backend == "sqlite":
        url = f"sqlite+aiosqlite:///{folder / NAME}.db"
    else:
        charset = " CHARACTER SET utf8mb4" if backend == "mariadb" else ""
        asyncio.run(_admin(_SERVERS[backend], f"DROP DATABASE IF EXISTS {NAME}", f"CREATE DATABASE {NAME}{charset}"))
        url = make_url(_SERVERS[backend]).set(database=NAME).render_as_string(hide_password=False)
    upgrade(url)
    started = time.monotonic()
    load(url, Row.metadata, Data(posts), password_hash="nobody logs in")
    print(f"{backend}: {posts:,} posts in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return url


async def _places(url: str, skipped: int) -> dict[str, tuple[int, UUID]]:
    """Find where page 10,000 begins, the slow way."""
    engine = create_async_engine(url, poolclass=NullPool)
    places: dict[str, tuple[int, UUID]] = {}
    async with engine.connect() as connection:
        for name, order in (("new", "id"), ("top", "score"), ("hot", "hot")):
            found = await connection.execute(
                text(
                    f"SELECT {order if order != 'id' else 'score'}, id FROM posts "
                    f"ORDER BY {order} DESC, id DESC LIMIT 1 OFFSET {skipped - 1}"
                )
            )
            rank, id = found.one()
            places[name] = int(rank), id if isinstance(id, UUID) else UUID(bytes=bytes(id))
    await engine.dispose()
    return places


async def measure(url: str, *, rounds: int, page: int) -> dict[str, dict[str, float]]:
    """Return the median microseconds of both pages, by list."""
    places = await _places(url, (page - 1) * LIMIT)
    database = Database(DatabaseSettings(url=url))
    reader = SqlPostReader(database)

    def newest(before: PostId | None) -> Read:
        return lambda: reader.newest(limit=LIMIT, before=before, viewer=None)

    def ranked(sort: Sort, after: RankedPosition | None) -> Read:
        return lambda: reader.ranked(sort, limit=LIMIT, after=after, as_of=datetime.now(UTC), viewer=None)

    lists: dict[str, tuple[Read, Read]] = {"new": (newest(None), newest(PostId(places["new"][1])))}
    for sort in (Sort.TOP, Sort.HOT):
        rank, id = places[sort.value]
        lists[sort.value] = ranked(sort, None), ranked(sort, RankedPosition(rank, PostId(id)))
    figures: dict[str, dict[str, float]] = {}
    for name, (first, deep) in lists.items():
        for read in (first, deep):
            for _ in range(20):
                assert len((await read()).items) == LIMIT
        times: tuple[list[float], list[float]] = [], []
        for _ in range(rounds):
            for read, taken in zip((first, deep), times, strict=True):
                started = time.perf_counter()
                await read()
                taken.append((time.perf_counter() - started) * 1e6)
        one, deeper = (statistics.median(taken) for taken in times)
        figures[name] = {"page 1, µs": round(one), f"page {page}, µs": round(deeper), "ratio": round(deeper / one, 3)}
    await database.dispose()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="+", choices=["sqlite", *_SERVERS])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--page", type=int, default=PAGE)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--keep", action="store_true", help="leave the databases of servers behind")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for backend in options.backends:
            url = prepare(backend, Path(folder), options.posts)
            figures[backend] = asyncio.run(measure(url, rounds=options.rounds, page=options.page))
            print(json.dumps({backend: figures[backend]}, indent=2, ensure_ascii=False))
            if backend in _SERVERS and not options.keep:
                asyncio.run(_admin(_SERVERS[backend], f"DROP DATABASE {NAME}"))


if __name__ == "__main__":
    main()
