"""The Argon2 adapter: its bounds, its accounting, its equal work."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import argon2
import pytest

from adapters.security.argon2 import Argon2PasswordHasher, HashingSettings, _notify, available_cores
from application.identity.ports import PasswordCheck
from application.shared.errors import Overloaded
from domain.identity.values import Password
from tests.waiting import until

PASSWORD = Password.new("correct horse battery staple")
CHEAP = HashingSettings(memory_kib=64, iterations=1, threads=1, queue=2)


@dataclass
class Gate:
    """Holds the hasher's threads until it is opened, and counts what ran."""

    opened: threading.Event
    entered: threading.Semaphore
    runs: int = 0

    async def wait_for_entry(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=5)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(threading.Event(), threading.Semaphore(0))
    hash_ = argon2.PasswordHasher.hash

    def held(self: argon2.PasswordHasher, password: str | bytes) -> str:
        gate.runs += 1
        gate.entered.release()
        assert gate.opened.wait(10)
        return hash_(self, password)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", held)
    return gate


@pytest.fixture
async def hasher() -> AsyncIterator[Argon2PasswordHasher]:
    hasher = Argon2PasswordHasher(CHEAP)
    yield hasher
    await hasher.close()


def test_the_default_is_the_owasp_floor() -> None:
    settings = HashingSettings()

    assert (settings.memory_kib, settings.iterations, settings.parallelism) == (19 * 1024, 2, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 0},
        {"parallelism": 0},
        {"threads": 0},
        {"queue": -1},
        {"memory_kib": 15, "parallelism": 2},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"begin at 1|8 KiB"):
        HashingSettings(**wrong)


async def test_hashes_are_argon2id_under_the_settings() -> None:
    hasher = Argon2PasswordHasher(HashingSettings(memory_kib=96, iterations=3, parallelism=2, threads=1))

    stored = await hasher.hash(PASSWORD)

    assert stored.startswith("$argon2id$v=19$m=96,t=3,p=2$")
    assert argon2.PasswordHasher().verify(stored, PASSWORD.value)
    await hasher.close()


async def test_a_full_queue_is_told_at_once(hasher: Argon2PasswordHasher, gate: Gate) -> None:
    admitted = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(3)]
    await gate.wait_for_entry()

    with pytest.raises(Overloaded) as overloaded:
        # At once, as against the gate, which stays shut for ten seconds.
        await asyncio.wait_for(hasher.hash(PASSWORD), 5)

    assert 1 <= overloaded.value.retry_after_seconds <= 30
    gate.opened.set()
    assert len(await asyncio.gather(*admitted)) == 3


async def test_a_queue_that_emptied_admits_again(hasher: Argon2PasswordHasher, gate: Gate) -> None:
    admitted = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(3)]
    await gate.wait_for_entry()
    gate.opened.set()
    await asyncio.gather(*admitted)

    await until(lambda: hasher.admitted == 0)

    assert await hasher.hash(PASSWORD)


async def test_advice_to_come_back_grows_with_the_queue(hasher: Argon2PasswordHasher, gate: Gate) -> None:
    hasher._seconds_each = 4.0
    admitted = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(3)]
    await gate.wait_for_entry()

    with pytest.raises(Overloaded) as overloaded:
        await hasher.hash(PASSWORD)

    assert overloaded.value.retry_after_seconds == 12
    gate.opened.set()
    await asyncio.gather(*admitted)


async def test_a_caller_who_gives_up_in_the_queue_leaves_their_place(hasher: Argon2PasswordHasher, gate: Gate) -> None:
    running = asyncio.create_task(hasher.hash(PASSWORD))
    await gate.wait_for_entry()
    waiting = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(2)]
    await until(lambda: hasher.admitted == 3)

    waiting[0].cancel()
    await asyncio.wait([waiting[0]])

    assert hasher.admitted == 2
    gate.opened.set()
    await asyncio.gather(running, waiting[1])
    assert gate.runs == 2


