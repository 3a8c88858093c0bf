"""Suspending an account."""

from dataclasses import dataclass

from application.identity.administration import require_another_admin
from application.identity.ports import IdentityUnits
from application.identity.session_revocation import close_sessions
from application.shared.clock import Clock
from domain.identity.session import RevocationReason
from domain.shared.actor import Actor, Permission
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class SuspendUserCommand:
    actor: Actor
    user_id: UserId
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendUser:
    """Shut an account out: its sessions are closed, and logging in is refused until it is reinstated.

    Moderators suspend users; moderators and administrators are suspended by administrators. Nobody suspends
    themselves, nor the last active administrator. Suspending twice is suspending once.
    """

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: SuspendUserCommand) -> None:
        actor, now = command.actor, self.clock.now()
        actor.require(Permission.SUSPEND_USERS)
        async with self.uow() as uow:
            user = await uow.users.get(command.user_id)
            was_admin = user.is_active_admin
            if not user.suspend(by=actor, reason=command.reason, at=now):
                return
            if was_admin:
                await require_another_admin(uow, user.id)
            await uow.users.save(user)
            await close_sessions(uow, user.id, RevocationReason.SUSPENDED, at=now, by=actor.user_id)
            await uow.commit()
