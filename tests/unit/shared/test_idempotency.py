"""Carrying out once: what becomes of races, waits, failures and callers who hang up."""

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest

from adapters.memory.idempotency import MemoryStoredResponses
from adapters.memory.store import MemoryStore
from adapters.security.keys import DerivedKeys
from adapters.security.response_cipher import AesGcmResponseCipher
from application.shared.errors import TransientFailure
from application.shared.idempotency import (
    COUNTED_FROM,
    Idempotency,
    IdempotencyClaim,
    IdempotencyInFlight,
    IdempotencyKey,
    IdempotentResponse,
    KeyContended,
    KeyTaken,
    StoredResponse,
    TooManyIdempotencyKeys,
)
from domain.shared.errors import Invalid, NotFound
from domain.shared.ids import UserId
from tests.builders import an_id
from tests.fakes import SettableClock

OWNER, KEY, ASKED = UserId(an_id()), IdempotencyKey("a-key"), sha256(b"asked").digest()


async def test_one_key_more_than_an_account_may_have_is_refused_and_what_is_kept_is_replayed() -> None:
    desk = Desk(max_keys=3)
    for number in range(3):
        desk.keep_under(f"key {number}")
    for _ in range(3):  # Before a process asks storage for the first time.
        await desk.ask(Creation(None), key="new")

    with pytest.raises(TooManyIdempotencyKeys):
        await desk.ask(Creation(None), key="one more")

    replayed = await desk.ask(Creation(KeyTaken()), key="key 1")
    assert replayed == IdempotentResponse(b"kept", replayed=True)
    desk.store.stored_responses.clear()
    with pytest.raises(TooManyIdempotencyKeys):  # It is counted once a minute.
        await desk.ask(Creation(None), key="one more")
    desk.clock.advance(timedelta(minutes=1))
    assert await desk.ask(Creation(None), key="one more") == IdempotentResponse(b"created", replayed=False)


async def test_an_account_is_counted_once_a_minute_and_only_from_its_hundredth_request_on() -> None:
    desk = Desk()
    for number in range(COUNTED_FROM):
        await desk.ask(Creation(None), key=f"{number}")
    assert desk.kept.counted == 0

    for number in range(50):
        await desk.ask(Creation(None), key=f"more {number}")

    assert desk.kept.counted == 1


async def test_two_processes_pass_the_maximum_by_no_more_than_both_create_in_a_minute() -> None:
    desk, most = Desk(), 2 * COUNTED_FROM
    processes = [Idempotency(kept=desk.kept, vault=desk.vault, clock=desk.clock, max_keys=most) for _ in range(2)]

    async def ask(process: int, key: str) -> bool:
        async def keeps(_: IdempotencyClaim[str]) -> str:
            desk.keep_under(key)
            return "created"

        try:
            await processes[process].run_once(
                keeps, owner=OWNER, key=IdempotencyKey(key), digest=ASKED, render=str.encode
            )
        except TooManyIdempotencyKeys:
            return False
        return True

    first = [await ask(0, f"first {number}") for number in range(most)]
    second = [await ask(1, f"second {number}") for number in range(most)]
    assert sum(first) == most
    assert sum(second) == COUNTED_FROM  # What it lets pass before it asks storage, and then it knows.
    desk.clock.advance(timedelta(minutes=1))
    assert [await ask(process, "one more") for process in (0, 1)] == [False, False]


class CountingKeptAnswers(MemoryStoredResponses):
    counted = 0

    async def count(self, owner: UserId, *, limit: int) -> int:
        self.counted += 1
        return await super().count(owner, limit=limit)


class Creation:
    """A use case that is told how each of its attempts ends."""

    def __init__(self, *ends: Exception | None) -> None:
        self._ends = list(ends)
        self.attempts: list[IdempotencyClaim[str]] = []

    async def __call__(self, once: IdempotencyClaim[str]) -> str:
        self.attempts.append(once)
        end = self._ends.pop(0)
        if end is not None:
            raise end
        return "created"


