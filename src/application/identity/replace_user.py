"""Replacing what an account says."""

from dataclasses import dataclass

from application.identity.administration import require_another_admin
from application.identity.ports import IdentityUnits
from application.identity.session_revocation import close_sessions, withdraw_access
from application.identity.views import UserView, user_view
from application.shared.clock import Clock
from application.shared.views import Versioned
from domain.identity.errors import AccountChanged
from domain.identity.session import RevocationReason
from domain.identity.values import EmailAddress, PersonName, PhoneNumber, Username, UserStatus
from domain.shared.actor import Actor, Permission, Role
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceUserCommand:
    actor: Actor
    user_id: UserId
    email: EmailAddress
    email_verified: bool
    username: Username
    name: PersonName | None
    phone: PhoneNumber | None
    role: Role
    status: UserStatus
    if_version: int | None = None
    """The version that the caller saw; None replaces whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceUser:
    """Replace all that an account says, role and status included; only the password stays. For administrators.

    With another role the access tokens of the account are void within a second, and its next refresh yields one that
    names the new role. With the status `suspended` its sessions are closed. There is always an active administrator.
    """

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: ReplaceUserCommand) -> Versioned[UserView]:
        actor, now = command.actor, self.clock.now()
        actor.require(Permission.MANAGE_USERS)
        stays_active = command.status is UserStatus.ACTIVE
        async with self.uow() as uow:
            user = await uow.users.get(command.user_id)
            if command.if_version not in (None, user.version):
                raise AccountChanged
            was_admin = user.is_active_admin
            user.replace_email(command.email, is_verified=command.email_verified, by=actor, at=now)
            user.change_profile(username=command.username, name=command.name, phone=command.phone, at=now)
            if user.change_role(command.role, by=actor, at=now):
                await withdraw_access(uow, user.id, at=now)
            if stays_active != user.is_active:
                if stays_active:
                    user.reinstate(by=actor, at=now)
                else:
                    user.suspend(by=actor, reason=None, at=now)
                    await close_sessions(uow, user.id, RevocationReason.SUSPENDED, at=now, by=actor.user_id)
            if was_admin and not user.is_active_admin:
                await require_another_admin(uow, user.id)
            await uow.users.save(user)
            await uow.commit()
        return Versioned(user_view(user, full=True), user.version)
