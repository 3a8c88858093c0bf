"""Fills databases in bulk, each by the fastest road it has, through the schema that the contender itself made."""

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import asyncmy
import asyncpg
from sqlalchemy import URL, Dialect, Integer, MetaData, Table, make_url

from bench.apis import PocketBaseApi
from bench.data import Data, Person, Post, Vote, heat, short_id
from domain.posts.ranking import hot_rank
from domain.posts.search import SearchableText

Row = tuple[Any, ...]
Values = dict[str, Any]
_CHUNK = 20_000
FINDABLE: Final = 100_000
"""The newest posts that the index of words is filled with. A full-text index takes longer to fill than all the rest,
and what a new post costs in it grows with the logarithm of what it holds, if at all."""


class UnknownColumn(Exception):
    """A table has a column that the data says nothing of."""


def load(url: str, metadata: MetaData, data: Data, *, password_hash: str) -> None:
    """Fill `users`, `posts`, `votes` and what posts are found by, all empty so far, and have stock taken of them.

    Raises `UnknownColumn`: a new column that needs a value needs one here, too.
    """
    parsed = make_url(url)
    dialect = parsed.get_dialect()()
    # The same order either way: in milliseconds where it is a whole number, as published where it is not.
    rank = hot_rank if isinstance(metadata.tables["posts"].c.hot.type, Integer) else heat
    tables = [
        _Filled(metadata.tables["users"], dialect, (_user(each, password_hash) for each in data.all_people())),
        _Filled(metadata.tables["posts"], dialect, (_post(each, data, rank) for each in data.all_posts())),
        _Filled(metadata.tables["votes"], dialect, (_vote(each, data) for each in data.all_votes())),
    ]
    if "post_words" in metadata.tables:
        newest = range(max(0, data.posts - FINDABLE), data.posts)
        tables.append(_Filled(metadata.tables["post_words"], dialect, (_words(data.post(each)) for each in newest)))
    match dialect.name:
        case "sqlite":
            _load_sqlite(parsed, tables)
        case "postgresql":
            asyncio.run(_load_postgresql(parsed, tables))
        case _:
            asyncio.run(_load_mysql(parsed, tables))


def _user(person: Person, password_hash: str) -> Values:
    return {
        "id": person.id,
        "email": person.email,
        "email_key": person.email,
        "email_verified": False,
        "username": person.username,
        "username_key": person.username,
        "name": person.name,
        "phone": None,
        "password_hash": password_hash,
        "role": "user",
        "status": "active",
        "created_at": person.created_at,
        "updated_at": person.created_at,
        "version": 1,
    }


def _post(post: Post, data: Data, rank: Callable[[int, datetime], float]) -> Values:
    return {
        "id": post.id,
        "author_id": data.person(post.author).id,
        "text": post.text,
        "text_bytes": len(post.text.encode()),
        "score": post.score,
        "upvotes": post.upvotes,
        "downvotes": post.downvotes,
        "hot": rank(post.score, post.created_at),
        "ranked_at": 0,
        "replies": 0,
        "listed": True,
        "created_at": post.created_at,
        "updated_at": post.created_at,
        "version": 1,
    }


def _words(post: Post) -> Values:
    searchable = SearchableText.of(post.text)
    return {"post_id": post.id, "word_count": searchable.count, "words": searchable.words}


def _vote(vote: Vote, data: Data) -> Values:
    return {
        "user_id": data.person(vote.voter).id,
        "post_id": data.post(vote.post).id,
        "direction": vote.direction,
        "created_at": vote.created_at,
        "updated_at": vote.created_at,
    }


class _Filled:
    """A table, and its rows as its driver takes them: converted by the very types that the contender stores with."""

    def __init__(self, table: Table, dialect: Dialect, values: Iterator[Values]) -> None:
        first = next(values)
        self.name = table.name
        self.columns = columns_to_fill(table, first)
        converters = [
            table.c[name].type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is for name in self.columns
        ]
        self._converted = list(zip(self.columns, converters, strict=True))
        self._first = first
        self._rest = values

    def rows(self) -> Iterator[Row]:
        yield self._row(self._first)
        for values in self._rest:
            yield self._row(values)

    def chunks(self) -> Iterator[list[Row]]:
        rows = self.rows()
        while chunk := list(islice(rows, _CHUNK)):
            yield chunk

    def _row(self, values: Values) -> Row:
        return tuple(convert(values[name]) for name, convert in self._converted)


