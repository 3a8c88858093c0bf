"""What the use cases of identity need from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.identity.audit import AuditEntry
from application.identity.credentials import ApiKeyRepository, OneTimeTokenRepository, SecondFactorRepository
from application.identity.revocations import Revocation
from application.identity.views import AccountView, AuditEntryView, SessionView, UserView
from application.shared.unit_of_work import UnitOfWork
from application.shared.views import Versioned
from domain.identity.session import Session
from domain.identity.user import User
from domain.identity.values import EmailAddress, Password, RefreshTokenHash, Username, UserStatus
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class RoleAndStatus:
    role: Role
    status: UserStatus


class UserRepository(Protocol):
    async def add(self, user: User) -> None:
        """Store a new account.

        Raises `EmailTaken` or `UsernameTaken`, judged by the canonical keys, here or in the commit.
        """
        ...

    async def get(self, user_id: UserId) -> User:
        """Load and lock. Raises `UserNotFound`."""
        ...

    async def save(self, user: User) -> None:
        """Store the changes. Raises `VersionConflict`, `EmailTaken`, `UsernameTaken`."""
        ...

    async def role_and_status(self, user_id: UserId) -> RoleAndStatus | None:
        """Read role and status without locking; None when there is no such account."""
        ...

    async def lock_active_admins(self) -> list[UserId]:
        """Lock every active administrator and return who they are, so that the number of them stays what it is."""
        ...

    async def remove(self, user: User, *, at: datetime) -> None:
        """Take the account away, with everything that is its own: sessions, posts, votes.

        The posts of others that it had voted on lose its votes in the same transaction. What is kept without the
        person keeps no reference to them. Raises `VersionConflict`.
        """
        ...


class SessionRepository(Protocol):
    async def add(self, session: Session) -> None:
        """Store a new session. Raises `UserNotFound`, here or in the commit, when its user is gone."""
        ...

    async def get(self, session_id: SessionId) -> Session:
        """Load and lock. Raises `SessionNotFound`."""
        ...

    async def save(self, session: Session) -> None:
        """Store the changes. Raises `VersionConflict`."""
        ...

    async def list_live(self, user_id: UserId, *, at: datetime) -> list[Session]:
        """Load and lock a user's live sessions, oldest first."""
        ...

    async def oldest_beyond(self, user_id: UserId, *, keep: int, at: datetime) -> list[Session]:
        """Load and lock a user's live sessions but for the newest `keep`.

        It is all of them until the commit as long as the user is locked: whoever opens a session locks them first.
        """
        ...

    async def note_use(self, session_id: SessionId, generation: int) -> None:
        """Keep that the pair of this generation is used, if it is the session's newest; one atomic statement."""
        ...


class AuditTrail(Protocol):
    """The append-only record of security events. There is no way to change or remove an entry, on purpose.

    The entries of committed events are written by storage (see `application.identity.audit`).
    """

    async def record(self, entry: AuditEntry) -> None:
        """Add what has no event."""
        ...


class IdentityUnitOfWork(UnitOfWork, Protocol):
    @property
    def users(self) -> UserRepository: ...

    @property
    def sessions(self) -> SessionRepository: ...

    @property
    def one_time_tokens(self) -> OneTimeTokenRepository: ...

    @property
    def second_factors(self) -> SecondFactorRepository: ...

    @property
    def api_keys(self) -> ApiKeyRepository: ...

    @property
    def audit(self) -> AuditTrail: ...


IdentityUnits = Callable[[], IdentityUnitOfWork]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signing in is checked against."""

    user_id: UserId
    email: EmailAddress
    username: Username
    password_hash: str = field(repr=False)
    is_active: bool


class CredentialsReader(Protocol):
    """Reads outside of any transaction, since hashing follows and must not hold one open."""

    async def by_email(self, email_key: str) -> Credentials | None: ...

    async def by_id(self, user_id: UserId) -> Credentials | None: ...


class AccountReader(Protocol):
    async def account(self, user_id: UserId) -> Versioned[AccountView] | None:
        """Read an account as its owner sees it."""
        ...


@dataclass(frozen=True, slots=True)
class SessionSlice:
    """Some sessions in the order of the list, and whether the list goes on after the last of them."""

    items: list[SessionView]
    more: bool


class SessionReader(Protocol):
    async def live(
        self, user_id: UserId, *, at: datetime, current: SessionId, limit: int, before: SessionId | None
    ) -> SessionSlice:
        """Read a user's live sessions, newest first (`id` descending), marking the one that asks."""
        ...

    async def stored(self, user_id: UserId, *, limit: int, before: SessionId | None) -> SessionSlice:
        """Read all of a user's sessions that are still stored, in the same order, with when each was closed."""
        ...


