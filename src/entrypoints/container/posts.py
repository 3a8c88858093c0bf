"""Posts, and the caches in front of their readers."""

from dependency_injector import providers

from adapters.cache.feed import CHECKED_FEED_SECONDS, CachedPublicFeed, CheckedFeed
from adapters.cache.my_posts import CachedMyPosts
from adapters.cache.redis import RedisAuthorRevisions, RedisPageStore
from adapters.shared.redis import RedisConnection
from application.posts.list_feed import ListFeed
from application.posts.list_my_posts import StoredMyPosts
from application.posts.read_feed import ExactFeed, StoredExactFeed, StoredPublicFeed
from application.posts.use_cases import PostsUseCases
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.storage import Storage


def _page_store(redis: RedisConnection | None, redis_revisions: RedisAuthorRevisions | None) -> RedisPageStore | None:
    return None if redis is None or redis_revisions is None else RedisPageStore(redis)


def _exact_feed(stored: ExactFeed, storage: Storage, cache_ttl_seconds: float) -> ExactFeed:
    # Elsewhere than on SQLite nothing tells for less than a page costs whether it is still current.
    if storage.commits is None:
        return stored
    return CheckedFeed(stored, commits=storage.commits, ttl_seconds=min(cache_ttl_seconds, CHECKED_FEED_SECONDS))


class Posts(Infrastructure):
    """Posts, votes, feeds and search."""

    my_posts = providers.Singleton(
        CachedMyPosts,
        providers.Singleton(
            StoredMyPosts,
            reader=Infrastructure.storage.provided.posts,
            cursors=Infrastructure.cursors,
            threads=Infrastructure.threads,
        ),
        revisions=Infrastructure.revisions,
        shared=providers.Singleton(_page_store, Infrastructure.redis, Infrastructure.redis_revisions),
        ttl_seconds=Infrastructure.settings.provided.cache_ttl_seconds,
        max_bytes=Infrastructure.settings.provided.cache_max_bytes,
    )

    list_feed = providers.Singleton(
        ListFeed,
        reader=Infrastructure.storage.provided.posts,
        cursors=Infrastructure.cursors,
        clock=Infrastructure.clock,
    )
    public_feed = providers.Singleton(
        CachedPublicFeed,
        providers.Singleton(StoredPublicFeed, list_feed=list_feed, threads=Infrastructure.threads),
        ttl_seconds=Infrastructure.settings.provided.feed_cache_seconds,
    )
    exact_feed = providers.Singleton(
        _exact_feed,
        providers.Singleton(StoredExactFeed, list_feed=list_feed, threads=Infrastructure.threads),
        Infrastructure.storage,
        Infrastructure.settings.provided.cache_ttl_seconds,
    )
    posts = providers.Singleton(
        PostsUseCases,
        uow=Infrastructure.storage.provided.posts_units,
        reader=Infrastructure.storage.provided.posts,
        authors=Infrastructure.storage.provided.authors,
        my_posts=my_posts,
        exact_feed=exact_feed,
        public_feed=public_feed,
        search=Infrastructure.storage.provided.search,
        counters=Infrastructure.storage.provided.counters,
        ids=Infrastructure.ids,
        clock=Infrastructure.clock,
        cursors=Infrastructure.cursors,
        threads=Infrastructure.threads,
        writing=Infrastructure.writing,
    )
