"""Deleting somebody's account."""

from dataclasses import dataclass

from application.identity.administration import require_another_admin
from application.identity.ports import IdentityUnits
from application.identity.session_revocation import close_sessions
from application.shared.clock import Clock
from domain.identity.errors import AccountChanged, OwnAccount
from domain.identity.session import RevocationReason
from domain.shared.actor import Actor, Permission
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class DeleteUserCommand:
    actor: Actor
    user_id: UserId
    if_version: int | None = None
    """The version that the caller saw; None deletes whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser:
    """Delete somebody's account, with its posts, votes and sessions, in one transaction. For administrators.

    The posts that it had voted on lose its votes. One's own account is deleted with one's password instead, and the
    last active administrator not at all.
    """

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: DeleteUserCommand) -> None:
        actor, now = command.actor, self.clock.now()
        actor.require(Permission.MANAGE_USERS)
        if actor.user_id == command.user_id:
            raise OwnAccount
        async with self.uow() as uow:
            user = await uow.users.get(command.user_id)
            if command.if_version not in (None, user.version):
                raise AccountChanged
            if user.is_active_admin:
                await require_another_admin(uow, user.id)
            user.delete(by=actor, at=now)
            await close_sessions(uow, user.id, RevocationReason.ACCOUNT_DELETED, at=now, by=actor.user_id)
            await uow.users.remove(user, at=now)
            await uow.commit()
