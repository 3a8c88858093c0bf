"""The time in the database: what the product's reader takes, against the bare driver asking for the same.

In process and in turns, sixteen queries in flight, on the contenders' own databases. The reader returns finished views,
ids and times as text; the driver returns its rows and nothing is done with them. Neither begins a transaction.
"""

import asyncio
import itertools
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from threading import local
from typing import Any, Final
from uuid import UUID

import aiosqlite
import asyncmy
import asyncpg
import uvloop
from sqlalchemy import URL, make_url

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.posts.reader import SqlPostReader
from bench.contenders import Postern
from bench.data import READERS, Data
from bench.figures import ratio
from bench.results import Results
from domain.shared.ids import PostId, UserId

IN_FLIGHT: Final = 16
CONNECTIONS: Final = 10
_QUERIES: Final = 600
_ROUNDS: Final = 5
_LIMIT: Final = 20

Read = Callable[[int], Awaitable[int]]
"""Reads something by number, and returns how many rows there were."""

_COLUMNS: Final = (
    "p.text_bytes, p.text, p.id, p.author_id, u.username, u.name, p.score, p.upvotes, p.downvotes, p.created_at, "
    "p.updated_at, p.version, p.reply_to, p.replies, coalesce(v.direction, 0)"
)
_JOINED: Final = (
    "LEFT JOIN users u ON u.id = p.author_id LEFT JOIN votes v ON v.post_id = p.id AND v.user_id = {viewer}"
)
_LISTS: Final = {
    "sqlite": f"SELECT {_COLUMNS} FROM posts p {_JOINED} "
    "WHERE p.author_id = {author} AND p.id < {before} ORDER BY p.id DESC LIMIT 21",
    "mariadb": f"SELECT STRAIGHT_JOIN {_COLUMNS} FROM posts p FORCE INDEX (ix_posts_author_id_id) {_JOINED} "
    "WHERE p.author_id = {author} AND p.id < {before} ORDER BY p.id DESC LIMIT 21",
    # Cut before it is joined, and ordered by the pair: what its planner makes the best of.
    "postgresql": f"SELECT {_COLUMNS} FROM (SELECT * FROM posts WHERE (author_id, id) < ({{author}}, {{before}}) "
    f"AND author_id >= {{author}} ORDER BY author_id DESC, id DESC LIMIT 21) p {_JOINED} ORDER BY p.id DESC",
}
_ONE: Final = f"SELECT {_COLUMNS} FROM posts p {_JOINED} WHERE p.id = {{before}}"


def measure(contenders: Sequence[Postern], results: Results, *, say: Callable[[str], None]) -> None:
    """Measure each of these databases."""
    for contender in contenders:
        results.drivers = [each for each in results.drivers if each["database"] != contender.database]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_measure(contender.database, contender.database_url, contender.around.data))
        results.drivers += found
        for each in found:
            say(
                f"{each['what']}, {each['database']}: {each['ours_us']:.0f} µs, {each['driver']} "
                f"{each['bare_us']:.0f} µs, ratio {each['ratio']:.2f}"
            )


async def _measure(kind: str, url: str, data: Data) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    database = Database(DatabaseSettings(url=url))
    try:
        for what, ours in _ours(database, data).items():
            async with _bare(kind, make_url(url), data, what) as bare:
                for driver, theirs in bare.items():
                    found.append({"database": kind, "what": what, "driver": driver, **await _compare(ours, theirs)})
    finally:
        await database.dispose()
    return found


def _ours(database: Database, data: Data) -> dict[str, Read]:
    reader = SqlPostReader(database)
    own, one = _own(data), _one(data)

    async def read_list(number: int) -> int:
        author = UserId(own[number % len(own)][0])
        return len((await reader.by_author(author, limit=_LIMIT, before=None, viewer=author)).items)

    async def read_one(number: int) -> int:
        viewer, id = one[number % len(one)]
        return int(await reader.get(PostId(id), viewer=UserId(viewer)) is not None)

    return {"own posts": read_list, "one post": read_one}


def _own(data: Data) -> list[tuple[Any, Any]]:
    """Return readers and the last of all ids, as the place to begin at."""
    return [(data.person(index).id, UUID(int=(1 << 128) - 1)) for index in READERS]


def _one(data: Data) -> list[tuple[Any, Any]]:
    viewers = [data.person(index).id for index in READERS]
    return [(viewers[number % len(viewers)], data.post(number * 7_919 % data.posts).id) for number in range(1_000)]


