"""The use cases of posts, and the caches in front of their readers."""

from dependency_injector import providers

from adapters.cache.feed import CHECKED_FEED_SECONDS, CachedPublicFeed, CheckedFeed
from adapters.cache.my_posts import CachedMyPosts
from adapters.cache.redis import RedisAuthorRevisions, RedisPageStore
from adapters.shared.redis import RedisConnection
from application.posts.cast_vote import CastVote
from application.posts.delete_post import DeletePost
from application.posts.edit_post import EditPost
from application.posts.get_post import GetPost
from application.posts.list_author_posts import ListAuthorPosts
from application.posts.list_feed import ListFeed
from application.posts.list_my_posts import ListMyPosts, StoredMyPosts
from application.posts.list_replies import ListReplies
from application.posts.publish_post import PublishPost
from application.posts.read_feed import ExactFeed, ReadFeed, StoredExactFeed, StoredPublicFeed
from application.posts.recount import Recount
from application.posts.search_posts import SearchPosts
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.container.retried import retried
from entrypoints.storage import Storage


def _page_store(redis: RedisConnection | None, redis_revisions: RedisAuthorRevisions | None) -> RedisPageStore | None:
    return None if redis is None or redis_revisions is None else RedisPageStore(redis)


def _exact_feed(stored: ExactFeed, storage: Storage, cache_ttl_seconds: float) -> ExactFeed:
    # Elsewhere than on SQLite nothing tells for less than a page costs whether it is still current.
    if storage.commits is None:
        return stored
    return CheckedFeed(stored, commits=storage.commits, ttl_seconds=min(cache_ttl_seconds, CHECKED_FEED_SECONDS))


class PostsUseCases(Infrastructure):
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

    publish_post = providers.Singleton(
        retried,
        providers.Singleton(
            PublishPost,
            uow=Infrastructure.storage.provided.posts_units,
            authors=Infrastructure.storage.provided.authors,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
        Infrastructure.storage.provided.grouped,
    )
    edit_post = providers.Singleton(
        retried,
        providers.Singleton(
            EditPost,
            uow=Infrastructure.storage.provided.posts_units,
            reader=Infrastructure.storage.provided.posts,
            clock=Infrastructure.clock,
        ),
        Infrastructure.storage.provided.grouped,
    )
    delete_post = providers.Singleton(
        retried,
        providers.Singleton(DeletePost, uow=Infrastructure.storage.provided.posts_units, clock=Infrastructure.clock),
    )
    get_post = providers.Singleton(GetPost, reader=Infrastructure.storage.provided.posts)
    cast_vote = providers.Singleton(
        retried,
        providers.Singleton(CastVote, uow=Infrastructure.storage.provided.posts_units, clock=Infrastructure.clock),
        Infrastructure.storage.provided.grouped,
    )
    recount = providers.Singleton(Recount, audit=Infrastructure.storage.provided.counters)
    list_replies = providers.Singleton(
        ListReplies, reader=Infrastructure.storage.provided.posts, cursors=Infrastructure.cursors
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
    read_feed = providers.Singleton(ReadFeed, exact=exact_feed, public=public_feed)
    search_posts = providers.Singleton(
        SearchPosts,
        search=Infrastructure.storage.provided.search,
        cursors=Infrastructure.cursors,
        threads=Infrastructure.threads,
    )
    list_author_posts = providers.Singleton(
        ListAuthorPosts,
        reader=Infrastructure.storage.provided.posts,
        authors=Infrastructure.storage.provided.authors,
        cursors=Infrastructure.cursors,
    )
    list_my_posts = providers.Singleton(ListMyPosts, my_posts=my_posts)
