"""What every repository and reader of mailed tokens, second factors and API keys promises."""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from application.identity.credentials import ApiKeyGrant
from application.shared.errors import TransientFailure, VersionConflict
from domain.identity.api_key import ApiKey, ApiKeyHash, ApiKeyName
from domain.identity.errors import ApiKeyNotFound, InvalidOneTimeToken, UserNotFound
from domain.identity.one_time_token import OneTimeToken, OneTimeTokenHash, Purpose
from domain.identity.second_factor import RecoveryCodeHash, SecondFactor
from domain.identity.user import User
from domain.identity.values import UserStatus
from domain.shared.actor import Role, Scope
from domain.shared.ids import ApiKeyId
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_user, an_id
from tests.contracts.scenarios import given, race

LATER = NOW + timedelta(minutes=5, microseconds=7)


def a_token(of: User, purpose: Purpose = Purpose.RESET_PASSWORD, *, text: str = "a token") -> OneTimeToken:
    digest = OneTimeTokenHash(sha256(text.encode()).digest())
    return OneTimeToken.issue(user_id=of.id, purpose=purpose, hash=digest, email=of.email, at=NOW)


def a_factor(of: User, *, codes: int = 0, confirmed_at: datetime | None = None) -> SecondFactor:
    return SecondFactor.restore(
        user_id=of.id,
        sealed_secret=b"\x00sealed\xff" + bytes(range(60)),
        confirmed_at=confirmed_at,
        last_step=None,
        recovery=frozenset(RecoveryCodeHash(sha256(bytes([n])).digest()) for n in range(codes)),
        failures=0,
        blocked_until=None,
        created_at=NOW,
        version=1,
    )


def a_key(
    of: User, *, text: str = "a key", at: datetime = NOW, expires_at: datetime | None = None, name: str = "backup"
) -> ApiKey:
    return ApiKey.restore(
        id=ApiKeyId(an_id(at)),
        user_id=of.id,
        name=ApiKeyName.parse(name),
        scopes=frozenset({Scope.POSTS_READ, Scope.PROFILE_WRITE}),
        hash=ApiKeyHash(sha256(text.encode()).digest()),
        hint="x7Qz",
        created_at=at,
        expires_at=expires_at,
        last_used_at=None,
    )


async def put(storage: Storage, token: OneTimeToken) -> None:
    async with storage.identity_units() as uow:
        await uow.one_time_tokens.put(token)
        await uow.commit()


async def find(storage: Storage, token: OneTimeToken) -> OneTimeToken:
    async with storage.identity_units() as uow:
        return await uow.one_time_tokens.find(token.hash, token.purpose)


async def add_factor(storage: Storage, factor: SecondFactor) -> None:
    async with storage.identity_units() as uow:
        await uow.second_factors.add(factor)
        await uow.commit()


async def load_factor(storage: Storage, user: User) -> SecondFactor:
    async with storage.identity_units() as uow:
        found = await uow.second_factors.find(user.id)
    assert found is not None
    return found


async def add_key(storage: Storage, key: ApiKey) -> None:
    async with storage.identity_units() as uow:
        await uow.api_keys.add(key)
        await uow.commit()


async def load_key(storage: Storage, key: ApiKey) -> ApiKey:
    async with storage.identity_units() as uow:
        return await uow.api_keys.get(key.user_id, key.id)


async def test_a_token_survives_the_round_trip_with_every_field(storage: Storage) -> None:
    alice = a_user("straße", email="Straße@Example.org")
    token = replace(a_token(alice, Purpose.VERIFY_EMAIL), expires_at=LATER)
    await given(storage, alice)
    await put(storage, token)

    assert await find(storage, token) == token


async def test_a_token_is_found_for_its_own_purpose_alone(storage: Storage) -> None:
    alice = a_user()
    token = a_token(alice, Purpose.VERIFY_EMAIL)
    await given(storage, alice)
    await put(storage, token)

    async with storage.identity_units() as uow:
        with pytest.raises(InvalidOneTimeToken):
            await uow.one_time_tokens.find(token.hash, Purpose.RESET_PASSWORD)


async def test_a_new_token_replaces_the_one_of_its_purpose_and_no_other(storage: Storage) -> None:
    alice = a_user()
    first, second = a_token(alice, text="first"), a_token(alice, text="second")
    other = a_token(alice, Purpose.VERIFY_EMAIL, text="other")
    await given(storage, alice)
    for token in (first, other, second):
        await put(storage, token)

    assert (await find(storage, second), await find(storage, other)) == (second, other)
    with pytest.raises(InvalidOneTimeToken):
        await find(storage, first)


async def test_tokens_that_verify_an_address_stand_beside_each_other(storage: Storage) -> None:
    alice = a_user()
    first, second = (a_token(alice, Purpose.VERIFY_EMAIL, text=text) for text in ("first", "second"))
    await given(storage, alice)
    await put(storage, first)
    await put(storage, second)

    assert (await find(storage, first), await find(storage, second)) == (first, second)
    async with storage.identity_units() as uow:
        await uow.one_time_tokens.discard(alice.id, Purpose.VERIFY_EMAIL)
        await uow.commit()
    for token in (first, second):
        with pytest.raises(InvalidOneTimeToken):
            await find(storage, token)


