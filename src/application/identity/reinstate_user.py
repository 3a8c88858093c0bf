"""Reinstating an account."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from application.shared.clock import Clock
from domain.shared.actor import Actor, Permission
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class ReinstateUserCommand:
    actor: Actor
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinstateUser:
    """Let a suspended account in again; its sessions stay closed. Whoever may suspend it may reinstate it."""

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: ReinstateUserCommand) -> None:
        command.actor.require(Permission.SUSPEND_USERS)
        async with self.uow() as uow:
            user = await uow.users.get(command.user_id)
            if not user.reinstate(by=command.actor, at=self.clock.now()):
                return
            await uow.users.save(user)
            await uow.commit()
