"""What is measured, and who tells."""

import sys
from collections.abc import Iterator
from pathlib import Path

from dependency_injector import providers

from adapters.cache.feed import CachedPublicFeed, CheckedFeed
from adapters.cache.my_posts import CachedMyPosts
from adapters.live.hub import LiveHub
from adapters.shared.redis import RedisConnection
from adapters.shared.supervision import counted
from adapters.sql.database import Database
from adapters.system.clock_sync import ClockSynchronizer
from adapters.telemetry.board import MetricsBoard, Sample, Source
from adapters.telemetry.metrics import RequestMetrics
from adapters.telemetry.process import process_samples
from adapters.telemetry.request_log import RequestLog, as_json, as_text
from application.posts.read_feed import ExactFeed
from application.shared.health import Notices
from application.webhooks.counts import DeliveryCounts
from entrypoints.container.live import LiveEvents
from entrypoints.container.posts import Posts
from entrypoints.container.rate_limits import RateLimits
from entrypoints.container.webhooks import Webhooks
from entrypoints.settings import Environment, Settings

_STANDARD_ERROR = 2


def _request_log(settings: Settings) -> RequestLog | None:
    if not settings.request_log:
        return None
    is_watched = settings.environment is Environment.DEVELOPMENT and sys.stderr.isatty()
    return RequestLog(_STANDARD_ERROR, render=as_text if is_watched else as_json)


def _caches(my_posts: CachedMyPosts, feed: CachedPublicFeed, exact_feed: ExactFeed) -> Source:
    caches: dict[str, CachedMyPosts | CachedPublicFeed | CheckedFeed] = {"own-posts": my_posts, "public-feed": feed}
    if isinstance(exact_feed, CheckedFeed):
        caches["exact-feed"] = exact_feed

    def samples() -> Iterator[Sample]:
        for cache, kept in caches.items():
            statistics = kept.statistics
            labels = (("cache", cache),)
            yield "postern_cache_hits_total", labels, statistics.hits
            yield "postern_cache_misses_total", labels, statistics.misses
            yield "postern_cache_shared_hits_total", labels, statistics.shared_hits
            yield "postern_cache_bypasses_total", labels, statistics.bypasses
            yield "postern_cache_entries", labels, statistics.entries
            yield "postern_cache_bytes", labels, statistics.bytes

    return samples


def _pools(database: Database | None) -> Source:
    def samples() -> Iterator[Sample]:
        for pool in () if database is None else database.pools():
            labels = (("pool", pool.name),)
            yield "postern_database_pool_size", labels, pool.size
            yield "postern_database_pool_open", labels, pool.open
            yield "postern_database_pool_in_use", labels, pool.in_use

    return samples


def _connections(cache: RedisConnection | None, limits: RedisConnection | None) -> Source:
    def samples() -> Iterator[Sample]:
        for name, connection in (("cache", cache), ("limits", limits)):
            if connection is not None:
                yield "postern_redis_up", (("connection", name),), int(connection.is_usable)

    return samples


def _log(log: RequestLog | None) -> Source:
    return lambda: [("postern_request_log_lost_total", (), 0 if log is None else log.lost)]


def _clock(keeper: ClockSynchronizer) -> Source:
    return lambda: [("postern_clock_skew_seconds", (), keeper.skew_seconds)]


def _notices(notices: Notices) -> Source:
    return lambda: [("postern_notice", (("code", code),), value) for code, value in notices.gauges().items()]


def _loops() -> Source:
    return lambda: [("postern_loop_failures_total", (("loop", name),), count) for name, count in counted.items()]


def _process() -> Source:
    return process_samples


def _streams(hub: LiveHub) -> Source:
    return lambda: [("postern_live_streams", (), len(hub))]


def _webhooks(counts: DeliveryCounts) -> Source:
    def samples() -> Iterator[Sample]:
        for result, count in counts.attempts.items():
            yield "postern_webhook_attempts_total", (("result", result),), count
        for status, count in counts.ended.items():
            yield "postern_webhook_deliveries_total", (("status", status),), count

    return samples


class Telemetry(Posts, LiveEvents, Webhooks, RateLimits):
    """The request log, and the metrics of this process and of its sisters."""

    request_metrics = providers.Singleton(RequestMetrics)
    request_log = providers.Singleton(_request_log, Posts.settings)
    metrics_directory: providers.Provider[Path | None] = providers.Object(None)
    """Where the workers of one server leave their numbers for each other; None where there are no others."""
    metrics_board = providers.Singleton(
        MetricsBoard,
        request_metrics,
        providers.List(
            providers.Singleton(_caches, Posts.my_posts, Posts.public_feed, Posts.exact_feed),
            providers.Singleton(_streams, LiveEvents.live_hub),
            providers.Singleton(_webhooks, Webhooks.delivery_counts),
            providers.Singleton(_pools, Posts.database),
            providers.Singleton(_connections, Posts.redis, RateLimits.rate_limit_redis),
            providers.Singleton(_log, request_log),
            providers.Singleton(_clock, Posts.clock_synchronizer),
            providers.Singleton(_notices, Posts.notices),
            providers.Singleton(_loops),
            providers.Singleton(_process),
        ),
        directory=metrics_directory,
    )
