"""Rate limits: what they are, and who keeps count."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from dependency_injector import providers

from adapters.rate_limit.redis import RedisRateLimiter
from adapters.rate_limit.windows import MemoryRateLimiter
from adapters.security.keys import DerivedKeys
from adapters.shared.redis import RedisConnection
from adapters.system.origin import ContextOrigins
from application.identity.guards import GuardedLogIn, GuardedPasswordReset, LogInLimits
from application.identity.log_in import LogInCommand
from application.identity.request_password_reset import RequestPasswordResetCommand
from application.identity.views import TokenPairView
from application.shared.background import Background
from application.shared.origin import OriginReader
from application.shared.rate_limit import Limit, RateLimiter
from application.shared.use_case import UseCase
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.settings import Rate, Settings

_KNOWN_SECONDS = 30 * 86_400
"""How long an address is known to an account that logged in from it: as long as the session that this opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every limit, under the names that clients see."""

    address: Limit
    user: Limit
    writes: Limit
    sign_up: Limit
    refresh: Limit
    verify: Limit
    log_in: LogInLimits
    forgot: Limit
    forgot_address: Limit


def _limits(settings: Settings) -> Limits:
    def limit(name: str, rate: Rate) -> Limit:
        return Limit(name, rate.amount, rate.seconds)

    return Limits(
        address=limit("address", settings.rate_limit_address),
        user=limit("user", settings.rate_limit_user),
        writes=limit("writes", settings.rate_limit_writes),
        sign_up=limit("sign-up", settings.rate_limit_sign_up),
        refresh=limit("refresh", settings.rate_limit_refresh),
        # Mails to an address that its owner may never have typed, as with a forgotten password.
        verify=limit("verify", settings.rate_limit_forgot),
        log_in=LogInLimits(
            here=limit("log-in", settings.rate_limit_log_in),
            address=limit("log-in-address", settings.rate_limit_log_in_address),
            account=limit("log-in-account", settings.rate_limit_log_in_account),
            known=Limit("log-in-known", 1_000_000_000, _KNOWN_SECONDS),
        ),
        forgot=limit("forgot", settings.rate_limit_forgot),
        forgot_address=limit("forgot-address", settings.rate_limit_forgot_address),
    )


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
    """Counters of this process, counters of all of them, and the limits."""

    origins = providers.Singleton(ContextOrigins)
    limits = providers.Singleton(_limits, Infrastructure.settings)
    local_rate_limiter = providers.Singleton(MemoryRateLimiter)
    rate_limit_redis = providers.Singleton(_redis, Infrastructure.settings)
    rate_limiter = providers.Singleton(_shared, rate_limit_redis, local_rate_limiter)
    pseudonym = providers.Singleton(_pseudonym, Infrastructure.keys)


def guarded_log_in(
    inner: UseCase[LogInCommand, TokenPairView],
    *,
    settings: Settings,
    limiter: RateLimiter,
    limits: Limits,
    origins: OriginReader,
    pseudonym: Callable[[str], str],
    background: Background,
) -> UseCase[LogInCommand, TokenPairView]:
    if not settings.rate_limit_enabled:
        return inner
    return GuardedLogIn(
        inner, limiter=limiter, limits=limits.log_in, origins=origins, pseudonym=pseudonym, background=background
    )


def guarded_password_reset(
    inner: UseCase[RequestPasswordResetCommand, None],
    *,
    settings: Settings,
    limiter: RateLimiter,
    limits: Limits,
    origins: OriginReader,
    pseudonym: Callable[[str], str],
) -> UseCase[RequestPasswordResetCommand, None]:
    if not settings.rate_limit_enabled:
        return inner
    return GuardedPasswordReset(
        inner,
        limiter=limiter,
        account=limits.forgot,
        address=limits.forgot_address,
        origins=origins,
        pseudonym=pseudonym,
    )