async def test_a_caller_who_gives_up_while_it_runs_does_not_free_the_thread(
    hasher: Argon2PasswordHasher, gate: Gate
) -> None:
    running = asyncio.create_task(hasher.hash(PASSWORD))
    await gate.wait_for_entry()

    running.cancel()
    await asyncio.wait([running])

    assert hasher.admitted == 1
    gate.opened.set()
    await until(lambda: hasher.admitted == 0)


async def test_a_storm_of_cancellations_leaves_the_account_at_zero(hasher: Argon2PasswordHasher) -> None:
    for round_ in range(30):
        tasks = [asyncio.create_task(hasher.verify(None, PASSWORD)) for _ in range(3)]
        await asyncio.sleep(0.0005 * (round_ % 3))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await until(lambda: hasher.admitted == 0)

    assert await hasher.hash(PASSWORD)


async def test_closing_lets_the_running_hash_end_and_turns_the_waiting_away(gate: Gate) -> None:
    hasher = Argon2PasswordHasher(CHEAP)
    running = asyncio.create_task(hasher.hash(PASSWORD))
    await gate.wait_for_entry()
    waiting = asyncio.create_task(hasher.hash(PASSWORD))
    await until(lambda: hasher.admitted == 2)

    closing = asyncio.create_task(hasher.close())
    with pytest.raises(Overloaded):
        await waiting
    gate.opened.set()
    await closing

    assert (await running).startswith("$argon2id$")
    with pytest.raises(Overloaded):
        await hasher.hash(PASSWORD)


async def test_a_cancelled_caller_is_cancelled_also_while_closing(gate: Gate) -> None:
    hasher = Argon2PasswordHasher(CHEAP)
    running = asyncio.create_task(hasher.hash(PASSWORD))
    await gate.wait_for_entry()
    closing = asyncio.create_task(hasher.close())
    await asyncio.sleep(0)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    gate.opened.set()
    await closing


@pytest.mark.parametrize(
    ("cores", "admitted", "seconds_each", "gains"),
    [
        (1, 64, 0.02, True),
        # Too few wait for what is spared to come to as much as some wait longer.
        (1, 8, 0.02, False),
        # What follows a hash is little beside such a one.
        (1, 512, 1.0, False),
        # The loop takes nothing from the hashes.
        (2, 512, 0.02, False),
    ],
)
async def test_hashes_are_told_of_together_where_those_who_wait_gain_by_it(
    monkeypatch: pytest.MonkeyPatch, *, cores: int, admitted: int, seconds_each: float, gains: bool
) -> None:
    monkeypatch.setattr("adapters.security.argon2.available_cores", lambda: cores)
    hasher = Argon2PasswordHasher(HashingSettings(threads=1))
    hasher._admitted, hasher._seconds_each = admitted, seconds_each

    assert hasher._batching_pays() == gains

    await hasher.close()


@pytest.fixture
async def telling_late(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Argon2PasswordHasher]:
    """A hasher that tells of a hash as late as it ever does."""
    hasher = Argon2PasswordHasher(HashingSettings(memory_kib=64, iterations=1, threads=1, queue=100))
    monkeypatch.setattr(hasher, "_batching_pays", lambda: hasher.admitted > 0)
    yield hasher
    await hasher.close()


