"""What every `PasswordHasher` promises."""

import pytest

from adapters.security.argon2 import Argon2PasswordHasher, HashingSettings
from application.identity.ports import PasswordCheck, PasswordHasher
from domain.identity.values import Password
from tests.fakes import FastPasswordHasher

PASSWORD = Password.new("correct horse battery staple")
NO = PasswordCheck(matches=False, outdated=False)


def hasher_of(kind: str, *, stronger: bool = False) -> PasswordHasher:
    if kind == "fake":
        return FastPasswordHasher(strength=2 if stronger else 1)
    return Argon2PasswordHasher(HashingSettings(memory_kib=128 if stronger else 64, iterations=1, threads=1))


@pytest.fixture(params=["fake", "argon2"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hasher(kind: str) -> PasswordHasher:
    return hasher_of(kind)


async def test_a_password_matches_its_hash(hasher: PasswordHasher) -> None:
    assert await hasher.verify(await hasher.hash(PASSWORD), PASSWORD) == PasswordCheck(matches=True, outdated=False)


async def test_another_password_does_not(hasher: PasswordHasher) -> None:
    assert await hasher.verify(await hasher.hash(PASSWORD), Password("Correct horse battery staple")) == NO


async def test_hashing_twice_gives_different_hashes(hasher: PasswordHasher) -> None:
    assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)


async def test_a_hash_does_not_show_the_password(hasher: PasswordHasher) -> None:
    assert "horse" not in await hasher.hash(PASSWORD)


@pytest.mark.parametrize("stored", [None, "", "no hash at all", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA", "$argon2id$é"])
async def test_nothing_matches_a_hash_that_is_not_there_or_cannot_be_read(
    hasher: PasswordHasher, stored: str | None
) -> None:
    assert await hasher.verify(stored, PASSWORD) == NO


async def test_a_hash_under_weaker_parameters_matches_and_is_outdated(kind: str) -> None:
    stored = await hasher_of(kind).hash(PASSWORD)

    verdict = await hasher_of(kind, stronger=True).verify(stored, PASSWORD)

    assert verdict == PasswordCheck(matches=True, outdated=True)


async def test_a_wrong_password_is_not_called_outdated(kind: str) -> None:
    stored = await hasher_of(kind).hash(PASSWORD)

    assert await hasher_of(kind, stronger=True).verify(stored, Password("wrong")) == NO


async def test_a_password_that_begins_like_the_longest_one_does_not_match_it(hasher: PasswordHasher) -> None:
    longest = "x" * 256
    stored = await hasher.hash(Password.new(longest))

    assert await hasher.verify(stored, Password.attempt(longest + "y")) == NO
    assert (await hasher.verify(stored, Password.attempt(longest))).matches


async def test_any_unicode_is_a_password(hasher: PasswordHasher) -> None:
    password = Password.new("пароль 密码 🔑🔑🔑🔑")

    assert (await hasher.verify(await hasher.hash(password), password)).matches
