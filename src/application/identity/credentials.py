"""The ports of what proves an identity besides the password: mailed tokens, second factors, API keys."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from application.identity.views import ApiKeyView
from domain.identity.api_key import ApiKey, ApiKeyHash, ApiKeyName
from domain.identity.one_time_token import OneTimeToken, OneTimeTokenHash, Purpose
from domain.identity.second_factor import RecoveryCodeHash, SecondFactor
from domain.identity.values import EmailAddress, Username
from domain.shared.actor import Role, Scope
from domain.shared.ids import ApiKeyId, UserId


class OneTimeTokenRepository(Protocol):
    async def put(self, token: OneTimeToken) -> None:
        """Store a token: beside those that its user has, or in their place where its purpose is one of `REPLACED`.

        Raises `UserNotFound`, here or in the commit. Lock the user first: two at once would be in each other's way.
        """
        ...

    async def find(self, hash: OneTimeTokenHash, purpose: Purpose) -> OneTimeToken:
        """Read a token without locking it, expired or not. Raises `InvalidOneTimeToken`."""
        ...

    async def consume(self, token: OneTimeToken) -> None:
        """Take the token away; of several who try, one succeeds. Raises `InvalidOneTimeToken` for the others."""
        ...

    async def discard(self, user_id: UserId, purpose: Purpose) -> None:
        """Take away all that the user has for this purpose, if anything."""
        ...


class SecondFactorRepository(Protocol):
    async def add(self, factor: SecondFactor) -> None:
        """Store a new one. Raises `UserNotFound`, `VersionConflict` when the user has one."""
        ...

    async def find(self, user_id: UserId) -> SecondFactor | None:
        """Load and lock; None when the user has none, confirmed or not."""
        ...

    async def save(self, factor: SecondFactor) -> None:
        """Store the changes. Raises `VersionConflict`."""
        ...

    async def remove(self, factor: SecondFactor) -> None:
        """Take it away. Raises `VersionConflict`."""
        ...


class ApiKeyRepository(Protocol):
    async def add(self, key: ApiKey) -> None:
        """Store a new key. Raises `UserNotFound`."""
        ...

    async def get(self, user_id: UserId, key_id: ApiKeyId) -> ApiKey:
        """Load a key of this user and lock it. Raises `ApiKeyNotFound`, also for somebody else's."""
        ...

    async def remove(self, key: ApiKey) -> None:
        """Take it away. Raises `ApiKeyNotFound` when somebody else did."""
        ...

    async def list_of(self, user_id: UserId) -> list[ApiKey]:
        """Load and lock a user's keys, the newest first; expired ones too."""
        ...

    async def count(self, user_id: UserId) -> int:
        """Count a user's keys. It holds until the commit as long as the user is locked."""
        ...

    async def note_use(self, key_id: ApiKeyId, *, at: datetime, unless_since: datetime) -> None:
        """Keep when a key was used, unless that is known since `unless_since`; one atomic statement."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKeyGrant:
    """What a stored key lets its bearer do, as of now."""

    key_id: ApiKeyId
    user_id: UserId
    role: Role
    is_active: bool
    """Whether the account is."""
    scopes: frozenset[Scope]
    expires_at: datetime | None
    last_used_at: datetime | None


class ApiKeyReader(Protocol):
    """Reads outside of any transaction."""

    async def by_hash(self, hash: ApiKeyHash) -> ApiKeyGrant | None: ...

    async def of_user(self, user_id: UserId) -> list[ApiKeyView]:
        """Return a user's keys, the newest first; expired ones too."""
        ...


class OneTimeTokens(Protocol):
    """Random tokens for mails, and what is stored of them."""

    def new(self) -> str:
        """Return a new token of 256 random bits, fit for a URL."""
        ...

    def hash(self, token: str) -> OneTimeTokenHash:
        """Return what is stored of a token; any text has a hash."""
        ...


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key in the clear: shown once, stored never."""

    text: str = field(repr=False)
    hint: str
    """Its last characters."""


class ApiKeys(Protocol):
    """The form of API keys: recognisable, and with a checksum that tells a typing error from a revoked key."""

    def new(self) -> NewApiKey: ...

    def hash(self, text: str) -> ApiKeyHash:
        """Return what is stored of a key. Raises `InvalidToken` for what cannot be one."""
        ...


class TotpCodes(Protocol):
    """Time-based one-time passwords (RFC 6238): six digits, SHA-1, 30 seconds, as every authenticator app takes."""

    def new_secret(self) -> str:
        """Return a new shared secret of 160 bits in base32 (RFC 4226, section 4)."""
        ...

    def uri(self, secret: str, *, account: str) -> str:
        """Return the `otpauth://` URI that authenticator apps read from a QR code."""
        ...

    def step(self, secret: str, code: str, *, at: datetime) -> int | None:
        """Return the time step that `code` is right for, of the present one and its neighbours; None for none."""
        ...


class SecretUnreadable(Exception):
    """A sealed secret cannot be opened: the key is gone, or somebody tampered with the row. The operator's to mend."""


class SecretBox(Protocol):
    """Keeps secrets that must be read again, encrypted with a key that the database does not have."""

    def seal(self, secret: str, *, owner: UserId) -> bytes: ...

    def open(self, sealed: bytes, *, owner: UserId) -> str:
        """Return the secret. Raises `SecretUnreadable` when it was sealed with another key or for somebody else."""
        ...

    def is_outdated(self, sealed: bytes) -> bool:
        """Tell whether it was sealed with a key that is no longer the current one."""
        ...


class RecoveryCodes(Protocol):
    """Codes of 80 random bits, written down for the day when the device is lost."""

    def new(self, count: int) -> list[str]: ...

    def hash(self, code: str, *, owner: UserId) -> RecoveryCodeHash:
        """Return what is stored of a code; how it is grouped and its case make no difference."""
        ...


class AccountMails(Protocol):
    """Mails to the owners of accounts. Each returns at once: it is sent in the background, or not at all.

    Raises `Overloaded` when too many wait already.
    """

    def password_reset(self, to: EmailAddress, username: Username, token: str) -> None: ...

    def email_verification(self, to: EmailAddress, username: Username, token: str) -> None: ...

    def password_was_reset(self, to: EmailAddress, username: Username, ended: Sequence[ApiKeyName]) -> None:
        """Tell that the password was changed, and which API keys ended with it."""
        ...