async def test_mailed_tokens_that_hold_are_not_purged_and_go_with_their_account(storage: Storage) -> None:
    alice = a_user()
    ended, good = (a_token(alice, Purpose.VERIFY_EMAIL, text=text) for text in ("ended", "good"))
    good = replace(good, expires_at=LATER + timedelta(microseconds=1))
    await given(storage, alice)
    await put(storage, replace(ended, expires_at=LATER))
    await put(storage, good)

    await storage.purge_one_time_tokens(LATER)

    assert await find(storage, good) == good
    async with storage.identity_units() as uow:
        user = await uow.users.get(alice.id)
        await uow.users.remove(user, at=NOW)
        await uow.commit()
    with pytest.raises(InvalidOneTimeToken):
        await find(storage, good)


async def test_keys_of_a_user_are_loaded_the_newest_first(storage: Storage) -> None:
    alice, bob = a_user("alice"), a_user("robert")
    keys = [a_key(alice, text="1"), a_key(alice, text="2", at=LATER), a_key(bob, text="3")]
    await given(storage, alice, bob)
    for key in keys:
        await add_key(storage, key)

    async with storage.identity_units() as uow:
        found = await uow.api_keys.list_of(alice.id)

    assert [key.id for key in found] == [keys[1].id, keys[0].id]


