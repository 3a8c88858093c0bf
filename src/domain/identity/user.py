"""The user aggregate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.identity.errors import OutOfReach, OwnAccount
from domain.identity.events import (
    EmailReplaced,
    EmailVerified,
    PasswordChanged,
    ProfileChanged,
    RoleChanged,
    UserCreated,
    UserDeleted,
    UserReinstated,
    UserSignedUp,
    UserSuspended,
)
from domain.identity.values import EmailAddress, PersonName, PhoneNumber, Username, UserStatus
from domain.shared.actor import Actor, Permission, Role
from domain.shared.events import Aggregate
from domain.shared.ids import UserId


class Unset:
    """Marks a field that a change does not touch, where `None` means: take it away."""


UNSET = Unset()


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class User(Aggregate):
    """An account. `sign_up` and `create` make a new one; `restore` brings a stored one back and decides nothing."""

    id: UserId
    email: EmailAddress
    email_verified: bool
    username: Username
    name: PersonName | None
    phone: PhoneNumber | None
    password_hash: str
    role: Role
    status: UserStatus
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def sign_up(
        cls,
        *,
        id: UserId,
        email: EmailAddress,
        username: Username,
        name: PersonName | None,
        password_hash: str,
        at: datetime,
        role: Role = Role.USER,
    ) -> Self:
        user = cls(
            id=id,
            email=email,
            email_verified=False,
            username=username,
            name=name,
            phone=None,
            password_hash=password_hash,
            role=role,
            status=UserStatus.ACTIVE,
            created_at=at,
            updated_at=at,
            version=1,
        )
        user._record(UserSignedUp(at=at, user_id=id, username=username.value))
        return user

    @classmethod
    def create(
        cls,
        *,
        id: UserId,
        email: EmailAddress,
        email_verified: bool,
        username: Username,
        name: PersonName | None,
        phone: PhoneNumber | None,
        password_hash: str,
        role: Role,
        by: Actor,
        at: datetime,
    ) -> Self:
        """Make an account for somebody else. Raises `Forbidden` unless `by` may manage users."""
        by.require(Permission.MANAGE_USERS)
        user = cls(
            id=id,
            email=email,
            email_verified=email_verified,
            username=username,
            name=name,
            phone=phone,
            password_hash=password_hash,
            role=role,
            status=UserStatus.ACTIVE,
            created_at=at,
            updated_at=at,
            version=1,
        )
        user._record(UserCreated(at=at, user_id=id, username=username.value, role=role, by=by.user_id))
        return user

    @property
    def is_active(self) -> bool:
        return self.status is UserStatus.ACTIVE

    @property
    def is_active_admin(self) -> bool:
        return self.is_active and self.role is Role.ADMIN

    def change_profile(
        self,
        *,
        username: Username | Unset = UNSET,
        name: PersonName | Unset | None = UNSET,
        phone: PhoneNumber | Unset | None = UNSET,
        at: datetime,
    ) -> None:
        """Change what is given and leave the rest; `None` takes a name or a phone number away."""
        before = (self.username, self.name, self.phone)
        if not isinstance(username, Unset):
            self.username = username
        if not isinstance(name, Unset):
            self.name = name
        if not isinstance(phone, Unset):
            self.phone = phone
        if (self.username, self.name, self.phone) != before:
            self.updated_at = max(self.updated_at, at)
            self._record(ProfileChanged(at=at, user_id=self.id))

    def change_password(self, password_hash: str, *, at: datetime) -> None:
        """Take a new password, already hashed. The other sessions are the use case's to close."""
        self.password_hash = password_hash
        self.updated_at = max(self.updated_at, at)
        self._record(PasswordChanged(at=at, user_id=self.id))

    def verify_email(self, *, at: datetime) -> None:
        """Take it as proven that the owner reads the address; proven twice is proven once."""
        if not self.email_verified:
            self.email_verified = True
            self.updated_at = max(self.updated_at, at)
            self._record(EmailVerified(at=at, user_id=self.id))

    def rehash_password(self, password_hash: str) -> None:
        """Keep the same password under stronger parameters: nothing that anybody would call a change."""
        self.password_hash = password_hash

    def replace_email(self, email: EmailAddress, *, is_verified: bool, by: Actor, at: datetime) -> None:
        """Set the address, and whether it counts as verified. Raises `Forbidden` unless `by` may manage users."""
        by.require(Permission.MANAGE_USERS)
        if (self.email, self.email_verified) != (email, is_verified):
            self.email = email
            self.email_verified = is_verified
            self.updated_at = max(self.updated_at, at)
            self._record(EmailReplaced(at=at, user_id=self.id, by=by.user_id))

    def change_role(self, role: Role, *, by: Actor, at: datetime) -> bool:
        """Give another role; return whether that changed anything. Raises `Forbidden` unless `by` may manage users.

        Tokens that name the role before are the use case's to withdraw.
        """
        by.require(Permission.MANAGE_USERS)
        if role is self.role:
            return False
        self._record(RoleChanged(at=at, user_id=self.id, before=self.role, after=role, by=by.user_id))
        self.role = role
        self.updated_at = max(self.updated_at, at)
        return True

    def suspend(self, *, by: Actor, reason: str | None, at: datetime) -> bool:
        """Shut the account out until it is reinstated; return whether that changed anything.

        Its sessions are the use case's to close. Raises `Forbidden`, `OutOfReach` or `OwnAccount`.
        """
        self._moderated(by)
        if not self.is_active:
            return False
        self.status = UserStatus.SUSPENDED
        self.updated_at = max(self.updated_at, at)
        self._record(UserSuspended(at=at, user_id=self.id, reason=reason, by=by.user_id))
        return True

    def reinstate(self, *, by: Actor, at: datetime) -> bool:
        """Let the account in again; return whether that changed anything. Raises as `suspend` does."""
        self._moderated(by)
        if self.is_active:
            return False
        self.status = UserStatus.ACTIVE
        self.updated_at = max(self.updated_at, at)
        self._record(UserReinstated(at=at, user_id=self.id, by=by.user_id))
        return True

    def delete(self, *, by: Actor, at: datetime) -> None:
        """Take the account away: its owner may, and whoever may manage users. Raises `Forbidden`."""
        if by.user_id != self.id:
            by.require(Permission.MANAGE_USERS)
        self._record(UserDeleted(at=at, user_id=self.id, by=by.user_id))

    def _moderated(self, by: Actor) -> None:
        """Raise unless `by` may suspend and reinstate this account: a moderator users only, and nobody themselves."""
        by.require(Permission.SUSPEND_USERS)
        if by.user_id == self.id:
            raise OwnAccount
        if self.role is not Role.USER and not by.may(Permission.MANAGE_USERS):
            raise OutOfReach
