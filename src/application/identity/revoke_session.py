"""Closing one of one's sessions."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from application.shared.clock import Clock
from domain.identity.errors import SessionNotFound
from domain.identity.session import RevocationReason
from domain.shared.actor import Actor
from domain.shared.ids import SessionId


@dataclass(frozen=True, slots=True)
class RevokeSessionCommand:
    actor: Actor
    session_id: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeSession:
    """Close one of the caller's sessions, such as that of a lost phone; its tokens are worthless within a second.

    One that is closed already, or somebody else's, is not there.
    """

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: RevokeSessionCommand) -> None:
        now = self.clock.now()
        async with self.uow() as uow:
            session = await uow.sessions.get(command.session_id)
            if session.user_id != command.actor.user_id or not session.is_live(now):
                raise SessionNotFound
            session.revoke(RevocationReason.REVOKED, at=now, by=command.actor.user_id)
            await uow.sessions.save(session)
            await uow.commit()
