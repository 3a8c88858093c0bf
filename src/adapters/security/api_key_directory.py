"""API keys as bearer tokens: from the key to its owner, without a look-up for each request."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from application.identity.credentials import ApiKeyGrant, ApiKeyReader, ApiKeys
from application.identity.note_api_key_use import NoteApiKeyUseCommand
from application.shared.clock import Clock
from application.shared.errors import Overloaded
from application.shared.use_case import UseCase
from domain.identity.api_key import USE_NOTED_EVERY
from domain.identity.errors import InvalidToken
from domain.shared.actor import Actor
from domain.shared.ids import ApiKeyId, SessionId

FRESH_SECONDS: Final = 0.8
"""How long what was read of a key may be relied on, from when reading began. A key that was revoked, and a role or an
account that changed, count on every worker within a second."""
REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _CachedKey:
    """What was read of a key, when, and the actor it makes; `grant` is None for a key that there is not."""

    read_at: float
    grant: ApiKeyGrant | None
    actor: Actor | None


class ApiKeyDirectory:
    """Says for whom an API key speaks. A key in constant use costs a little more than one look-up a second."""

    def __init__(
        self,
        *,
        keys: ApiKeys,
        reader: ApiKeyReader,
        note_use: UseCase[NoteApiKeyUseCommand, None],
        clock: Clock,
        timer: Callable[[], float] = time.monotonic,
        remembered: int = REMEMBERED,
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._note_use = note_use
        self._clock = clock
        self._timer = timer
        self._capacity = remembered
        self._known: dict[str, _CachedKey] = {}
        self._reading: dict[str, asyncio.Task[_CachedKey]] = {}

    async def actor(self, text: str) -> Actor:
        """Return whom the key speaks for. Raises `InvalidToken`, or `Unavailable` when that cannot be read."""
        asked_at = self._timer()
        known = self._known.get(text)
        if known is None or asked_at - known.read_at > FRESH_SECONDS:
            known = await self._read(text)
            if asked_at - known.read_at > FRESH_SECONDS:
                # It joined a reading that had hung, and may have read before a revocation that was acknowledged since.
                # The next one begins after this request did, however long it takes.
                known = await self._read(text)
        grant, actor = known.grant, known.actor
        if grant is None or actor is None or not grant.is_active:
            raise InvalidToken
        now = self._clock.now()
        if grant.expires_at is not None and now >= grant.expires_at:
            raise InvalidToken
        return actor

    def forget(self, key_id: ApiKeyId) -> None:
        """Read a key anew at its next use: it was revoked through this process, which need not wait a second."""
        for text, known in list(self._known.items()):
            if known.grant is not None and known.grant.key_id == key_id:
                del self._known[text]

    async def _read(self, text: str) -> _CachedKey:
        """Read a key once for all who ask at the same time."""
        task = self._reading.get(text)
        # One that has ended stays for a turn of the loop, and whoever asks in it may ask for a later one.
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._load(text))
            self._reading[text] = task
            task.add_done_callback(partial(self._ended, text))
        return await asyncio.shield(task)

    def _ended(self, text: str, task: asyncio.Task[_CachedKey]) -> None:
        if self._reading.get(text) is task:
            del self._reading[text]

    async def _load(self, text: str) -> _CachedKey:
        began = self._timer()
        grant = await self._reader.by_hash(self._keys.hash(text))
        if grant is None:
            # Not remembered: anybody can make up keys with a right checksum.
            self._known.pop(text, None)
            return _CachedKey(began, None, None)
        actor = Actor(grant.user_id, grant.role, SessionId(grant.key_id), grant.scopes)
        if text not in self._known and len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        self._known[text] = known = _CachedKey(began, grant, actor)
        now = self._clock.now()
        is_valid = grant.is_active and (grant.expires_at is None or now < grant.expires_at)
        if is_valid and (grant.last_used_at is None or now - grant.last_used_at >= USE_NOTED_EVERY):
            with suppress(Overloaded):  # It is a courtesy, and the next use comes soon.
                await self._note_use.execute(NoteApiKeyUseCommand(grant.key_id))
        return known