@dataclass(frozen=True, slots=True)
class UserSlice:
    """Some accounts in the order of the list, and whether the list goes on after the last of them."""

    items: list[UserView]
    more: bool


class UserReader(Protocol):
    """Reads accounts as others see them: the public part, or all of it (`full`)."""

    async def find(self, user_id: UserId, *, full: bool) -> Versioned[UserView] | None: ...

    async def newest(self, *, limit: int, before: UserId | None, prefix: str | None, full: bool) -> UserSlice:
        """Read accounts, newest first (`id` descending).

        With `prefix`, a canonical key, only those whose username or name begins with it; with `full` also those whose
        e-mail address does. (Without, it would tell addresses to whoever guesses them letter by letter.)
        """
        ...


@dataclass(frozen=True, slots=True)
class AuditSlice:
    """Some entries in the order of the trail, and whether it goes on after the last of them."""

    items: list[AuditEntryView]
    more: bool


class AuditReader(Protocol):
    async def newest(self, *, limit: int, before: UUID | None, involving: UserId | None) -> AuditSlice:
        """Read the trail, newest first (`id` descending); with `involving`, what this user did or had done to them."""
        ...


class RevocationLog(Protocol):
    """Revocations as storage keeps them, by the one clock that all processes share: the database's."""

    async def since(self, seconds: float) -> Sequence[Revocation]:
        """Read what was written in the last `seconds`, and nothing that is not committed.

        Raises `StorageUnavailable`, `TransientFailure`.
        """
        ...

    async def purge(self, *, older_than_seconds: float, limit: int) -> int:
        """Delete at most `limit` of those that are older, and return how many that were. Raises as `since` does."""
        ...


class Revocations(Protocol):
    """Revocations as one process knows them: a look into memory that is never more than a second behind."""

    def are_current(self) -> bool:
        """Tell whether everything is known that was committed up to a second ago."""
        ...

    async def refresh(self) -> None:
        """Read what is new at once; if that fails, they stay unknown. Callers at the same time share one reading."""
        ...

    def is_revoked(self, session_id: SessionId, generation: int) -> bool:
        """Tell whether a token of this session and generation was revoked, as far as is known."""
        ...


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    matches: bool
    outdated: bool
    """It matches, but under parameters weaker than today's."""


class PasswordHasher(Protocol):
    """Argon2id (RFC 9106) in a bounded pool. Raises `Overloaded` at once when its queue is full."""

    async def hash(self, password: Password) -> str: ...

    async def verify(self, password_hash: str | None, password: Password) -> PasswordCheck:
        """Compare in constant work: without a hash, or with one that cannot be read, it hashes all the same."""
        ...


class CommonPasswords(Protocol):
    def __contains__(self, key: object, /) -> bool:
        """Tell whether a password, as a canonical key, is among those that are tried first."""
        ...


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """What an access token says. The token is a pure function of this, so equal grants make equal tokens."""

    user_id: UserId
    role: Role
    session_id: SessionId
    token_id: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class VerifiedAccess:
    """An access token that holds: whom it speaks for and until when (seconds since the epoch)."""

    user_id: UserId
    role: Role
    session_id: SessionId
    token_id: str
    issued_at: int
    expires_at: int


class AccessTokens(Protocol):
    """JSON Web Tokens as access tokens (RFC 9068)."""

    @property
    def lifetime_seconds(self) -> int: ...

    def issue(self, grant: AccessGrant) -> str: ...

    def verify(self, token: str) -> VerifiedAccess:
        """Check signature, type, claims and time. Raises `InvalidToken`, whatever is wrong with it."""
        ...


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token in the clear: what the client holds, never what is stored."""

    session_id: SessionId
    generation: int
    secret: bytes = field(repr=False)


class RefreshTokens(Protocol):
    """Opaque refresh tokens in a chain: each one's successor is a keyed function of it.

    So a token replayed within the grace yields the same successor although no token is stored, and an old token of a
    session is told from a forged one by following the chain to the stored hash.
    """

    def first(self, session_id: SessionId) -> RefreshToken:
        """Begin a chain with 256 random bits."""
        ...

    def successor(self, token: RefreshToken) -> RefreshToken: ...

    def hash(self, token: RefreshToken) -> RefreshTokenHash: ...

    def serialize(self, token: RefreshToken) -> str: ...

    def parse(self, raw: str) -> RefreshToken:
        """Read what a client sent. Raises `InvalidToken` when it cannot be one of ours."""
        ...

    def chain_reaches(self, token: RefreshToken, session: Session) -> bool:
        """Tell whether the chain from `token` arrives at the session's current hash, in constant time at each step."""
        ...
