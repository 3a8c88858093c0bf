"""What the use cases of every context stand on: clock, security, mail and storage."""

import asyncio
import random
from collections.abc import Sequence

from dependency_injector import containers, providers

from adapters.cache.pages import boot_time
from adapters.cache.redis import RedisAuthorRevisions
from adapters.live.commit_signal import CommitSignal
from adapters.mail.account_mails import TemplatedAccountMails
from adapters.mail.mailbox import FolderMailbox, NoTransport
from adapters.mail.queue import MailQueue
from adapters.mail.smtp_server import SmtpServer
from adapters.mail.transport import MailTransport
from adapters.security.argon2 import Argon2PasswordHasher
from adapters.security.common_passwords import PackagedCommonPasswords
from adapters.security.cursors import HmacCursorCodec
from adapters.security.jwt import JwtAccessTokens
from adapters.security.keys import DerivedKeys
from adapters.security.opaque import ChecksummedApiKeys, RandomOneTimeTokens, RandomRecoveryCodes
from adapters.security.refresh_tokens import ChainedRefreshTokens
from adapters.security.response_cipher import AesGcmResponseCipher
from adapters.security.revocations import LOCAL_WINDOW_SECONDS, WINDOW_SECONDS, KnownRevocations, PolledRevocations
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.totp import PyotpTotpCodes
from adapters.shared.redis import RedisConnection
from adapters.sql.cache_fence import SqlCacheFence
from adapters.sql.database import Database
from adapters.sql.sqlite_file import FileId
from adapters.system.background import TaskBackground
from adapters.system.clock import SharedClock, SystemClock
from adapters.system.clock_sync import ClockSynchronizer
from adapters.system.connection_guard import ConnectionGuard
from adapters.system.deadline import ContextDeadline
from adapters.system.ids import RandomUsernames, Uuid7Generator
from adapters.system.server_lifecycle import ServerLifecycle
from adapters.system.threads import AsyncioThreads
from application.events.views import Envelopes
from application.identity.tokens import TokenIssuer
from application.posts.ports import AuthorRevisions
from application.shared.clock import Clock
from application.shared.health import Notices
from application.shared.idempotency import Idempotency
from application.shared.unit_of_work import CommitListener
from application.shared.writing import Writing
from domain.identity.reserved import ReservedUsernames
from entrypoints.settings import Settings
from entrypoints.storage import Storage, sql_storage


def _as_clock(shared: SharedClock) -> Clock:
    return shared


def _revocation_window(database: Database | None) -> float:
    # The processes at a SQLite file have no clock in common but their host's.
    return LOCAL_WINDOW_SECONDS if database is not None and database.sqlite_file is not None else WINDOW_SECONDS


def _database(settings: Settings, file: FileId | None) -> Database | None:
    return None if settings.database_url.startswith("memory:") else Database(settings.database, file=file)


def _reserved_usernames(settings: Settings) -> ReservedUsernames:
    return ReservedUsernames(settings.reserved_usernames)


def _redis(settings: Settings) -> RedisConnection | None:
    return None if settings.redis_url is None else RedisConnection(settings.redis_url)


def _redis_revisions(redis: RedisConnection | None, database: Database | None) -> RedisAuthorRevisions | None:
    # A SQLite file serves one host and tells its readers of every commit by itself, so Redis has nothing to add.
    if redis is None or database is None or database.sqlite_file is not None:
        return None
    return RedisAuthorRevisions(redis, SqlCacheFence(database))


def _listeners(
    known: KnownRevocations, commit_signal: CommitSignal, redis_revisions: RedisAuthorRevisions | None
) -> Sequence[CommitListener]:
    # What costs no time goes first: a token is refused here before a slow Redis has been told anything.
    return (known, commit_signal) if redis_revisions is None else (known, commit_signal, redis_revisions)


def _storage(database: Database | None, listeners: Sequence[CommitListener], notices: Notices) -> Storage:
    if database is not None:
        notices.add_source(database.writes.notices)
        return sql_storage(database, listeners)
    from entrypoints.memory_storage import memory_storage  # noqa: PLC0415 - who has a database does not need it

    return memory_storage(listeners)


def _revisions(redis_revisions: RedisAuthorRevisions | None, storage: Storage) -> AuthorRevisions:
    return storage.revisions if redis_revisions is None else redis_revisions


def _mailbox(settings: Settings, clock: Clock) -> FolderMailbox | None:
    return None if settings.mailbox_folder is None else FolderMailbox(settings.mailbox_folder, clock=clock)


def _mail_transport(settings: Settings, mailbox: FolderMailbox | None) -> MailTransport:
    if settings.smtp_url is None:
        return mailbox or NoTransport()
    from adapters.mail.smtp import SmtpTransport  # noqa: PLC0415 - who sends no mail need not import an SMTP client

    return SmtpTransport(SmtpServer.parse(settings.smtp_url), sender=settings.mail_sender)


