"""API keys: personal access tokens for programs, with less power than their owner."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from domain.identity.events import ApiKeyCreated, ApiKeyRevoked
from domain.shared.actor import Scope
from domain.shared.errors import FieldError, Invalid
from domain.shared.events import Aggregate
from domain.shared.ids import ApiKeyId, UserId
from domain.shared.text import has_control_characters, parse_normal_form, require_visible

API_KEY_NAME_MAX_LENGTH = 100
API_KEYS_PER_USER = 100
USE_NOTED_EVERY = timedelta(minutes=1)
"""Last use is kept to the minute: writing each would make every read a write."""


@dataclass(frozen=True, slots=True)
class ApiKeyName:
    """What its owner calls a key: 1 to 100 characters after trimming, without control characters."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        value = parse_normal_form(raw.strip(), "NFC", field="name", longest=API_KEY_NAME_MAX_LENGTH)
        if has_control_characters(value):
            raise Invalid([FieldError("name", "format", "takes no control characters")])
        require_visible(value, field="name")
        return cls(value)


@dataclass(frozen=True, slots=True)
class ApiKeyHash:
    """SHA-256 of an API key: all that is ever stored of one."""

    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ApiKey(Aggregate):
    """A key of one account. It is created and revoked, and never changed in between."""

    id: ApiKeyId
    user_id: UserId
    name: ApiKeyName
    scopes: frozenset[Scope]
    hash: ApiKeyHash
    hint: str
    """Its last four characters, to tell one from another in a list."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def create(
        cls,
        *,
        id: ApiKeyId,
        user_id: UserId,
        name: ApiKeyName,
        scopes: frozenset[Scope],
        hash: ApiKeyHash,
        hint: str,
        expires_at: datetime | None,
        at: datetime,
    ) -> Self:
        """Make a new key. Raises `Invalid` without a scope, or with an expiry that is over already."""
        faults = []
        if not scopes:
            faults.append(FieldError("scopes", "length", "names one scope at the least"))
        if expires_at is not None and expires_at <= at:
            faults.append(FieldError("expires_at", "past", "is in the past"))
        if faults:
            raise Invalid(faults)
        key = cls(
            id=id,
            user_id=user_id,
            name=name,
            scopes=scopes,
            hash=hash,
            hint=hint,
            created_at=at,
            expires_at=expires_at,
            last_used_at=None,
        )
        key._record(ApiKeyCreated(at=at, user_id=user_id, api_key_id=id))
        return key

    def revoke(self, *, at: datetime) -> None:
        """Record the end; the repository removes it."""
        self._record(ApiKeyRevoked(at=at, user_id=self.user_id, api_key_id=self.id))
