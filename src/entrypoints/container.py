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

from adapters.cache.feed import CachedPublicFeed
from adapters.cache.my_posts import CachedMyPosts, boot_time
from adapters.cache.redis import RedisAuthorRevisions, RedisConnection, RedisPageStore
from adapters.mail.account_mails import TemplatedAccountMails
from adapters.mail.mailbox import FolderMailbox, NoTransport
from adapters.mail.queue import MailQueue
from adapters.mail.smtp import SmtpServer, SmtpTransport
from adapters.mail.transport import MailTransport
from adapters.security.api_key_directory import ApiKeyDirectory
from adapters.security.argon2 import Argon2PasswordHasher
from adapters.security.common_passwords import PackagedCommonPasswords
from adapters.security.cursors import HmacCursorCodec
from adapters.security.jwt import JwtAccessTokens
from adapters.security.keys import DerivedKeys
from adapters.security.opaque import ChecksummedApiKeys, RandomOneTimeTokens, RandomRecoveryCodes
from adapters.security.refresh_tokens import ChainedRefreshTokens
from adapters.security.revocations import KnownRevocations, PolledRevocations
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.totp import PyotpTotpCodes
from adapters.sql.database import Database
from adapters.sql.fence import SqlCacheFence
from adapters.system.background import TaskBackground
from adapters.system.clock import SystemClock
from adapters.system.ids import RandomUsernames, Uuid7Generator
from adapters.system.periodic import Periodic
from application.identity.change_password import ChangePassword
from application.identity.create_admin import CreateAdmin
from application.identity.create_user import CreateUser
from application.identity.delete_account import DeleteAccount
from application.identity.delete_user import DeleteUser
from application.identity.edit_profile import EditProfile
from application.identity.export_data import (
    AccountExport,
    ApiKeysExport,
    AuditExport,
    ExportData,
    SecondFactorExport,
    SessionsExport,
)
from application.identity.get_account import GetAccount
from application.identity.get_user import GetUser
from application.identity.list_audit import ListAudit
from application.identity.list_sessions import ListSessions
from application.identity.list_users import ListUsers
from application.identity.log_in import LogIn
from application.identity.log_out import LogOut
from application.identity.log_out_by_token import LogOutByToken
from application.identity.log_out_everywhere import LogOutEverywhere
from application.identity.manage_api_keys import CreateApiKey, ListApiKeys, RevokeApiKey
from application.identity.manage_totp import ConfirmTotp, DisableTotp, EnrolTotp, GetTotp
from application.identity.note_api_key_use import NoteApiKeyUse
from application.identity.refresh_session import RefreshSession
from application.identity.reinstate_user import ReinstateUser
from application.identity.replace_user import ReplaceUser
from application.identity.request_password_reset import RequestPasswordReset
from application.identity.reset_password import ResetPassword
from application.identity.revoke_session import RevokeSession
from application.identity.second_factor import SecondFactorDesk
from application.identity.send_verification import SendVerification, SignUpWithVerification
from application.identity.sign_up import SignUp
from application.identity.suspend_user import SuspendUser
from application.identity.tokens import TokenDesk
from application.identity.verify_email import VerifyEmail
from application.orders.cancel_order import CancelOrder
from application.orders.export import OrdersExport
from application.orders.get_order import GetOrder
from application.orders.list_orders import ListOrders
from application.orders.move_order import MoveOrder
from application.orders.place_order import PlaceOrder
from application.posts.cast_vote import CastVote
from application.posts.delete_post import DeletePost
from application.posts.edit_post import EditPost
from application.posts.export import PostsExport, VotesExport
from application.posts.get_post import GetPost
from application.posts.list_author_posts import ListAuthorPosts
from application.posts.list_feed import ListFeed
from application.posts.list_my_posts import ListMyPosts, StoredMyPosts
from application.posts.list_replies import ListReplies
from application.posts.ports import AuthorRevisions
from application.posts.publish_post import PublishPost
from application.posts.read_feed import ReadFeed, StoredPublicFeed
from application.posts.recount import Recount
from application.posts.search_posts import SearchPosts
from application.shared.background import Deferred
from application.shared.clock import Clock
from application.shared.retry import Retried
from application.shared.unit_of_work import CommitListener
from application.shared.use_case import UseCase
from entrypoints.settings import Settings
from entrypoints.storage import Storage, memory_storage, sql_storage

