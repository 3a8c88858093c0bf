"""Logging out of all sessions at once."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from application.identity.session_revocation import close_sessions
from application.shared.clock import Clock
from domain.identity.errors import UserNotFound
from domain.identity.session import RevocationReason
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class LogOutEverywhereCommand:
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOutEverywhere:
    """Close every session of the caller, the present one included."""

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: LogOutEverywhereCommand) -> None:
        user_id = command.actor.user_id
        async with self.uow() as uow:
            try:
                # Locked although nothing of it changes: a log-in at the same time comes before or after, not between.
                await uow.users.get(user_id)
            except UserNotFound:
                return  # The account was deleted a moment ago, and its sessions with it.
            await close_sessions(uow, user_id, RevocationReason.LOGGED_OUT, at=self.clock.now(), by=user_id)
            await uow.commit()