async def test_hashes_told_of_together_are_each_ones_own(
    telling_late: Argon2PasswordHasher, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def tell(waiting: Sequence["asyncio.Future[None]"]) -> None:
        told.append(len(waiting))
        _notify(waiting)

    monkeypatch.setattr("adapters.security.argon2._notify", tell)
    passwords = [Password.new(f"the walrus of number {number}") for number in range(10)]
    hashing = [asyncio.create_task(telling_late.hash(password)) for password in passwords]
    await until(lambda: telling_late.admitted == 10)
    gate.opened.set()

    stored = await asyncio.gather(*hashing)

    assert told == [4, 4, 2]
    for password, hash_ in zip(passwords, stored, strict=True):
        assert argon2.PasswordHasher().verify(hash_, password.value)


async def test_everybody_who_still_waits_is_told_whoever_gives_up(telling_late: Argon2PasswordHasher) -> None:
    for round_ in range(20):
        tasks = [asyncio.create_task(telling_late.verify(None, PASSWORD)) for _ in range(12)]
        await asyncio.sleep(0.0005 * (round_ % 4))
        for task in tasks[round_ % 3 :: 3]:
            task.cancel()
        _, waiting = await asyncio.wait(tasks, timeout=30)
        assert not waiting
    assert telling_late.admitted == 0


async def test_who_waits_to_be_told_is_told_when_the_others_are_turned_away(
    telling_late: Argon2PasswordHasher, gate: Gate
) -> None:
    tasks = [asyncio.create_task(telling_late.hash(PASSWORD)) for _ in range(4)]
    await gate.wait_for_entry()
    closing = asyncio.create_task(telling_late.close())
    turned_away = await asyncio.gather(*tasks[1:], return_exceptions=True)
    gate.opened.set()
    await closing

    assert [type(each) for each in turned_away] == [Overloaded] * 3
    assert (await tasks[0]).startswith("$argon2id$")


@pytest.mark.slow  # It hashes as in production.
async def test_the_event_loop_runs_on_while_it_hashes() -> None:
    hasher = Argon2PasswordHasher(HashingSettings(threads=1))
    hashing = asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(5)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    await hashing
    assert turns > 100
    await hasher.close()


async def test_hashing_a_password_that_no_rule_let_through_is_a_defect(hasher: Argon2PasswordHasher) -> None:
    with pytest.raises(ValueError, match=r"Password\.new"):
        await hasher.hash(Password("x" * 257))


@pytest.mark.parametrize("stored", [None, "unreadable", "$argon2id$v=19$m=64,t=1,p=1$!!!$!!!"])
async def test_without_a_readable_hash_the_same_work_is_done(
    hasher: Argon2PasswordHasher, monkeypatch: pytest.MonkeyPatch, stored: str | None
) -> None:
    computed: list[bytes] = []
    verify_secret = argon2.low_level.verify_secret

    def spy(hash_: bytes, secret: bytes, type_: argon2.Type) -> bool:
        if hash_.count(b"$") == 5 and b"!" not in hash_:
            computed.append(hash_)
        return verify_secret(hash_, secret, type_)

    monkeypatch.setattr("argon2._password_hasher.verify_secret", spy)

    assert not (await hasher.verify(stored, PASSWORD)).matches

    assert len(computed) == 1
    assert computed[0].startswith(b"$argon2id$v=19$m=64,t=1,p=1$")


async def test_no_memory_is_overload_and_not_a_wrong_password(
    hasher: Argon2PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await hasher.hash(PASSWORD)

    def no_memory(*_: object) -> bool:
        raise argon2.exceptions.VerificationError("Memory allocation error")

    monkeypatch.setattr("argon2._password_hasher.verify_secret", no_memory)

    with pytest.raises(Overloaded):
        await hasher.verify(stored, PASSWORD)


async def test_lone_surrogates_are_characters_like_any_other(hasher: Argon2PasswordHasher) -> None:
    password = Password.new("\ud800 is no character")

    verdict = await hasher.verify(await hasher.hash(password), password)

    assert verdict == PasswordCheck(matches=True, outdated=False)


def test_one_core_stays_with_the_event_loop() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert Argon2PasswordHasher(HashingSettings())._threads == max(1, available_cores() - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness belongs to a thread on Linux only")
async def test_hashing_threads_give_way_to_the_event_loop(
    hasher: Argon2PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(self: argon2.PasswordHasher, password: str | bytes) -> str:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return ""

    monkeypatch.setattr(argon2.PasswordHasher, "hash", look)
    await hasher.hash(PASSWORD)

    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert seen == [min(19, ours + 5)]