_SWEEP_SECONDS = 300.0

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


def _listeners(known: KnownRevocations, redis_revisions: RedisAuthorRevisions | None) -> Sequence[CommitListener]:
    # What costs no time goes first: a token is refused here before a slow Redis has been told anything.
    return (known,) if redis_revisions is None else (known, redis_revisions)


def _storage(database: Database | None, listeners: Sequence[CommitListener]) -> Storage:
    return memory_storage(listeners) if database is None else sql_storage(database, listeners)


def _revisions(redis_revisions: RedisAuthorRevisions | None, storage: Storage) -> AuthorRevisions:
    return storage.revisions if redis_revisions is None else redis_revisions


def _page_store(redis: RedisConnection | None, redis_revisions: RedisAuthorRevisions | None) -> RedisPageStore | None:
    return None if redis is None or redis_revisions is None else RedisPageStore(redis)


def _mailbox(settings: Settings, clock: Clock) -> FolderMailbox | None:
    return None if settings.mailbox_folder is None else FolderMailbox(settings.mailbox_folder, clock=clock)


def _mail_transport(settings: Settings, mailbox: FolderMailbox | None) -> MailTransport:
    if settings.smtp_url is None:
        return mailbox or NoTransport()
    return SmtpTransport(SmtpServer.parse(settings.smtp_url), sender=settings.mail_sender)


