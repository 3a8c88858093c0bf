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


class ReinstateUser:
    """Let a suspended account in again; its sessions stay closed. Whoever may suspend it may reinstate it."""

    def __init__(self, *, uow: IdentityUnits, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def execute(self, command: ReinstateUserCommand) -> None:
        command.actor.require(Permission.SUSPEND_USERS)
        async with self._uow() as uow:
            user = await uow.users.get(command.user_id)
            if not user.reinstate(by=command.actor, at=self._clock.now()):
                return
            await uow.users.save(user)
            await uow.commit()
