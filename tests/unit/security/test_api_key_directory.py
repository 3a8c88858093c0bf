"""API keys are read once a second at the most, and never believed for longer."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.security.api_key_directory import FRESH_SECONDS, ApiKeyDirectory
from adapters.security.opaque import ChecksummedApiKeys
from application.identity.credentials import ApiKeyGrant, ApiKeyReader
from application.identity.note_api_key_use import NoteApiKeyUseCommand
from application.identity.views import ApiKeyView
from application.shared.errors import Overloaded, StorageUnavailable
from domain.identity.api_key import ApiKeyHash
from domain.identity.errors import InvalidToken
from domain.shared.actor import Role, Scope
from domain.shared.ids import ApiKeyId, UserId
from tests.builders import NOW, an_id
from tests.fakes import SettableClock

KEYS = ChecksummedApiKeys()


class Timer:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class OneKey(ApiKeyReader):
    """Storage with one key, or none, which counts how often it is read."""

    def __init__(self, grant: ApiKeyGrant | None) -> None:
        self.grant = grant
        self.reads = 0
        self.is_down = False

    async def by_hash(self, hash: ApiKeyHash) -> ApiKeyGrant | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise StorageUnavailable
        return self.grant

    async def of_user(self, user_id: UserId) -> list[ApiKeyView]:
        return []


class Noted:
    def __init__(self, *, is_full: bool = False) -> None:
        self.commands: list[NoteApiKeyUseCommand] = []
        self._is_full = is_full

    async def execute(self, command: NoteApiKeyUseCommand, /) -> None:
        self.commands.append(command)
        if self._is_full:
            raise Overloaded


GRANT = ApiKeyGrant(
    key_id=ApiKeyId(an_id()),
    user_id=UserId(an_id()),
    role=Role.USER,
    is_active=True,
    scopes=frozenset({Scope.POSTS_READ}),
    expires_at=NOW + timedelta(hours=1),
    last_used_at=NOW,
)


class Bench:
    def __init__(self, grant: ApiKeyGrant | None = GRANT, *, is_full: bool = False) -> None:
        self.reader, self.timer, self.clock, self.noted = (
            OneKey(grant),
            Timer(),
            SettableClock(),
            Noted(is_full=is_full),
        )
        self.text = KEYS.new().text
        self.directory = ApiKeyDirectory(
            keys=KEYS, reader=self.reader, note_use=self.noted, clock=self.clock, timer=self.timer, remembered=2
        )


async def test_a_thousand_uses_at_once_and_in_a_row_are_one_look_up() -> None:
    bench = Bench()
    actors = await asyncio.gather(*(bench.directory.actor(bench.text) for _ in range(500)))
    for _ in range(500):
        actors.append(await bench.directory.actor(bench.text))
    assert {(actor.user_id, actor.scopes) for actor in actors} == {(GRANT.user_id, GRANT.scopes)}
    assert bench.reader.reads == 1


@pytest.mark.parametrize("later", [None, replace(GRANT, is_active=False)], ids=["revoked", "suspended"])
async def test_what_another_process_took_away_is_refused_within_a_second(later: ApiKeyGrant | None) -> None:
    bench = Bench()
    await bench.directory.actor(bench.text)
    bench.reader.grant = later
    bench.timer.now += FRESH_SECONDS + 0.01
    assert FRESH_SECONDS < 1
    with pytest.raises(InvalidToken):
        await bench.directory.actor(bench.text)


async def test_when_storage_is_gone_an_old_answer_is_not_relied_on() -> None:
    bench = Bench()
    await bench.directory.actor(bench.text)
    bench.reader.is_down = True
    await bench.directory.actor(bench.text)
    bench.timer.now += FRESH_SECONDS + 0.01
    with pytest.raises(StorageUnavailable):
        await bench.directory.actor(bench.text)


async def test_a_key_that_is_forgotten_is_read_anew() -> None:
    bench = Bench()
    await bench.directory.actor(bench.text)
    bench.reader.grant = None
    bench.directory.forget(GRANT.key_id)
    with pytest.raises(InvalidToken):
        await bench.directory.actor(bench.text)


async def test_a_typing_error_costs_no_look_up() -> None:
    bench = Bench()
    wrong = bench.text[:-1] + ("A" if bench.text[-1] != "A" else "B")
    with pytest.raises(InvalidToken):
        await bench.directory.actor(wrong)
    assert bench.reader.reads == 0


async def test_use_is_noted_when_that_is_a_minute_ago_and_a_full_queue_does_no_harm() -> None:
    recent, old = Bench(), Bench(replace(GRANT, last_used_at=NOW - timedelta(minutes=1)), is_full=True)
    await recent.directory.actor(recent.text)
    await old.directory.actor(old.text)
    assert recent.noted.commands == []
    assert old.noted.commands == [NoteApiKeyUseCommand(GRANT.key_id)]


async def test_no_more_keys_are_remembered_than_there_is_room_for() -> None:
    bench = Bench()
    texts = [KEYS.new().text for _ in range(3)]
    for text in texts:
        await bench.directory.actor(text)
    await bench.directory.actor(texts[2])
    assert bench.reader.reads == 3
    await bench.directory.actor(texts[0])
    assert bench.reader.reads == 4


class HungReader(OneKey):
    """Reads at once, and hands the first answer over only when it is let go."""

    def __init__(self, grant: ApiKeyGrant | None) -> None:
        super().__init__(grant)
        self.has_read, self.let_go = asyncio.Event(), asyncio.Event()

    async def by_hash(self, hash: ApiKeyHash) -> ApiKeyGrant | None:
        seen = await super().by_hash(hash)
        self.has_read.set()
        if self.reads == 1:
            await self.let_go.wait()
        return seen


@pytest.mark.parametrize("in_the_turn_of_its_end", [False, True])
async def test_a_reading_that_hung_since_before_a_revocation_lets_no_later_request_in(
    in_the_turn_of_its_end: bool,
) -> None:
    bench = Bench()
    hung = HungReader(GRANT)
    directory = ApiKeyDirectory(
        keys=KEYS, reader=hung, note_use=bench.noted, clock=bench.clock, timer=bench.timer, remembered=2
    )
    early = asyncio.create_task(directory.actor(bench.text))
    await hung.has_read.wait()
    hung.grant = None
    bench.timer.now += FRESH_SECONDS + 0.01

    if in_the_turn_of_its_end:
        hung.let_go.set()
    late = asyncio.create_task(directory.actor(bench.text))
    await asyncio.sleep(0)
    hung.let_go.set()

    assert (await early).user_id == GRANT.user_id
    with pytest.raises(InvalidToken):
        await late