async def test_a_token_of_nobody_is_refused(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(UserNotFound):
            await uow.one_time_tokens.put(a_token(a_user()))
            await uow.commit()


async def test_a_token_that_was_replaced_cannot_be_spent(storage: Storage) -> None:
    alice = a_user()
    first, second = a_token(alice, text="first"), a_token(alice, text="second")
    await given(storage, alice)
    await put(storage, first)
    await put(storage, second)

    async with storage.identity_units() as uow:
        with pytest.raises(InvalidOneTimeToken):
            await uow.one_time_tokens.consume(first)
    assert await find(storage, second) == second


async def test_a_discarded_token_is_gone_and_discarding_nothing_is_no_failure(storage: Storage) -> None:
    alice = a_user()
    token = a_token(alice)
    await given(storage, alice)
    await put(storage, token)
    async with storage.identity_units() as uow:
        await uow.one_time_tokens.discard(alice.id, Purpose.RESET_PASSWORD)
        await uow.one_time_tokens.discard(alice.id, Purpose.VERIFY_EMAIL)
        await uow.commit()

    with pytest.raises(InvalidOneTimeToken):
        await find(storage, token)


async def test_what_is_not_committed_spends_no_token(storage: Storage) -> None:
    alice = a_user()
    token = a_token(alice)
    await given(storage, alice)
    await put(storage, token)
    async with storage.identity_units() as uow:
        await uow.one_time_tokens.consume(token)

    assert await find(storage, token) == token


async def test_of_twenty_who_spend_one_token_one_succeeds(storage: Storage) -> None:
    alice = a_user()
    token = a_token(alice)
    await given(storage, alice)
    await put(storage, token)

    async def spend(number: int) -> int:
        async with storage.identity_units() as uow:
            await uow.one_time_tokens.consume(token)
            await uow.commit()
        return number

    winners, losers = await race(20, spend)

    assert len(winners) == 1
    assert {type(loser) for loser in losers} <= {InvalidOneTimeToken, TransientFailure}


async def test_a_second_factor_survives_the_round_trip_with_every_field(storage: Storage) -> None:
    alice = a_user()
    factor = SecondFactor.restore(
        user_id=alice.id,
        sealed_secret=b"\x00\x01\xff" + bytes(range(64)),
        confirmed_at=LATER,
        last_step=59_999_999,
        recovery=a_factor(alice, codes=10).recovery,
        failures=7,
        blocked_until=LATER + timedelta(microseconds=3),
        created_at=NOW,
        version=1,
    )
    await given(storage, alice)
    await add_factor(storage, factor)

    assert fields_of(await load_factor(storage, alice)) == fields_of(factor)


async def test_changes_of_a_second_factor_are_saved(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    await add_factor(storage, a_factor(alice))
    async with storage.identity_units() as uow:
        factor = await uow.second_factors.find(alice.id)
        assert factor is not None
        factor.confirm(a_factor(alice, codes=3).recovery, at=LATER)
        factor.present(None, at=LATER)
        await uow.second_factors.save(factor)
        await uow.commit()

    assert fields_of(await load_factor(storage, alice)) == fields_of(factor)
    assert (factor.version, factor.failures, len(factor.recovery)) == (2, 1, 3)


async def test_who_has_no_second_factor_has_none(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)

    async with storage.identity_units() as uow:
        assert await uow.second_factors.find(alice.id) is None


async def test_an_account_has_one_second_factor(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    await add_factor(storage, a_factor(alice))

    async with storage.identity_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.second_factors.add(a_factor(alice))


async def test_a_second_factor_of_nobody_is_refused(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(UserNotFound):
            await uow.second_factors.add(a_factor(a_user()))


async def test_a_second_factor_kept_from_an_earlier_unit_of_work_is_neither_saved_nor_removed(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    await add_factor(storage, a_factor(alice))
    kept = await load_factor(storage, alice)
    async with storage.identity_units() as uow:
        fresh = await uow.second_factors.find(alice.id)
        assert fresh is not None
        await uow.second_factors.save(fresh)
        await uow.commit()

    for attempt in ("save", "remove"):
        async with storage.identity_units() as uow:
            with pytest.raises(VersionConflict):
                await getattr(uow.second_factors, attempt)(kept)


async def test_a_removed_second_factor_makes_room_for_another(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    await add_factor(storage, a_factor(alice))
    async with storage.identity_units() as uow:
        factor = await uow.second_factors.find(alice.id)
        assert factor is not None
        await uow.second_factors.remove(factor)
        await uow.commit()

    await add_factor(storage, a_factor(alice, codes=2))
    assert len((await load_factor(storage, alice)).recovery) == 2


async def test_an_api_key_survives_the_round_trip_with_every_field(storage: Storage) -> None:
    alice = a_user()
    key = a_key(alice, expires_at=LATER, name="Sicherung 😀")
    await given(storage, alice)
    await add_key(storage, key)

    assert fields_of(await load_key(storage, key)) == fields_of(key)


async def test_a_key_is_its_owners_alone(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    key = a_key(alice)
    await given(storage, alice, bob)
    await add_key(storage, key)

    async with storage.identity_units() as uow:
        with pytest.raises(ApiKeyNotFound):
            await uow.api_keys.get(bob.id, key.id)
    assert await storage.api_keys.of_user(bob.id) == []


async def test_a_key_of_nobody_is_refused(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(UserNotFound):
            await uow.api_keys.add(a_key(a_user()))


async def test_a_removed_key_is_gone_and_removed_once(storage: Storage) -> None:
    alice = a_user()
    key = a_key(alice)
    await given(storage, alice)
    await add_key(storage, key)
    async with storage.identity_units() as uow:
        await uow.api_keys.remove(key)
        await uow.commit()

    assert await storage.api_keys.by_hash(key.hash) is None
    async with storage.identity_units() as uow:
        with pytest.raises(ApiKeyNotFound):
            await uow.api_keys.remove(key)


async def test_the_grant_of_a_key_shows_its_owner_as_of_now(storage: Storage) -> None:
    alice = a_user(role=Role.MODERATOR)
    key = a_key(alice, expires_at=LATER)
    await given(storage, alice)
    await add_key(storage, key)

    granted = await storage.api_keys.by_hash(key.hash)

    assert granted == ApiKeyGrant(
        key_id=key.id,
        user_id=alice.id,
        role=Role.MODERATOR,
        is_active=True,
        scopes=key.scopes,
        expires_at=LATER,
        last_used_at=None,
    )
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(alice.id)
        loaded.status = UserStatus.SUSPENDED
        await uow.users.save(loaded)
        await uow.commit()
    suspended = await storage.api_keys.by_hash(key.hash)
    assert suspended is not None
    assert not suspended.is_active


async def test_keys_are_listed_newest_first_and_counted(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    older = a_key(alice, text="older", name="older")
    newer = a_key(alice, text="newer", name="newer", at=LATER, expires_at=LATER)
    await given(storage, alice, bob)
    for key in (newer, older, a_key(bob, text="bob's")):
        await add_key(storage, key)

    listed = await storage.api_keys.of_user(alice.id)

    assert [view.name for view in listed] == ["newer", "older"]
    assert listed[0].id == str(newer.id)
    assert listed[0].created_at == listed[0].expires_at == "2026-03-04T05:11:07.890130Z"
    assert (listed[1].scopes, listed[1].hint, listed[1].expires_at) == (["posts:read", "profile:write"], "x7Qz", None)
    async with storage.identity_units() as uow:
        assert await uow.api_keys.count(alice.id) == 2


async def test_use_is_noted_once_in_a_while(storage: Storage) -> None:
    alice = a_user()
    key = a_key(alice)
    await given(storage, alice)
    await add_key(storage, key)

    async def use(at: datetime) -> datetime | None:
        async with storage.identity_units() as uow:
            await uow.api_keys.note_use(key.id, at=at, unless_since=at - timedelta(minutes=1))
            await uow.commit()
        return (await load_key(storage, key)).last_used_at

    assert await use(NOW) == NOW
    assert await use(NOW + timedelta(seconds=59)) == NOW
    assert await use(NOW + timedelta(seconds=60)) == NOW + timedelta(seconds=60)
