"""100,000 random votes by 8 processes at once: `python -m tools.torture_votes [sqlite|mariadb|postgresql …]`.

Each process votes as the server does, through the same use case with the same retries. It fails unless every vote was
answered, and every counter and rank is what it counts. Servers are found as the tests find them.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.schema.migrate import upgrade
from adapters.system.clock import SystemClock
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.recount import Recount, RecountCommand
from application.shared.retry import Retried
from domain.posts.vote import Direction
from domain.shared.actor import Actor, Role
from domain.shared.errors import PosternError
from domain.shared.ids import PostId, SessionId, UserId
from entrypoints.storage import sql_storage
from tests.backends import Databases
from tests.builders import a_post, a_user, an_id

WORKERS = 8
USERS, POSTS = 200, 50
AT_ONCE = 4
"""Votes in flight in each process."""


async def _fill(url: str) -> tuple[list[UserId], list[PostId]]:
    storage = sql_storage(Database(DatabaseSettings(url=url)))
    users = [a_user() for _ in range(USERS)]
    posts = [a_post(users[n % 5]) for n in range(POSTS)]
    async with storage.identity_units() as uow:
        for user in users:
            await uow.users.add(user)
        await uow.commit()
    async with storage.posts_units() as posts_uow:
        for post in posts:
            await posts_uow.posts.add(post)
        await posts_uow.commit()
    await storage.close()
    return [user.id for user in users], [post.id for post in posts]


def _worker(url: str, seed: int, votes: int, users: list[UserId], posts: list[PostId]) -> list[str]:
    return asyncio.run(_vote(url, seed, votes, users, posts))


async def _vote(url: str, seed: int, votes: int, users: list[UserId], posts: list[PostId]) -> list[str]:
    """Cast votes; return how any of them failed."""
    # SQLite: eight processes wait for one writer, longer than a request would.
    database = Database(DatabaseSettings(url=url, lock_timeout_seconds=30.0))
    storage = sql_storage(database)
    cast = Retried(
        CastVote(uow=storage.posts_units, clock=SystemClock()),
        sleep=asyncio.sleep,
        random=random.Random(seed).random,  # noqa: S311 - no secret
    )
    failures: list[str] = []

    async def some(rng: random.Random, count: int) -> None:
        for _ in range(count):
            actor = Actor(user_id=rng.choice(users), role=Role.USER, session_id=SessionId(an_id()))
            # A few posts get most of the votes.
            post_id = posts[int(len(posts) * rng.random() ** 2)]
            try:
                await cast.execute(CastVoteCommand(actor, post_id, Direction(rng.choice([1, 1, 0, -1]))))
            except PosternError as error:
                failures.append(f"{error.slug}: {error.__cause__!r}")

    await asyncio.gather(*(some(random.Random(f"{seed}.{n}"), votes // AT_ONCE) for n in range(AT_ONCE)))  # noqa: S311 - no secret
    await storage.close()
    return failures


async def _wrong(url: str) -> int:
    storage = sql_storage(Database(DatabaseSettings(url=url)))
    command = RecountCommand(repair=False)
    wrong = sum([len(batch.wrong) async for batch in Recount(audit=storage.counters).execute(command)])
    await storage.close()
    return wrong


def torture(databases: Databases, backend: str, votes: int) -> bool:
    url = databases.create(backend, "_torture")
    try:
        upgrade(url)
        users, posts = asyncio.run(_fill(url))
        started = time.monotonic()
        with ProcessPoolExecutor(WORKERS) as pool:
            running = [pool.submit(_worker, url, seed, votes // WORKERS, users, posts) for seed in range(WORKERS)]
            failures = [failure for each in running for failure in each.result()]
        seconds = time.monotonic() - started
        wrong = asyncio.run(_wrong(url))
    finally:
        databases.drop(backend, url)
    sys.stdout.write(
        f"{backend}: {votes:,} votes by {WORKERS} processes in {seconds:.0f} s ({votes / seconds:,.0f}/s), "
        f"{len(failures)} failed, {wrong} posts drifted\n"
    )
    sys.stdout.flush()
    for failure in sorted(set(failures))[:5]:
        sys.stderr.write(f"  {failure}\n")
    return not failures and not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", default=["sqlite", "mariadb", "postgresql"])
    parser.add_argument("--votes", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(Path(folder), f"torture{os.getpid()}")
        sound = [torture(databases, backend, options.votes) for backend in options.backends]
    sys.exit(0 if all(sound) else 1)


if __name__ == "__main__":
    main()
