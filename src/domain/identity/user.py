"""The user aggregate."""

from datetime import datetime
from typing import Self

from domain.identity.events import PasswordChanged, ProfileChanged, UserSignedUp
from domain.identity.values import EmailAddress, PersonName, PhoneNumber, Username, UserStatus
from domain.shared.actor import Role
from domain.shared.events import Aggregate
from domain.shared.ids import UserId


class Unset:
    """Marks a field that a change does not touch, where `None` means: take it away."""


UNSET = Unset()


class User(Aggregate):
    """An account. `sign_up` makes a new one; `restore` brings a stored one back and decides nothing."""

    __slots__ = (
        "created_at",
        "email",
        "email_verified",
        "id",
        "name",
        "password_hash",
        "phone",
        "role",
        "status",
        "updated_at",
        "username",
        "version",
    )

    def __init__(
        self,
        *,
        id: UserId,
        email: EmailAddress,
        email_verified: bool,
        username: Username,
        name: PersonName | None,
        phone: PhoneNumber | None,
        password_hash: str,
        role: Role,
        status: UserStatus,
        created_at: datetime,
        updated_at: datetime,
        version: int,
    ) -> None:
        super().__init__()
        self.id = id
        self.email = email
        self.email_verified = email_verified
        self.username = username
        self.name = name
        self.phone = phone
        self.password_hash = password_hash
        self.role = role
        self.status = status
        self.created_at = created_at
        self.updated_at = updated_at
        self.version = version

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
    def restore(
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
        status: UserStatus,
        created_at: datetime,
        updated_at: datetime,
        version: int,
    ) -> Self:
        """Bring a stored account back: nothing is validated anew and no event is recorded."""
        return cls(
            id=id,
            email=email,
            email_verified=email_verified,
            username=username,
            name=name,
            phone=phone,
            password_hash=password_hash,
            role=role,
            status=status,
            created_at=created_at,
            updated_at=updated_at,
            version=version,
        )

    @property
    def is_active(self) -> bool:
        return self.status is UserStatus.ACTIVE

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
            self.updated_at = at
            self._record(ProfileChanged(at=at, user_id=self.id))

    def change_password(self, password_hash: str, *, at: datetime) -> None:
        """Take a new password, already hashed. The other sessions are the use case's to close."""
        self.password_hash = password_hash
        self.updated_at = at
        self._record(PasswordChanged(at=at, user_id=self.id))

    def rehash_password(self, password_hash: str) -> None:
        """Keep the same password under stronger parameters: nothing that anybody would call a change."""
        self.password_hash = password_hash
