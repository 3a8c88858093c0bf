"""Every use case over memory and fakes, put together as the container does it, but without the retries."""

from collections.abc import Awaitable, Callable

from adapters.security.keys import DerivedKeys
from adapters.security.opaque import RandomRecoveryCodes
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.totp import PyotpTotpCodes
from application.identity.change_password import ChangePassword
from application.identity.edit_profile import EditProfile
from application.identity.get_account import GetAccount
from application.identity.log_in import LogIn, LogInCommand
from application.identity.log_out import LogOut
from application.identity.note_session_use import NoteSessionUse, NoteSessionUseCommand
from application.identity.open_session import OpenSession
from application.identity.ports import PasswordHasher, PasswordVerdict
from application.identity.refresh_session import RefreshSession, RefreshSessionCommand
from application.identity.register import Register
from application.identity.revocations import generation_of
from application.identity.second_factor import SecondFactorDesk
from application.identity.sign_up import SignUp, SignUpCommand
from application.identity.tokens import TokenDesk
from application.identity.views import SignedUpView, TokenPairView
from application.posts.delete_post import DeletePost
from application.posts.edit_post import EditPost
from application.posts.get_post import GetPost
from application.posts.list_author_posts import ListAuthorPosts
from application.posts.list_feed import ListFeed
from application.posts.list_my_posts import ListMyPosts, StoredMyPosts
from application.posts.publish_post import PublishPost
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

PASSWORD = "correct horse battery"
DEVICE = Device.of("curl/8.9", "192.0.2.7")


class Interrupted(PasswordHasher):
    """Lets something happen while a password is being verified, when no transaction is open."""

    def __init__(self, hasher: PasswordHasher, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._hasher = hasher
        self._meanwhile = meanwhile

    async def hash(self, password: Password) -> str:
        return await self._hasher.hash(password)

    async def verify(self, password_hash: str | None, password: Password) -> PasswordVerdict:
        verdict = await self._hasher.verify(password_hash, password)
        await self._meanwhile()
        return verdict


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
        self.second_factor = SecondFactorDesk(totp=self.totp, box=self.box, recovery_codes=self.recovery_codes)
        self.desk = TokenDesk(ids=self.ids, access_tokens=self.access_tokens, refresh_tokens=self.refresh_tokens)

        storage, clock = self.storage, self.clock
        units = storage.identity_units
        self.sign_up = SignUp(
            hasher=self.hasher,
            common_passwords=self.common_passwords,
            usernames=self.usernames,
            reserved=self.reserved,
            register=Register(uow=units, desk=self.desk, ids=self.ids, clock=clock),
        )
        self.open_session = OpenSession(uow=units, desk=self.desk, second_factor=self.second_factor, clock=clock)
        self.refresh_session = RefreshSession(
            uow=units, refresh_tokens=self.refresh_tokens, desk=self.desk, clock=clock
        )
        self.note_session_use = NoteSessionUse(uow=units)
        self.log_out = LogOut(uow=units, clock=clock)
        self.get_account = GetAccount(accounts=storage.accounts)
        self.edit_profile = EditProfile(uow=units, reserved=self.reserved, clock=clock)
        self.publish_post = PublishPost(uow=storage.posts_units, authors=storage.authors, ids=self.ids, clock=clock)
        self.edit_post = EditPost(uow=storage.posts_units, reader=storage.posts, clock=clock)
        self.delete_post = DeletePost(uow=storage.posts_units, clock=clock)
        self.get_post = GetPost(reader=storage.posts)
        self.list_feed = ListFeed(reader=storage.posts, cursors=self.cursors, clock=clock)
        self.list_author_posts = ListAuthorPosts(reader=storage.posts, authors=storage.authors, cursors=self.cursors)
        self.list_my_posts = ListMyPosts(my_posts=StoredMyPosts(reader=storage.posts, cursors=self.cursors))

    @property
    def log_in(self) -> LogIn:
        return self.log_in_with(self.hasher)

    def log_in_with(self, hasher: PasswordHasher) -> LogIn:
        return LogIn(
            uow=self.storage.identity_units,
            credentials=self.storage.credentials,
            hasher=hasher,
            open_session=self.open_session,
        )

    @property
    def change_password(self) -> ChangePassword:
        return ChangePassword(
            uow=self.storage.identity_units,
            credentials=self.storage.credentials,
            hasher=self.hasher,
            common_passwords=self.common_passwords,
            clock=self.clock,
        )

    async def signed_up(self, username: str, *, password: str = PASSWORD) -> SignedUpView:
        return await self.sign_up.execute(
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
        return await self.log_in.execute(command)

    async def refreshed(self, pair: TokenPairView) -> TokenPairView:
        return await self.refresh_session.execute(RefreshSessionCommand(pair.refresh_token))

    async def used(self, pair: TokenPairView) -> None:
        """Use the pair's access token, as far as its session hears of it."""
        access = self.access_tokens.verify(pair.access_token)
        generation = generation_of(access.token_id, access.session_id)
        await self.note_session_use.execute(NoteSessionUseCommand(access.session_id, generation))

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
