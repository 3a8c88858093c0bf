"""Accounts, sessions, credentials and administration."""

from dependency_injector import providers

from adapters.security.api_key_directory import ApiKeyDirectory
from application.identity.use_cases import IdentityUseCases
from application.orders.export import OrdersExport
from application.posts.export import PostsExport, VotesExport
from entrypoints.container.rate_limits import RateLimits, guarded_log_in, guarded_password_reset


class Identity(RateLimits):
    identity = providers.Singleton(
        IdentityUseCases,
        uow=RateLimits.storage.provided.identity_units,
        credentials=RateLimits.storage.provided.credentials,
        accounts=RateLimits.storage.provided.accounts,
        users=RateLimits.storage.provided.users,
        sessions=RateLimits.storage.provided.sessions,
        api_keys=RateLimits.storage.provided.api_keys,
        audit=RateLimits.storage.provided.audit,
        exports=providers.List(
            providers.Singleton(PostsExport, RateLimits.storage.provided.posts),
            providers.Singleton(VotesExport, RateLimits.storage.provided.votes),
            providers.Singleton(OrdersExport, RateLimits.storage.provided.orders),
        ),
        hasher=RateLimits.hasher,
        common_passwords=RateLimits.common_passwords,
        usernames=RateLimits.usernames,
        reserved=RateLimits.reserved_usernames,
        issuer=RateLimits.issuer,
        refresh_tokens=RateLimits.refresh_tokens,
        one_time_tokens=RateLimits.one_time_tokens,
        totp=RateLimits.totp,
        box=RateLimits.secret_box,
        recovery_codes=RateLimits.recovery_codes,
        keys=RateLimits.api_keys,
        mails=RateLimits.mails,
        background=RateLimits.background,
        ids=RateLimits.ids,
        clock=RateLimits.clock,
        cursors=RateLimits.cursors,
        writing=RateLimits.writing,
        limit_log_in=providers.Callable(
            guarded_log_in,
            settings=RateLimits.settings,
            limiter=RateLimits.rate_limiter,
            limits=RateLimits.limits,
            origins=RateLimits.origins,
            pseudonym=RateLimits.pseudonym,
            background=RateLimits.background,
        ).provider,
        limit_password_reset=providers.Callable(
            guarded_password_reset,
            settings=RateLimits.settings,
            limiter=RateLimits.rate_limiter,
            limits=RateLimits.limits,
            origins=RateLimits.origins,
            pseudonym=RateLimits.pseudonym,
        ).provider,
    )
    api_key_directory = providers.Singleton(
        ApiKeyDirectory,
        keys=RateLimits.api_keys,
        reader=RateLimits.storage.provided.api_keys,
        note_use=identity.provided.note_api_key_use,
        clock=RateLimits.clock,
    )