class Infrastructure(containers.DeclarativeContainer):
    """Adapters, one of each a process."""

    settings = providers.Dependency(instance_of=Settings)

    host_clock = providers.Singleton(SystemClock)
    shared_clock = providers.Singleton(SharedClock, host_clock, timer=boot_time)
    clock = providers.Callable(_as_clock, shared_clock)
    """What everything goes by. Tests that set the time override this one."""
    threads = providers.Singleton(AsyncioThreads)
    notices = providers.Singleton(Notices)
    """What `/health/ready` and `/metrics` tell the operator; adapters put and clear theirs."""
    serving = providers.Singleton(ServerLifecycle, notices)
    ids = providers.Singleton(Uuid7Generator)
    usernames = providers.Singleton(RandomUsernames)
    reserved_usernames = providers.Singleton(_reserved_usernames, settings)

    # Security
    keys = providers.Singleton(DerivedKeys, settings.provided.secret_key, settings.provided.secret_key_previous)
    hasher = providers.Singleton(Argon2PasswordHasher, settings.provided.hashing)
    common_passwords = providers.Singleton(PackagedCommonPasswords)
    access_tokens = providers.Singleton(
        JwtAccessTokens,
        keys=keys,
        clock=clock,
        issuer=settings.provided.token_issuer,
        lifetime_seconds=settings.provided.access_token_seconds,
        signing_keys=settings.provided.signing_keys,
    )
    refresh_tokens = providers.Singleton(ChainedRefreshTokens, keys=keys)
    cursors = providers.Singleton(HmacCursorCodec, keys=keys)
    one_time_tokens = providers.Singleton(RandomOneTimeTokens)
    api_keys = providers.Singleton(ChecksummedApiKeys)
    recovery_codes = providers.Singleton(RandomRecoveryCodes)
    totp = providers.Singleton(PyotpTotpCodes, issuer=settings.provided.token_issuer)
    secret_box = providers.Singleton(AesGcmSecretBox, keys=keys)
    issuer = providers.Singleton(TokenIssuer, ids=ids, access_tokens=access_tokens, refresh_tokens=refresh_tokens)

    # Mail, and what else nobody waits for
    background = providers.Singleton(TaskBackground)
    mailbox = providers.Singleton(_mailbox, settings, clock)
    mail_transport = providers.Singleton(_mail_transport, settings, mailbox)
    mail_queue = providers.Singleton(MailQueue, mail_transport)
    mails = providers.Singleton(
        TemplatedAccountMails,
        mail_queue,
        public_url=settings.provided.mail_links,
        own_pages=settings.provided.mail_links_use_own_pages,
    )

    # Connections of clients
    live_peers: providers.Provider[set[tuple[str, int]]] = providers.Singleton(set)
    """Those that listen to live events, by address and port."""
    connection_guard: providers.Provider[ConnectionGuard | None] = providers.Object(None)
    """Only where a server of ours runs the application; it overrides this."""

    # Storage, and the cache of own posts in front of it
    # Which file the server's first process found, so that no worker takes another one in its place for it.
    database_file: providers.Provider[FileId | None] = providers.Object(None)
    database = providers.Singleton(_database, settings, database_file)
    redis = providers.Singleton(_redis, settings)
    redis_revisions = providers.Singleton(_redis_revisions, redis, database)
    known_revocations = providers.Singleton(KnownRevocations, timer=boot_time)
    commit_signal = providers.Singleton(CommitSignal)
    storage = providers.Singleton(
        _storage,
        database,
        providers.Singleton(_listeners, known_revocations, commit_signal, redis_revisions),
        notices,
    )
    envelope = providers.Singleton(Envelopes, api=settings.provided.events_source)
    writing = providers.Singleton(
        Writing, storage.provided.group_commit, sleep=asyncio.sleep, random=random.random, deadline=ContextDeadline()
    )
    idempotency = providers.Singleton(
        Idempotency,
        kept=storage.provided.stored_responses,
        vault=providers.Singleton(AesGcmResponseCipher, keys=keys),
        clock=clock,
    )
    revisions = providers.Singleton(_revisions, redis_revisions, storage)
    revocations = providers.Singleton(
        PolledRevocations,
        storage.provided.revocations,
        known_revocations,
        token_lifetime_seconds=settings.provided.access_token_seconds,
        timer=boot_time,
        window_seconds=providers.Callable(_revocation_window, database),
    )
    clock_synchronizer = providers.Singleton(
        ClockSynchronizer, storage.provided.time, shared_clock, ids, notices, on_step=revocations.provided.invalidate
    )
