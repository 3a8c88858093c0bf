"""Keeping that a session's newest pair has arrived."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from domain.shared.ids import SessionId


@dataclass(frozen=True, slots=True)
class NoteSessionUseCommand:
    session_id: SessionId
    generation: int
    """Of the access token that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSessionUse:
    """Keep that the pair of a generation is in use: from then on the token that it was yielded by is spent for good."""

    uow: IdentityUnits

    async def execute(self, command: NoteSessionUseCommand) -> None:
        async with self.uow() as uow:
            await uow.sessions.note_use(command.session_id, command.generation)
            await uow.commit()
