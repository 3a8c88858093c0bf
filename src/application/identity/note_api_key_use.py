"""Keeping when an API key was used last."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from application.shared.clock import Clock
from domain.identity.api_key import USE_NOTED_EVERY
from domain.shared.ids import ApiKeyId


@dataclass(frozen=True, slots=True)
class NoteApiKeyUseCommand:
    key_id: ApiKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteApiKeyUse:
    """Keep that a key is in use now, at most once a minute, however many processes see it used."""

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: NoteApiKeyUseCommand) -> None:
        now = self.clock.now()
        async with self.uow() as uow:
            await uow.api_keys.note_use(command.key_id, at=now, unless_since=now - USE_NOTED_EVERY)
            await uow.commit()
