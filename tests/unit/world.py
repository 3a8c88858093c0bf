"""The bundles of use cases over memory and fakes, undecorated."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.mail.account_mails import TemplatedAccountMails
from adapters.mail.mailbox import NoTransport
from adapters.mail.queue import MailQueue
from adapters.security.keys import DerivedKeys
from adapters.security.opaque import ChecksummedApiKeys, RandomOneTimeTokens, RandomRecoveryCodes
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.totp import PyotpTotpCodes
from application.identity.log_in import LogInCommand
from application.identity.note_session_use import NoteSessionUseCommand
from application.identity.ports import PasswordCheck, PasswordHasher
from application.identity.refresh_session import RefreshSessionCommand
from application.identity.revocations import generation_of
from application.identity.second_factor import SecondFactorVerifier
from application.identity.sign_up import SignUpCommand
from application.identity.tokens import TokenIssuer
from application.identity.use_cases import IdentityUseCases
from application.identity.views import SignedUpView, TokenPairView
from application.posts.list_feed import ListFeed
from application.posts.list_my_posts import StoredMyPosts
from application.posts.read_feed import StoredExactFeed, StoredPublicFeed
from application.posts.use_cases import PostsUseCases
from application.shared.background import Background
from application.shared.threads import INLINE_THREADS
from application.shared.use_case import UseCase
from application.shared.writing import Writing
from domain.identity.reserved import ReservedUsernames
from domain.identity.values import Device, EmailAddress, Password, Username, UserStatus
from domain.shared.actor import Actor
from domain.shared.ids import UserId
from domain.shared.text import canonical_key
from entrypoints.memory_storage import memory_storage
from tests.fakes import (
    CountedIds,
    CountedRefreshTokens,
    FastPasswordHasher,
    ListedCommonPasswords,
    ListedUsernames,
    PlainAccessTokens,
    PlainCursorCodec,
    SettableClock,
)

C = TypeVar("C")
R = TypeVar("R")

PASSWORD = "correct horse battery"
DEVICE = Device.of("curl/8.9", "192.0.2.7")


class Interrupted(PasswordHasher):
    """Lets something happen while a password is being verified, when no transaction is open."""

    def __init__(self, hasher: PasswordHasher, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._hasher = hasher
        self._meanwhile = meanwhile

    async def hash(self, password: Password) -> str:
        return await self._hasher.hash(password)

    async def verify(self, password_hash: str | None, password: Password) -> PasswordCheck:
        verdict = await self._hasher.verify(password_hash, password)
        await self._meanwhile()
        return verdict


class Undecorated(Writing):
    """Runs use cases once: what they raise is what is tested."""

    def __init__(self) -> None:
        pass

    def __call__(self, use_case: UseCase[C, R], /) -> UseCase[C, R]:
        return use_case


class NoBackground(Background):
    """Drops the work: mails are tested over HTTP."""

    def submit(self, work: Callable[[], Awaitable[object]]) -> None:
        pass


class World:
    """One application, empty at first."""

    def __init__(self, *usernames: str) -> None:
        self.clock = SettableClock()
        self.ids = CountedIds()
        self.storage = memory_storage()
        self.fast_hasher = FastPasswordHasher()
        self.hasher: PasswordHasher = self.fast_hasher
        self.common_passwords = ListedCommonPasswords("password1234")
        self.access_tokens = PlainAccessTokens(self.clock)
        self.refresh_tokens = CountedRefreshTokens()
        self.cursors = PlainCursorCodec()
        self.usernames = ListedUsernames(*usernames)
        self.reserved = ReservedUsernames(["walrus-king"])
        self.totp = PyotpTotpCodes(issuer="Postern")
        self.box = AesGcmSecretBox(keys=DerivedKeys("a key that everybody knows"))
        self.recovery_codes = RandomRecoveryCodes()
        self.second_factor = SecondFactorVerifier(totp=self.totp, box=self.box, recovery_codes=self.recovery_codes)
        self.mails = TemplatedAccountMails(MailQueue(NoTransport()), public_url="https://example.org")
        self.issuer = TokenIssuer(ids=self.ids, access_tokens=self.access_tokens, refresh_tokens=self.refresh_tokens)

        storage = self.storage
        self.list_feed = ListFeed(reader=storage.posts, cursors=self.cursors, clock=self.clock)
        self.posts = PostsUseCases(
            uow=storage.posts_units,
            reader=storage.posts,
            authors=storage.authors,
            my_posts=StoredMyPosts(reader=storage.posts, cursors=self.cursors),
            exact_feed=StoredExactFeed(list_feed=self.list_feed),
            public_feed=StoredPublicFeed(list_feed=self.list_feed),
            search=storage.search,
            counters=storage.counters,
            ids=self.ids,
            clock=self.clock,
            cursors=self.cursors,
            threads=INLINE_THREADS,
            writing=Undecorated(),
        )

    @property
    def identity(self) -> IdentityUseCases:
        """The use cases of identity over the hasher that there is now."""
        storage = self.storage
        return IdentityUseCases(
            uow=storage.identity_units,
            credentials=storage.credentials,
            accounts=storage.accounts,
            users=storage.users,
            sessions=storage.sessions,
            api_keys=storage.api_keys,
            audit=storage.audit,
            exports=[],
            hasher=self.hasher,
            common_passwords=self.common_passwords,
            usernames=self.usernames,
            reserved=self.reserved,
            issuer=self.issuer,
            refresh_tokens=self.refresh_tokens,
            one_time_tokens=RandomOneTimeTokens(),
            totp=self.totp,
            box=self.box,
            recovery_codes=self.recovery_codes,
            keys=ChecksummedApiKeys(),
            mails=self.mails,
            background=NoBackground(),
            ids=self.ids,
            clock=self.clock,
            cursors=self.cursors,
            writing=Undecorated(),
            limit_log_in=lambda log_in: log_in,
            limit_password_reset=lambda request: request,
        )

    async def signed_up(self, username: str, *, password: str = PASSWORD) -> SignedUpView:
        return await self.identity.sign_up.execute(
            SignUpCommand(
                email=EmailAddress.parse(f"{username}@example.org"),
                password=Password.new(password),
                username=Username.parse(username),
                name=None,
                device=DEVICE,
            )
        )

    async def logged_in(self, username: str, *, password: str = PASSWORD) -> TokenPairView:
        command = LogInCommand(canonical_key(f"{username}@example.org"), Password.attempt(password), DEVICE)
        return await self.identity.log_in.execute(command)

    async def refreshed(self, pair: TokenPairView) -> TokenPairView:
        return await self.identity.refresh_session.execute(RefreshSessionCommand(pair.refresh_token))

    async def used(self, pair: TokenPairView) -> None:
        """Use the pair's access token, as far as its session hears of it."""
        access = self.access_tokens.verify(pair.access_token)
        generation = generation_of(access.token_id, access.session_id)
        await self.identity.note_session_use.execute(NoteSessionUseCommand(access.session_id, generation))

    def actor(self, pair: TokenPairView) -> Actor:
        """Return whom the pair's access token speaks for."""
        access = self.access_tokens.verify(pair.access_token)
        return Actor(user_id=access.user_id, role=access.role, session_id=access.session_id)

    async def suspend(self, user_id: UserId) -> None:
        async with self.storage.identity_units() as uow:
            user = await uow.users.get(user_id)
            user.status = UserStatus.SUSPENDED
            await uow.users.save(user)
            await uow.commit()