@asynccontextmanager
async def _bare(kind: str, url: URL, data: Data, what: str) -> AsyncIterator[dict[str, Read]]:
    """Yield the same question by driver."""
    is_list = what == "own posts"
    pairs = _own(data) if is_list else _one(data)
    template = _LISTS[kind] if is_list else _ONE
    # A list asks of an author for an author; one post is asked for by a viewer.
    values = [(viewer, viewer, before) if is_list else (viewer, before) for viewer, before in pairs]
    async with AsyncExitStack() as stack:
        match kind:
            case "sqlite":
                yield await _sqlite(stack, url.database or "", template, values)
            case "mariadb":
                yield {"asyncmy": await _asyncmy(stack, url, template, values)}
            case _:
                yield {"asyncpg": await _asyncpg(stack, url, template, values)}


async def _asyncmy(stack: AsyncExitStack, url: URL, template: str, values: list[tuple[Any, ...]]) -> Read:
    pool = await asyncmy.create_pool(
        minsize=CONNECTIONS, maxsize=CONNECTIONS, host=url.host or "127.0.0.1", port=url.port or 3306,
        user=url.username or "root", password=url.password or "", db=url.database, charset="utf8mb4", autocommit=True,
    )  # fmt: skip

    async def close() -> None:
        pool.close()
        await pool.wait_closed()

    stack.push_async_callback(close)
    query = template.format(viewer="%s", author="%s", before="%s")
    given = [tuple(value.bytes for value in each) for each in values]

    async def read(number: int) -> int:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(query, given[number % len(given)])
            return len(await cursor.fetchall())

    return read


async def _asyncpg(stack: AsyncExitStack, url: URL, template: str, values: list[tuple[Any, ...]]) -> Read:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    pool = await asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS)
    stack.push_async_callback(pool.close)
    query = template.format(viewer="$1", author="$1", before="$2")
    given = [(each[0], each[-1]) for each in values]

    async def read(number: int) -> int:
        async with pool.acquire() as connection:
            return len(await connection.fetch(query, *given[number % len(given)]))

    return read


async def _sqlite(stack: AsyncExitStack, file: str, template: str, values: list[tuple[Any, ...]]) -> dict[str, Read]:
    """Yield SQLite's own driver three times: on the loop, one hop to a thread a query, and by aiosqlite."""
    query = template.format(viewer="?1", author="?1", before="?2")
    given = [(each[0].bytes, each[-1].bytes) for each in values]
    on_loop = sqlite3.connect(file, isolation_level=None)
    stack.callback(on_loop.close)
    threads = ThreadPoolExecutor(4)
    stack.callback(threads.shutdown)
    mine = local()
    opened: list[sqlite3.Connection] = []
    loop = asyncio.get_running_loop()

    def in_thread(number: int) -> int:
        if not hasattr(mine, "connection"):
            mine.connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            opened.append(mine.connection)
        return len(mine.connection.execute(query, given[number % len(given)]).fetchall())

    stack.callback(_close_all, opened)
    pool: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        pool.put_nowait(await stack.enter_async_context(aiosqlite.connect(file, isolation_level=None)))

    async def read_on_loop(number: int) -> int:
        return len(on_loop.execute(query, given[number % len(given)]).fetchall())

    async def read_in_thread(number: int) -> int:
        return await loop.run_in_executor(threads, in_thread, number)

    async def read_by_aiosqlite(number: int) -> int:
        connection = await pool.get()
        try:
            return len(list(await connection.execute_fetchall(query, given[number % len(given)])))
        finally:
            pool.put_nowait(connection)

    return {
        "sqlite3, one hop to a thread": read_in_thread,
        "sqlite3 on the loop": read_on_loop,
        "aiosqlite": read_by_aiosqlite,
    }


def _close_all(connections: Sequence[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()


async def _compare(ours: Read, theirs: Read) -> dict[str, float]:
    """Let both read the same in turns. Raises `ValueError` when they do not find as much."""
    found = await ours(0), await theirs(0)
    # The driver is asked for one more, which says whether the list goes on.
    if not found[0] or not 0 <= found[1] - found[0] <= 1:
        raise ValueError(f"the reader finds {found[0]} rows, the bare driver {found[1]}")
    times: tuple[list[float], list[float]] = [], []
    for number in range(_ROUNDS + 1):
        for read, taken in zip((ours, theirs), times, strict=True):
            each = await _microseconds(read)
            if number:  # The first is for warming up.
                taken.append(each)
    compared = ratio(*times)
    if compared is None:
        raise ValueError("a query took no time at all")
    return {
        "ours_us": statistics.median(times[0]),
        "bare_us": statistics.median(times[1]),
        "ratio": compared.median,
        "ratio_low": compared.low,
        "ratio_high": compared.high,
    }


async def _microseconds(read: Read) -> float:
    """Return the time a query, with sixteen in flight."""
    numbers = itertools.count()

    async def work() -> None:
        while (number := next(numbers)) < _QUERIES:
            await read(number)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return (time.perf_counter() - begun) / _QUERIES * 1e6