class Container(containers.DeclarativeContainer):
    """Every object of one process. All are singletons: stateless, or shared on purpose."""

    settings = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(Uuid7Generator)
    usernames = providers.Singleton(RandomUsernames)

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
    second_factor = providers.Singleton(SecondFactorDesk, totp=totp, box=secret_box, recovery_codes=recovery_codes)
    desk = providers.Singleton(TokenDesk, ids=ids, access_tokens=access_tokens, refresh_tokens=refresh_tokens)

    # Mail, and what else nobody waits for
    background = providers.Singleton(TaskBackground)
    mailbox = providers.Singleton(_mailbox, settings, clock)
    mail_transport = providers.Singleton(_mail_transport, settings, mailbox)
    mail_queue = providers.Singleton(MailQueue, mail_transport)
    mails = providers.Singleton(TemplatedAccountMails, mail_queue, public_url=settings.provided.mail_links)

    # Storage, and the cache of own posts in front of it
    database = providers.Singleton(_database, settings)
    redis = providers.Singleton(_redis, settings)
    redis_revisions = providers.Singleton(_redis_revisions, redis, database)
    known_revocations = providers.Singleton(KnownRevocations, timer=boot_time)
    storage = providers.Singleton(
        _storage, database, providers.Singleton(_listeners, known_revocations, redis_revisions)
    )
    revisions = providers.Singleton(_revisions, redis_revisions, storage)
    revocations = providers.Singleton(
        PolledRevocations,
        storage.provided.revocations,
        known_revocations,
        token_lifetime_seconds=settings.provided.access_token_seconds,
        timer=boot_time,
    )
    my_posts = providers.Singleton(
        CachedMyPosts,
        providers.Singleton(StoredMyPosts, reader=storage.provided.posts, cursors=cursors),
        revisions=revisions,
        shared=providers.Singleton(_page_store, redis, redis_revisions),
        ttl_seconds=settings.provided.cache_ttl_seconds,
        max_bytes=settings.provided.cache_max_bytes,
    )

    # Use cases: those that write are run again when they lose a race.
    send_verification = providers.Singleton(
        Deferred,
        providers.Singleton(
            _retried,
            providers.Singleton(
                SendVerification,
                uow=storage.provided.identity_units,
                tokens=one_time_tokens,
                mails=mails,
                clock=clock,
            ),
        ),
        background,
    )
    sign_up = providers.Singleton(
        SignUpWithVerification,
        providers.Singleton(
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
        ),
        send=send_verification,
    )
    verify_email = providers.Singleton(
        _retried,
        providers.Singleton(VerifyEmail, uow=storage.provided.identity_units, tokens=one_time_tokens, clock=clock),
    )
    request_password_reset = providers.Singleton(
        Deferred,
        providers.Singleton(
            _retried,
            providers.Singleton(
                RequestPasswordReset,
                uow=storage.provided.identity_units,
                credentials=storage.provided.credentials,
                tokens=one_time_tokens,
                mails=mails,
                clock=clock,
            ),
        ),
        background,
    )
    reset_password = providers.Singleton(
        _retried,
        providers.Singleton(
            ResetPassword,
            uow=storage.provided.identity_units,
            credentials=storage.provided.credentials,
            tokens=one_time_tokens,
            hasher=hasher,
            common_passwords=common_passwords,
            mails=mails,
            clock=clock,
        ),
    )
    enrol_totp = providers.Singleton(
        _retried,
        providers.Singleton(EnrolTotp, uow=storage.provided.identity_units, totp=totp, box=secret_box, clock=clock),
    )
    confirm_totp = providers.Singleton(
        _retried,
        providers.Singleton(
            ConfirmTotp,
            uow=storage.provided.identity_units,
            desk=second_factor,
            recovery_codes=recovery_codes,
            clock=clock,
        ),
    )
    disable_totp = providers.Singleton(
        _retried,
        providers.Singleton(
            DisableTotp,
            uow=storage.provided.identity_units,
            credentials=storage.provided.credentials,
            hasher=hasher,
            desk=second_factor,
            clock=clock,
        ),
    )
    get_totp = providers.Singleton(GetTotp, uow=storage.provided.identity_units)
    create_api_key = providers.Singleton(
        _retried,
        providers.Singleton(CreateApiKey, uow=storage.provided.identity_units, keys=api_keys, ids=ids, clock=clock),
    )
    list_api_keys = providers.Singleton(ListApiKeys, reader=storage.provided.api_keys)
    revoke_api_key = providers.Singleton(
        _retried, providers.Singleton(RevokeApiKey, uow=storage.provided.identity_units, clock=clock)
    )
    note_api_key_use = providers.Singleton(
        Deferred,
        providers.Singleton(
            _retried, providers.Singleton(NoteApiKeyUse, uow=storage.provided.identity_units, clock=clock)
        ),
        background,
    )
    api_key_directory = providers.Singleton(
        ApiKeyDirectory,
        keys=api_keys,
        reader=storage.provided.api_keys,
        note_use=note_api_key_use,
        clock=clock,
    )
    log_out_by_token = providers.Singleton(
        _retried,
        providers.Singleton(
            LogOutByToken, uow=storage.provided.identity_units, refresh_tokens=refresh_tokens, clock=clock
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
            second_factor=second_factor,
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
    list_sessions = providers.Singleton(ListSessions, sessions=storage.provided.sessions, cursors=cursors, clock=clock)
    revoke_session = providers.Singleton(
        _retried, providers.Singleton(RevokeSession, uow=storage.provided.identity_units, clock=clock)
    )
    log_out_everywhere = providers.Singleton(
        _retried, providers.Singleton(LogOutEverywhere, uow=storage.provided.identity_units, clock=clock)
    )
    delete_account = providers.Singleton(
        _retried,
        providers.Singleton(
            DeleteAccount,
            uow=storage.provided.identity_units,
            credentials=storage.provided.credentials,
            hasher=hasher,
            clock=clock,
        ),
    )
    export_sources = providers.List(
        providers.Singleton(AccountExport, storage.provided.accounts),
        providers.Singleton(SecondFactorExport, storage.provided.identity_units),
        providers.Singleton(SessionsExport, storage.provided.sessions),
        providers.Singleton(ApiKeysExport, storage.provided.api_keys),
        providers.Singleton(PostsExport, storage.provided.posts),
        providers.Singleton(VotesExport, storage.provided.votes),
        providers.Singleton(OrdersExport, storage.provided.orders),
        providers.Singleton(AuditExport, storage.provided.audit),
    )
    export_data = providers.Singleton(
        _retried,
        providers.Singleton(
            ExportData,
            uow=storage.provided.identity_units,
            accounts=storage.provided.accounts,
            sources=export_sources,
            clock=clock,
        ),
    )

    # Administration
    list_users = providers.Singleton(ListUsers, users=storage.provided.users, cursors=cursors)
    get_user = providers.Singleton(GetUser, users=storage.provided.users)
    create_user = providers.Singleton(
        _retried,
        providers.Singleton(
            CreateUser,
            uow=storage.provided.identity_units,
            hasher=hasher,
            common_passwords=common_passwords,
            ids=ids,
            clock=clock,
        ),
    )
    replace_user = providers.Singleton(
        _retried, providers.Singleton(ReplaceUser, uow=storage.provided.identity_units, clock=clock)
    )
    delete_user = providers.Singleton(
        _retried, providers.Singleton(DeleteUser, uow=storage.provided.identity_units, clock=clock)
    )
    suspend_user = providers.Singleton(
        _retried, providers.Singleton(SuspendUser, uow=storage.provided.identity_units, clock=clock)
    )
    reinstate_user = providers.Singleton(
        _retried, providers.Singleton(ReinstateUser, uow=storage.provided.identity_units, clock=clock)
    )
    list_audit = providers.Singleton(ListAudit, audit=storage.provided.audit, cursors=cursors)

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
    cast_vote = providers.Singleton(
        _retried, providers.Singleton(CastVote, uow=storage.provided.posts_units, clock=clock)
    )
    recount = providers.Singleton(Recount, audit=storage.provided.counters)
    list_replies = providers.Singleton(ListReplies, reader=storage.provided.posts, cursors=cursors)
    list_feed = providers.Singleton(ListFeed, reader=storage.provided.posts, cursors=cursors, clock=clock)
    public_feed = providers.Singleton(
        CachedPublicFeed,
        providers.Singleton(StoredPublicFeed, list_feed=list_feed),
        ttl_seconds=settings.provided.feed_cache_seconds,
    )
    read_feed = providers.Singleton(ReadFeed, list_feed=list_feed, public=public_feed)
    search_posts = providers.Singleton(SearchPosts, search=storage.provided.search, cursors=cursors)
    list_author_posts = providers.Singleton(
        ListAuthorPosts, reader=storage.provided.posts, authors=storage.provided.authors, cursors=cursors
    )
    list_my_posts = providers.Singleton(ListMyPosts, my_posts=my_posts)

    place_order = providers.Singleton(
        _retried, providers.Singleton(PlaceOrder, uow=storage.provided.orders_units, ids=ids, clock=clock)
    )
    cancel_order = providers.Singleton(
        _retried, providers.Singleton(CancelOrder, uow=storage.provided.orders_units, clock=clock)
    )
    move_order = providers.Singleton(
        _retried, providers.Singleton(MoveOrder, uow=storage.provided.orders_units, clock=clock)
    )
    get_order = providers.Singleton(GetOrder, reader=storage.provided.orders)
    list_orders = providers.Singleton(ListOrders, reader=storage.provided.orders, cursors=cursors)


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
        revocations = container.revocations()
        stack.push_async_callback(revocations.close)
        await revocations.start()
        storage, clock = container.storage(), container.clock()
        sweeper = Periodic("purging past ranks", lambda: storage.purge_past_ranks(clock.now()), seconds=_SWEEP_SECONDS)
        stack.push_async_callback(sweeper.close)
        await sweeper.start()
        stack.push_async_callback(container.hasher().close)
        stack.push_async_callback(container.mail_queue().close)
        stack.push_async_callback(container.background().close)  # before the mails, which it may still make
        yield
