"""Rate limits: the counters, and the use cases that count against limits of their own."""

import hmac
from collections.abc import Callable, Mapping

from dependency_injector import providers

from adapters.rate_limit.redis import RedisRateLimiter
from adapters.rate_limit.windows import MemoryRateLimiter
from adapters.security.keys import DerivedKeys
from adapters.shared.redis import RedisConnection
from adapters.system.origin import ContextOrigins
from application.identity.log_in import LogInCommand
from application.identity.rate_limited import RateLimitedLogIn, RateLimitedPasswordReset
from application.identity.request_password_reset import RequestPasswordResetCommand
from application.identity.views import TokenPairView
from application.shared.background import Background
from application.shared.origin import OriginReader
from application.shared.rate_limit import Limit, RateLimiter
from application.shared.use_case import UseCase
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.settings import Settings


def _redis(settings: Settings) -> RedisConnection | None:
    # A connection of its own: a reply that the cache waits for does not queue behind counting, nor fail with it.
    if settings.redis_url is None or not settings.rate_limit_enabled:
        return None
    return RedisConnection(settings.redis_url, name="limits")


def _shared(connection: RedisConnection | None, local: RateLimiter) -> RateLimiter:
    return local if connection is None else RedisRateLimiter(connection, local)


def _pseudonym(keys: DerivedKeys) -> Callable[[str], str]:
    secret = keys.pseudonyms[0].secret
    return lambda text: hmac.digest(secret, text.encode(), "sha256")[:16].hex()


class RateLimits(Infrastructure):
    """Counters of this process, counters of all of them, and the limits by name."""

    origins = providers.Singleton(ContextOrigins)
    limits = Infrastructure.settings.provided.limits
    local_rate_limiter = providers.Singleton(MemoryRateLimiter)
    rate_limit_redis = providers.Singleton(_redis, Infrastructure.settings)
    rate_limiter = providers.Singleton(_shared, rate_limit_redis, local_rate_limiter)
    pseudonym = providers.Singleton(_pseudonym, Infrastructure.keys)


def guarded_log_in(
    inner: UseCase[LogInCommand, TokenPairView],
    *,
    settings: Settings,
    limiter: RateLimiter,
    limits: Mapping[str, Limit],
    origins: OriginReader,
    pseudonym: Callable[[str], str],
    background: Background,
) -> UseCase[LogInCommand, TokenPairView]:
    if not settings.rate_limit_enabled:
        return inner
    return RateLimitedLogIn(
        inner,
        limiter=limiter,
        here=limits["log-in"],
        address=limits["log-in-address"],
        account=limits["log-in-account"],
        origins=origins,
        pseudonym=pseudonym,
        background=background,
    )


def guarded_password_reset(
    inner: UseCase[RequestPasswordResetCommand, None],
    *,
    settings: Settings,
    limiter: RateLimiter,
    limits: Mapping[str, Limit],
    origins: OriginReader,
    pseudonym: Callable[[str], str],
) -> UseCase[RequestPasswordResetCommand, None]:
    if not settings.rate_limit_enabled:
        return inner
    return RateLimitedPasswordReset(
        inner,
        limiter=limiter,
        account=limits["forgot"],
        address=limits["forgot-address"],
        origins=origins,
        pseudonym=pseudonym,
    )
