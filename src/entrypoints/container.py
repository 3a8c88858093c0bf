"""The composition root: which adapter stands behind which port. Only this module and `storage` know everything.

Built once a process, as `Container(settings=Settings.load())`. Nothing is wired at import; what needs an event loop
connects on first use or in `running`. Tests override providers (`container.clock.override(...)`) before they build the
app.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from dependency_injector import containers, providers

from adapters.cache.my_posts import CachedMyPosts
from adapters.cache.redis import RedisAuthorRevisions, RedisConnection, RedisPageStore
from adapters.security.argon2 import Argon2PasswordHasher
from adapters.security.common_passwords import PackagedCommonPasswords
from adapters.security.cursors import HmacCursorCodec
from adapters.security.jwt import JwtAccessTokens
from adapters.security.keys import DerivedKeys
from adapters.security.refresh_tokens import ChainedRefreshTokens
from adapters.sql.database import Database
from adapters.sql.fence import SqlCacheFence
from adapters.system.clock import SystemClock
from adapters.system.ids import RandomUsernames, Uuid7Generator
from application.identity.change_password import ChangePassword
from application.identity.create_admin import CreateAdmin
from application.identity.edit_profile import EditProfile
from application.identity.get_account import GetAccount
from application.identity.log_in import LogIn
from application.identity.log_out import LogOut
from application.identity.refresh_session import RefreshSession
from application.identity.sign_up import SignUp
from application.identity.tokens import TokenDesk
from application.posts.delete_post import DeletePost
from application.posts.edit_post import EditPost
from application.posts.get_post import GetPost
from application.posts.list_author_posts import ListAuthorPosts
from application.posts.list_feed import ListFeed
from application.posts.list_my_posts import ListMyPosts, StoredMyPosts
from application.posts.ports import AuthorRevisions
from application.posts.publish_post import PublishPost
from application.shared.retry import Retried
from application.shared.unit_of_work import CommitListener
from application.shared.use_case import UseCase
from entrypoints.settings import Settings
from entrypoints.storage import Storage, memory_storage, sql_storage

C = TypeVar("C")
R = TypeVar("R")


def _retried(use_case: UseCase[C, R]) -> UseCase[C, R]:
    return Retried(use_case, sleep=asyncio.sleep, random=random.random)


def _database(settings: Settings) -> Database | None:
    return None if settings.database_url.startswith("memory:") else Database(settings.database)


def _redis(settings: Settings) -> RedisConnection | None:
    return None if settings.redis_url is None else RedisConnection(settings.redis_url)


def _redis_revisions(redis: RedisConnection | None, database: Database | None) -> RedisAuthorRevisions | None:
    # A SQLite file serves one host and tells its readers of every commit by itself, so Redis has nothing to add.
    if redis is None or database is None or database.sqlite_file is not None:
        return None
    return RedisAuthorRevisions(redis, SqlCacheFence(database))


def _listeners(redis_revisions: RedisAuthorRevisions | None) -> Sequence[CommitListener]:
    return () if redis_revisions is None else (redis_revisions,)


def _storage(database: Database | None, listeners: Sequence[CommitListener]) -> Storage:
    return memory_storage(listeners) if database is None else sql_storage(database, listeners)


def _revisions(redis_revisions: RedisAuthorRevisions | None, storage: Storage) -> AuthorRevisions:
    return storage.revisions if redis_revisions is None else redis_revisions


def _page_store(redis: RedisConnection | None, redis_revisions: RedisAuthorRevisions | None) -> RedisPageStore | None:
    return None if redis is None or redis_revisions is None else RedisPageStore(redis)


class Container(containers.DeclarativeContainer):
    """Every object of one process. All are singletons: stateless, or shared on purpose."""

    settings = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(Uuid7Generator)
    usernames = providers.Singleton(RandomUsernames)

    # Security
    keys = providers.Singleton(DerivedKeys, settings.provided.secret_key)
    hasher = providers.Singleton(Argon2PasswordHasher, settings.provided.hashing)
    common_passwords = providers.Singleton(PackagedCommonPasswords)
    access_tokens = providers.Singleton(
        JwtAccessTokens,
        keys=keys,
        clock=clock,
        issuer=settings.provided.token_issuer,
        lifetime_seconds=settings.provided.access_token_seconds,
    )
    refresh_tokens = providers.Singleton(ChainedRefreshTokens, keys=keys)
    cursors = providers.Singleton(HmacCursorCodec, keys=keys)
    desk = providers.Singleton(TokenDesk, ids=ids, access_tokens=access_tokens, refresh_tokens=refresh_tokens)

    # Storage, and the cache of own posts in front of it
    database = providers.Singleton(_database, settings)
    redis = providers.Singleton(_redis, settings)
    redis_revisions = providers.Singleton(_redis_revisions, redis, database)
    storage = providers.Singleton(_storage, database, providers.Singleton(_listeners, redis_revisions))
    revisions = providers.Singleton(_revisions, redis_revisions, storage)
    my_posts = providers.Singleton(
        CachedMyPosts,
        providers.Singleton(StoredMyPosts, reader=storage.provided.posts, cursors=cursors),
        revisions=revisions,
        shared=providers.Singleton(_page_store, redis, redis_revisions),
        ttl_seconds=settings.provided.cache_ttl_seconds,
        max_bytes=settings.provided.cache_max_bytes,
    )

    # Use cases: those that write are run again when they lose a race.
    sign_up = providers.Singleton(
        _retried,
        providers.Singleton(
            SignUp,
            uow=storage.provided.identity_units,
            hasher=hasher,
            common_passwords=common_passwords,
            desk=desk,
            ids=ids,
            usernames=usernames,
            clock=clock,
        ),
    )
    log_in = providers.Singleton(
        _retried,
        providers.Singleton(
            LogIn,
            uow=storage.provided.identity_units,
            credentials=storage.provided.credentials,
            hasher=hasher,
            desk=desk,
            clock=clock,
        ),
    )
    refresh_session = providers.Singleton(
        _retried,
        providers.Singleton(
            RefreshSession,
            uow=storage.provided.identity_units,
            refresh_tokens=refresh_tokens,
            desk=desk,
            clock=clock,
        ),
    )
    log_out = providers.Singleton(
        _retried, providers.Singleton(LogOut, uow=storage.provided.identity_units, clock=clock)
    )
    get_account = providers.Singleton(GetAccount, accounts=storage.provided.accounts)
    edit_profile = providers.Singleton(
        _retried, providers.Singleton(EditProfile, uow=storage.provided.identity_units, clock=clock)
    )
    change_password = providers.Singleton(
        _retried,
        providers.Singleton(
            ChangePassword,
            uow=storage.provided.identity_units,
            credentials=storage.provided.credentials,
            hasher=hasher,
            common_passwords=common_passwords,
            clock=clock,
        ),
    )
    create_admin = providers.Singleton(
        _retried,
        providers.Singleton(
            CreateAdmin,
            uow=storage.provided.identity_units,
            hasher=hasher,
            common_passwords=common_passwords,
            ids=ids,
            clock=clock,
        ),
    )
    publish_post = providers.Singleton(
        _retried,
        providers.Singleton(
            PublishPost,
            uow=storage.provided.posts_units,
            authors=storage.provided.authors,
            ids=ids,
            clock=clock,
        ),
    )
    edit_post = providers.Singleton(
        _retried,
        providers.Singleton(EditPost, uow=storage.provided.posts_units, reader=storage.provided.posts, clock=clock),
    )
    delete_post = providers.Singleton(
        _retried, providers.Singleton(DeletePost, uow=storage.provided.posts_units, clock=clock)
    )
    get_post = providers.Singleton(GetPost, reader=storage.provided.posts)
    list_feed = providers.Singleton(ListFeed, reader=storage.provided.posts, cursors=cursors)
    list_author_posts = providers.Singleton(
        ListAuthorPosts, reader=storage.provided.posts, authors=storage.provided.authors, cursors=cursors
    )
    list_my_posts = providers.Singleton(ListMyPosts, my_posts=my_posts)


@asynccontextmanager
async def running(container: Container) -> AsyncIterator[None]:
    """Start what lives in the background; in the end let go of everything, the database last of all.

    The order matters at the end: what is still being hashed may want to be stored, a revision that could not be
    announced raises its fence in the database, and Redis is asked to invalidate before that fence is lowered.
    Each step is taken even when one before it fails.
    """
    revisions, redis = container.redis_revisions(), container.redis()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.storage().close)
        if redis is not None:
            stack.push_async_callback(redis.close)
        if revisions is not None:
            stack.push_async_callback(revisions.close)
            await revisions.start()
        stack.push_async_callback(container.hasher().close)
        yield
