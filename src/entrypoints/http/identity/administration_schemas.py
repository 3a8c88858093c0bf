"""What the routes of administration read."""

from typing import Annotated

import msgspec

from application.identity.create_user import CreateUserCommand
from application.identity.replace_user import ReplaceUserCommand
from application.identity.suspend_user import SuspendUserCommand
from application.identity.views import UserView
from application.shared.idempotency import IdempotencyClaim
from application.shared.views import Versioned
from domain.identity.values import Password, PersonName, PhoneNumber, Username, UserStatus
from domain.shared.actor import Actor, Role
from domain.shared.ids import UserId
from domain.shared.text import require_visible
from entrypoints.http.edge.json_body import Parsed
from entrypoints.http.identity.schemas import DisplayName, Email, Handle, NewPassword, Phone, email_address

REASON_MAX_LENGTH = 500


class CreateUserBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An account for somebody else."""

    email: Email
    password: NewPassword
    username: Handle
    name: DisplayName | None = None
    phone: Phone | None = None
    role: Role = Role.USER
    email_verified: bool = False

    def command(self, actor: Actor, idempotency: IdempotencyClaim[Versioned[UserView]] | None) -> CreateUserCommand:
        return CreateUserCommand(
            actor=actor,
            email=email_address(self.email),
            email_verified=self.email_verified,
            password=Password.new(self.password),
            username=Username.parse(self.username),
            name=None if self.name is None else PersonName.parse(self.name),
            phone=None if self.phone is None else PhoneNumber.parse(self.phone),
            role=self.role,
            idempotency=idempotency,
        )


class ReplaceUserBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All that an account says: what is left out is missing, and `null` takes a name or a phone number away."""

    email: Email
    email_verified: bool
    username: Handle
    name: DisplayName | None
    phone: Phone | None
    role: Role
    status: UserStatus

    def command(self, actor: Actor, user_id: UserId, if_version: int | None) -> ReplaceUserCommand:
        return ReplaceUserCommand(
            actor=actor,
            user_id=user_id,
            email=email_address(self.email),
            email_verified=self.email_verified,
            username=Username.parse(self.username),
            name=None if self.name is None else PersonName.parse(self.name),
            phone=None if self.phone is None else PhoneNumber.parse(self.phone),
            role=self.role,
            status=self.status,
            if_version=if_version,
        )


def visible_reason(raw: str) -> str:
    """Read why an account is suspended. Raises `Invalid` when nothing of it can be seen."""
    require_visible(raw, field="reason")
    return raw


class SuspendUserBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Why, for the audit trail; the person is not told."""

    reason: (
        Annotated[
            str,
            msgspec.Meta(
                min_length=1,
                max_length=REASON_MAX_LENGTH,
                pattern=r"^[^\x00]*$",
                description="For administrators, in the audit trail.",
                examples=["Spam"],
            ),
            Parsed(visible_reason),
        ]
        | None
    ) = None

    def command(self, actor: Actor, user_id: UserId) -> SuspendUserCommand:
        return SuspendUserCommand(actor, user_id, self.reason)