def columns_to_fill(table: Table, values: Values) -> list[str]:
    """Return the columns that there are values for; the others must do without one. Raises `UnknownColumn`."""
    for column in table.columns:
        if column is table.autoincrement_column:
            continue
        if column.name not in values and not column.nullable and column.server_default is None:
            raise UnknownColumn(f"{table.name}.{column.name} needs a value: give it one in bench/loading.py")
    return [column.name for column in table.columns if column.name in values]


def _as_it_is(value: Any) -> Any:
    return value


def _load_sqlite(url: URL, tables: Iterable[_Filled]) -> None:
    connection = sqlite3.connect(url.database or "", isolation_level=None)
    try:
        # Only for the loading: whoever serves sets its own.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        for table in tables:
            _insert(connection, table.name, table.columns, table.rows())
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _insert(connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    connection.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)


async def _load_postgresql(url: URL, tables: Iterable[_Filled]) -> None:
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        async with connection.transaction():
            for table in tables:
                for chunk in table.chunks():
                    await connection.copy_records_to_table(table.name, records=chunk, columns=table.columns)
        for table in tables:
            # Now, not when autovacuum comes round to it in the middle of a measurement.
            await connection.execute(f'VACUUM (ANALYZE) "{table.name}"')
    finally:
        await connection.close()


async def _load_mysql(url: URL, tables: Iterable[_Filled]) -> None:
    """Many rows an INSERT, in one transaction. LOAD DATA LOCAL would be twice as fast; asyncmy 0.2.18 cannot do it."""
    connection = await asyncmy.connect(
        host=url.host or "127.0.0.1", port=url.port or 3306, user=url.username or "root", password=url.password or "",
        db=url.database, charset="utf8mb4",
    )  # fmt: skip
    try:
        async with connection.cursor() as cursor:
            # The data is right by construction, and looking up a million foreign keys takes as long as the rest.
            await cursor.execute("SET SESSION foreign_key_checks = 0, unique_checks = 0")
            for table in tables:
                names, marks = ", ".join(f"`{name}`" for name in table.columns), ", ".join(["%s"] * len(table.columns))
                for chunk in table.chunks():
                    await cursor.executemany(f"INSERT INTO `{table.name}` ({names}) VALUES ({marks})", chunk)
            await connection.commit()
            for table in tables:
                await cursor.execute(f"ANALYZE TABLE `{table.name}`")
    finally:
        connection.close()


def load_pocketbase(file: Path, data: Data, *, password_hash: str) -> None:
    """Fill PocketBase's own database, whose collections are there and whose server is not running."""
    api = PocketBaseApi()

    def stamp(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"

    def user(person: Person) -> Row:
        at = stamp(person.created_at)
        key = api.person_key(person)
        token_key = f"{key}{person.index:035}"  # unique; what it signs lives as long as the benchmark
        return key, person.email, person.username, person.name or "", password_hash, token_key, 1, at, at

    def post(each: Post) -> Row:
        at = stamp(each.created_at)
        author = short_id(each.author, kind="u")
        rank = heat(each.score, each.created_at)
        return api.post_key(each), author, each.text, each.score, each.upvotes, each.downvotes, rank, at, at

    def vote(number: int, each: Vote) -> Row:
        at = stamp(each.created_at)
        key, voter, target = (
            short_id(index, kind=kind) for index, kind in ((number, "v"), (each.voter, "u"), (each.post, "p"))
        )
        return key, voter, target, each.direction, at, at

    users = ("id", "email", "username", "name", "password", "tokenKey", "emailVisibility", "created", "updated")
    posts = ("id", "author", "text", "score", "upvotes", "downvotes", "hot", "created", "updated")
    votes = ("id", "user", "post", "direction", "created", "updated")
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        _insert(connection, "users", users, map(user, data.all_people()))
        _insert(connection, "posts", posts, map(post, data.all_posts()))
        _insert(connection, "votes", votes, (vote(number, each) for number, each in enumerate(data.all_votes())))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def main() -> None:
    """Fill one database in a process of its own, so that two can be filled at once."""
    family, target, posts, password_hash = sys.argv[1:]
    data = Data(int(posts))
    if family == "pocketbase":
        load_pocketbase(Path(target), data, password_hash=password_hash)
        return
    # Each here, because neither contender needs the other's.
    if family == "postern":
        from adapters.sql.tables import Row as Base  # noqa: PLC0415
    else:
        from bench.baselines.fastapi_app.models import Base  # type: ignore[assignment]  # noqa: PLC0415
    load(target, Base.metadata, data, password_hash=password_hash)


if __name__ == "__main__":
    main()