class Desk:
    def __init__(self, **options: int) -> None:
        self.clock = SettableClock()
        self.store = MemoryStore()
        self.vault = AesGcmResponseCipher(keys=DerivedKeys("a key that everybody knows"))
        self.kept = CountingKeptAnswers(self.store)
        self.idempotency = Idempotency(kept=self.kept, vault=self.vault, clock=self.clock, **options)

    async def ask(self, creation: Creation, *, digest: bytes = ASKED, key: str = KEY.value) -> IdempotentResponse:
        return await self.idempotency.run_once(
            creation, owner=OWNER, key=IdempotencyKey(key), digest=digest, render=str.encode
        )

    def keep_under(self, key: str) -> None:
        sealed = self.vault.seal(ASKED + b"kept", owner=OWNER, key=IdempotencyKey(key))
        self.store.stored_responses[OWNER, key] = StoredResponse(sealed, self.clock.now())

    def keep(self, answer: bytes, *, age: timedelta = timedelta()) -> None:
        sealed = self.vault.seal(ASKED + answer, owner=OWNER, key=KEY)
        self.store.stored_responses[OWNER, KEY.value] = StoredResponse(sealed, self.clock.now() - age)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_claim_that_lost_a_race_is_made_again_at_once(desk: Desk) -> None:
    creation = Creation(KeyContended(), KeyContended(), None)
    assert await desk.ask(creation) == IdempotentResponse(b"created", replayed=False)


async def test_a_claim_that_loses_three_races_is_in_flight(desk: Desk) -> None:
    creation = Creation(*(KeyContended() for _ in range(3)))
    with pytest.raises(IdempotencyInFlight):
        await desk.ask(creation)
    assert len(creation.attempts) == 3


async def test_a_wait_that_was_given_up_is_not_begun_again(desk: Desk) -> None:
    class Waiting(Creation):
        async def __call__(self, once: IdempotencyClaim[str]) -> str:
            desk.clock.advance(timedelta(seconds=5))
            return await super().__call__(once)

    creation = Waiting(KeyContended(), None)
    with pytest.raises(IdempotencyInFlight):
        await desk.ask(creation)
    assert len(creation.attempts) == 1


async def test_a_key_that_was_freed_in_between_is_claimed_anew(desk: Desk) -> None:
    assert await desk.ask(Creation(KeyTaken(), None)) == IdempotentResponse(b"created", replayed=False)


async def test_a_key_of_a_day_ago_is_freed_and_claimed_at_the_present(desk: Desk) -> None:
    desk.keep(b"of yesterday", age=timedelta(hours=24))
    creation = Creation(KeyTaken(), None)
    assert await desk.ask(creation) == IdempotentResponse(b"created", replayed=False)
    assert desk.store.stored_responses == {}
    assert creation.attempts[-1].at == desk.clock.now()


async def test_a_key_of_almost_a_day_ago_is_answered_as_then(desk: Desk) -> None:
    desk.keep(b"of yesterday", age=timedelta(hours=24) - timedelta(microseconds=1))
    assert await desk.ask(Creation(KeyTaken())) == IdempotentResponse(b"of yesterday", replayed=True)


@pytest.mark.parametrize("failure", [NotFound(), TransientFailure(), ZeroDivisionError()], ids=repr)
async def test_a_failure_goes_to_the_caller_and_the_key_may_be_used_again(desk: Desk, failure: Exception) -> None:
    with pytest.raises(type(failure)):
        await desk.ask(Creation(failure))
    assert not (await desk.ask(Creation(None))).replayed


async def test_a_caller_who_hangs_up_leaves_nothing_in_flight(desk: Desk) -> None:
    class Endless(Creation):
        async def __call__(self, once: IdempotencyClaim[str]) -> str:
            self.attempts.append(once)
            return await asyncio.Future()

    asking = asyncio.create_task(desk.ask(Endless()))
    await asyncio.sleep(0)
    with pytest.raises(IdempotencyInFlight):
        await desk.ask(Creation(None))
    asking.cancel()
    await asyncio.wait([asking])
    assert not (await desk.ask(Creation(None))).replayed


async def test_what_is_asked_is_told_by_a_sha256(desk: Desk) -> None:
    with pytest.raises(ValueError, match="digest"):
        await desk.ask(Creation(None), digest=b"short")


@pytest.mark.parametrize(
    "raw", ["k", "!", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "".join(map(chr, range(0x21, 0x7F)))]
)
def test_a_key_is_visible_ascii_and_kept_as_it_is(raw: str) -> None:
    assert IdempotencyKey.parse(raw).value == raw


@pytest.mark.parametrize("raw", ["", " ", "a b", "k\t", "k" * 256, "k\x7f", "k\u00e9y", "\u200b"])
def test_anything_else_is_no_key(raw: str) -> None:
    with pytest.raises(Invalid) as refused:
        IdempotencyKey.parse(raw)
    assert [(error.field, error.code) for error in refused.value.errors] == [("?Idempotency-Key", "format")]
