"""What every `UserRepository` promises."""

from datetime import timedelta

import pytest

from application.shared.errors import VersionConflict
from domain.identity.errors import EmailTaken, UsernameTaken, UserNotFound
from domain.identity.user import User
from domain.identity.values import EmailAddress, PersonName, PhoneNumber, Username, UserStatus
from domain.shared.actor import Role
from domain.shared.ids import UserId
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_user, an_id
from tests.contracts.scenarios import changed, given, load_user

SAME_TO_EVERYBODY = [
    pytest.param("alice", "ALICE", id="case"),
    pytest.param("émile", "e\u0301mile", id="composed and decomposed"),
    pytest.param("straße", "strasse", id="sharp s and ss"),
    pytest.param("STRASSE", "straße", id="ss and sharp s"),
    pytest.param("\uff41lice", "alice", id="full width"),
    pytest.param("ﬁona", "fiona", id="ligature"),
    pytest.param("σοφός", "ΣΟΦΌΣ", id="final sigma"),
    pytest.param("alice", "alice   ", id="trailing spaces"),
]

DIFFERENT_TO_EVERYBODY = [
    pytest.param("emile", "émile", id="accent"),
    pytest.param("ange", "änge", id="umlaut"),
    pytest.param("bjorn", "bjørn", id="stroke"),
    pytest.param("istanbul", "ıstanbul", id="dotless i"),
    pytest.param("coca", "соса", id="Cyrillic"),
    pytest.param("anna", "an-na", id="hyphen"),
    pytest.param("тест", "тёст", id="Cyrillic io"),
    pytest.param("はなこ", "ハナコ", id="kana"),
    pytest.param("कमल", "कमला", id="vowel sign"),
    pytest.param("שלום", "שָׁלוֹם", id="points"),
    pytest.param("ขาว", "ข้าว", id="tone mark"),
]


async def test_every_field_of_an_account_survives_the_round_trip(storage: Storage) -> None:
    user = a_user(
        "Ælfrëd.1",
        email="Ælfrëd+Straße@Example.org",
        email_verified=True,
        name="Ælfrëd 😀 der Große",
        phone="+4915112345678",
        password_hash="$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
        role=Role.MODERATOR,
        status=UserStatus.SUSPENDED,
        created_at=NOW,
        updated_at=NOW + timedelta(days=3, microseconds=1),
    )
    await given(storage, user)

    assert fields_of(await load_user(storage, user.id)) == fields_of(user)


async def test_every_field_of_an_account_that_can_change_is_saved(storage: Storage) -> None:
    before = a_user("before", name="Before", phone="+4915112345678")
    await given(storage, before)
    after = a_user(
        "after",
        id=before.id,
        email="after@example.org",
        email_verified=True,
        name="After",
        phone="+4915187654321",
        password_hash="another",
        role=Role.ADMIN,
        status=UserStatus.SUSPENDED,
        updated_at=NOW + timedelta(hours=1),
    )

    async with storage.identity_units() as uow:
        await uow.users.get(before.id)
        await uow.users.save(after)
        await uow.commit()

    stored = fields_of(await load_user(storage, before.id))
    assert stored == fields_of(after)
    kept = [name for name, value in fields_of(before).items() if stored[name] == value]
    assert kept == ["id", "created_at"]


