"""Logging out."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from application.shared.clock import Clock
from domain.identity.errors import SessionNotFound
from domain.identity.session import RevocationReason
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class LogOutCommand:
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOut:
    """Close the session that the access token belongs to; its refresh token is worthless from then on."""

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: LogOutCommand) -> None:
        async with self.uow() as uow:
            try:
                session = await uow.sessions.get(command.actor.session_id)
            except SessionNotFound:
                return  # The account was deleted a moment ago, and its sessions with it.
            session.revoke(RevocationReason.LOGGED_OUT, at=self.clock.now(), by=command.actor.user_id)
            await uow.sessions.save(session)
            await uow.commit()
