"""One process of the application, told on its standard input what to do: `publish TEXT`, `read`, `hits`; then its end.

    python -m tests.integration.cache.worker DATABASE_URL REDIS_URL AUTHOR_ID

It answers each line with one line, `ok` or what was read; a failure is answered with its name.
"""

import asyncio
import json
import sys
from uuid import UUID

from adapters.cache.my_posts import CachedMyPosts
from adapters.cache.redis import RedisAuthorRevisions, RedisPageStore
from adapters.shared.redis import RedisConnection
from adapters.sql.cache_fence import SqlCacheFence
from adapters.sql.database import Database, DatabaseSettings
from adapters.system.clock import SystemClock
from adapters.system.ids import Uuid7Generator
from application.posts.list_my_posts import StoredMyPosts
from application.posts.publish_post import PublishPost, PublishPostCommand
from application.shared.paging import PageRequest
from application.shared.pending import settled
from domain.posts.values import PostText
from domain.shared.actor import Actor, Role
from domain.shared.errors import PosternError
from domain.shared.ids import SessionId, UserId
from entrypoints.storage import sql_storage
from tests.fakes import PlainCursorCodec
from tests.integration.cache.servers import LEASE


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main(database_url: str, redis_url: str, author: UserId) -> None:
    database = Database(DatabaseSettings(url=database_url))
    connection = RedisConnection(redis_url)
    revisions = RedisAuthorRevisions(connection, SqlCacheFence(database), lease_seconds=LEASE)
    storage = sql_storage(database, [revisions])
    cache = CachedMyPosts(
        StoredMyPosts(reader=storage.posts, cursors=PlainCursorCodec()),
        revisions=revisions,
        shared=RedisPageStore(connection),
        ttl_seconds=300,
        max_bytes=1_000_000,
    )
    publish = PublishPost(uow=storage.posts_units, authors=storage.authors, ids=Uuid7Generator(), clock=SystemClock())
    actor = Actor(author, Role.USER, SessionId(author))

    async def obey(order: str) -> str:
        match order.split(" ", 1):
            case ["publish", text]:
                await publish.execute(PublishPostCommand(actor, PostText.parse(text)))
                return "ok"
            case ["read"]:
                page = json.loads((await settled(cache.page(author, PageRequest(limit=1)))).body)
                return str(page["items"][0]["text"]) if page["items"] else "nothing"
            case ["hits"]:
                return str(cache.statistics.hits)
            case _:
                raise ValueError(order)

    await revisions.start()
    orders = await lines()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while order := (await orders.readline()).decode().strip():
        try:
            answer = await obey(order)
        except PosternError as error:
            answer = type(error).__name__
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    await revisions.stop()
    await connection.close()
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], UserId(UUID(sys.argv[3]))))