async def test_a_name_and_a_phone_number_can_be_taken_away(storage: Storage) -> None:
    user = a_user(name="Alice", phone="+4915112345678")
    await given(storage, user)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_profile(name=None, phone=None, at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    stored = await load_user(storage, user.id)
    assert (stored.name, stored.phone) == (None, None)


async def test_saving_moves_the_version_on_in_storage_and_in_hand(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_password("another", at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    assert loaded.version == 2
    assert (await load_user(storage, user.id)).version == 2


async def test_saving_twice_in_one_unit_of_work_is_no_conflict(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_password("second", at=NOW)
        await uow.users.save(loaded)
        loaded.change_password("third", at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    stored = await load_user(storage, user.id)
    assert (stored.password_hash, stored.version) == ("third", loaded.version)


async def test_an_account_can_be_added_and_saved_in_one_unit_of_work(storage: Storage) -> None:
    user = a_user()

    async with storage.identity_units() as uow:
        await uow.users.add(user)
        user.change_password("another", at=NOW)
        await uow.users.save(user)
        await uow.commit()

    assert fields_of(await load_user(storage, user.id)) == fields_of(user)


async def test_an_account_that_is_not_there_is_not_found(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(UserNotFound):
            await uow.users.get(UserId(an_id()))


@pytest.mark.parametrize(("first", "second"), SAME_TO_EVERYBODY)
async def test_an_address_written_otherwise_is_the_same_address(storage: Storage, first: str, second: str) -> None:
    await given(storage, a_user(email=f"{first}@example.org"))

    async with storage.identity_units() as uow:
        with pytest.raises(EmailTaken):
            await uow.users.add(a_user(email=f"{second.strip()}@EXAMPLE.org{' ' * second.count(' ')}"))
            await uow.commit()


@pytest.mark.parametrize(
    ("first", "second"), [*SAME_TO_EVERYBODY, pytest.param("می\u200cخواهم", "میخواهم", id="joiner")]
)
async def test_a_username_written_otherwise_is_the_same_username(storage: Storage, first: str, second: str) -> None:
    await given(storage, a_user(first))

    async with storage.identity_units() as uow:
        with pytest.raises(UsernameTaken):
            await uow.users.add(a_user(second, email="somebody.else@example.org"))
            await uow.commit()


async def test_when_both_are_taken_either_is_told(storage: Storage) -> None:
    """Each database checks its unique indexes in an order of its own."""
    await given(storage, a_user("alice", email="alice@example.org"))

    async with storage.identity_units() as uow:
        with pytest.raises((EmailTaken, UsernameTaken)):
            await uow.users.add(a_user("Alice", email="Alice@example.org"))
            await uow.commit()


@pytest.mark.parametrize(("first", "second"), DIFFERENT_TO_EVERYBODY)
async def test_names_that_a_lenient_collation_would_confuse_are_two_names(
    storage: Storage, first: str, second: str
) -> None:
    one = a_user(first, email=f"{first}@example.org")
    other = a_user(second, email=f"{second}@example.org")

    await given(storage, one, other)

    assert (await load_user(storage, other.id)).username.value == second


async def test_keys_are_compared_byte_by_byte(storage: Storage) -> None:
    def with_keys(email_key: str, username_key: str) -> User:
        user = a_user()
        user.email = EmailAddress("alice@example.org", email_key)
        user.username = Username("alice", username_key)
        return user

    await given(
        storage,
        with_keys("alice@example.org", "alice"),
        with_keys("alice@example.org ", "alice "),
        with_keys("Alice@example.org", "Alice"),
        with_keys("álice@example.org", "álice"),
    )

    found = await storage.credentials.by_email("alice@example.org ")
    assert found is not None
    assert found.username.key == "alice "


async def test_an_address_keeps_the_spelling_of_its_owner(storage: Storage) -> None:
    user = a_user("GroßeStraße", email="GroßeStraße@Example.ORG")
    await given(storage, user)

    stored = await load_user(storage, user.id)

    assert stored.email == EmailAddress("GroßeStraße@Example.ORG", "grossestrasse@example.org")
    assert stored.username == Username("GroßeStraße", "grossestrasse")


async def test_saving_under_somebody_elses_address_is_refused(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    await given(storage, alice, bob)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(bob.id)
        loaded.email = EmailAddress.parse(alice.email.value.upper())
        with pytest.raises(EmailTaken):
            await uow.users.save(loaded)

    assert (await load_user(storage, bob.id)).email == bob.email


async def test_saving_under_somebody_elses_username_is_refused(storage: Storage) -> None:
    bob = a_user()
    await given(storage, a_user("straße"), bob)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(bob.id)
        loaded.change_profile(username=Username.parse("STRASSE"), at=NOW)
        with pytest.raises(UsernameTaken):
            await uow.users.save(loaded)

    assert (await load_user(storage, bob.id)).username == bob.username


async def test_ones_own_username_may_be_spelled_anew(storage: Storage) -> None:
    user = a_user("alice")
    await given(storage, user)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_profile(username=Username.parse("Alice"), at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    assert (await load_user(storage, user.id)).username.value == "Alice"


async def test_a_username_that_was_given_up_is_free(storage: Storage) -> None:
    user = a_user("alice")
    await given(storage, user)
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_profile(username=Username.parse("alicia"), at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    successor = a_user("Alice", email="another@example.org")
    await given(storage, successor)

    assert (await load_user(storage, successor.id)).username.value == "Alice"


async def test_an_account_kept_from_an_earlier_unit_of_work_is_not_saved(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)
    kept = await load_user(storage, user.id)
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_password("theirs", at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    kept.change_profile(name=PersonName.parse("Mine"), phone=PhoneNumber.parse("+4915112345678"), at=NOW)
    async with storage.identity_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.users.save(kept)

    assert fields_of(await load_user(storage, user.id)) == fields_of(loaded)


async def test_an_account_that_was_never_stored_is_not_saved(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.users.save(a_user())


async def test_what_is_loaded_is_a_copy(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_password("never saved", at=NOW)
        await uow.commit()

    assert fields_of(await load_user(storage, user.id)) == fields_of(user)


async def test_what_is_stored_is_a_copy(storage: Storage) -> None:
    user = a_user(password_hash="as added")

    async with storage.identity_units() as uow:
        await uow.users.add(user)
        user.change_password("changed after it was added", at=NOW)
        await uow.commit()

    assert (await load_user(storage, user.id)).password_hash == "as added"


async def test_a_loaded_account_is_locked_until_its_unit_of_work_ends(storage: Storage) -> None:
    user = a_user(password_hash="0")
    await given(storage, user)

    await changed(storage, user.id, times=8)

    assert (await load_user(storage, user.id)).password_hash == "8"


async def test_the_standing_of_an_account_is_its_role_and_status(storage: Storage) -> None:
    user = a_user(role=Role.MODERATOR, status=UserStatus.SUSPENDED)
    await given(storage, user)

    async with storage.identity_units() as uow:
        standing = await uow.users.role_and_status(user.id)

    assert standing is not None
    assert (standing.role, standing.status) == (Role.MODERATOR, UserStatus.SUSPENDED)


async def test_an_account_that_is_not_there_has_no_standing(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        assert await uow.users.role_and_status(UserId(an_id())) is None
