"""What every `CredentialsReader` and `AccountReader` promises."""

from datetime import UTC, datetime

from application.identity.views import account_view
from domain.identity.values import EmailAddress, UserStatus
from domain.shared.actor import Role
from domain.shared.ids import UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_user, an_id
from tests.contracts.scenarios import given


async def test_credentials_are_found_by_the_key_of_the_address(storage: Storage) -> None:
    user = a_user("Alice", email="Alice+Straße@Example.org", password_hash="$argon2id$...", status=UserStatus.SUSPENDED)
    await given(storage, user, a_user())

    found = await storage.credentials.by_email(EmailAddress.parse("ALICE+STRASSE@example.ORG").key)

    assert found is not None
    assert (found.user_id, found.email, found.username) == (user.id, user.email, user.username)
    assert found.password_hash == "$argon2id$..."


async def test_credentials_are_found_by_id(storage: Storage) -> None:
    user = a_user(password_hash="$argon2id$...")
    await given(storage, user, a_user())

    found = await storage.credentials.by_id(user.id)

    assert found is not None
    assert (found.user_id, found.email, found.username) == (user.id, user.email, user.username)
    assert found.password_hash == "$argon2id$..."


async def test_an_unknown_address_has_no_credentials(storage: Storage) -> None:
    await given(storage, a_user("alice"))

    assert await storage.credentials.by_email("alice@example.com") is None
    assert await storage.credentials.by_id(UserId(an_id())) is None


async def test_an_address_no_database_could_hold_is_simply_unknown(storage: Storage) -> None:
    """The key comes from whoever logs in: NUL, which PostgreSQL refuses, and far more than the column takes."""
    assert await storage.credentials.by_email("alice\x00@example.org") is None
    assert await storage.credentials.by_email("a" * 100_000 + "@example.org") is None


async def test_credentials_follow_a_change_at_once(storage: Storage) -> None:
    user = a_user(password_hash="old")
    await given(storage, user)
    await storage.credentials.by_id(user.id)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_password("new", at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    found = await storage.credentials.by_id(user.id)
    assert found is not None
    assert found.password_hash == "new"


async def test_an_account_reads_as_its_aggregate_would_show_it(storage: Storage) -> None:
    user = a_user(
        "Ælfrëd.1",
        email="Ælfrëd@Example.org",
        email_verified=True,
        name="Ælfrëd 😀",
        phone="+4915112345678",
        role=Role.MODERATOR,
        created_at=datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC),
        updated_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
    )
    await given(storage, user)

    found = await storage.accounts.account(user.id)

    assert found is not None
    assert found.view == account_view(user)
    assert (found.view.created_at, found.view.updated_at) == (
        "2026-01-02T03:04:05.600000Z",
        "2026-01-02T03:04:06.000000Z",
    )
    assert found.version == 1


async def test_an_account_without_name_and_phone_reads_so(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)

    found = await storage.accounts.account(user.id)

    assert found is not None
    assert (found.view.name, found.view.phone, found.view.email_verified) == (None, None, False)


async def test_the_version_of_an_account_follows_its_changes(storage: Storage) -> None:
    user = a_user()
    await given(storage, user)
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_password("new", at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    found = await storage.accounts.account(user.id)

    assert found is not None
    assert found.version == loaded.version == 2


async def test_an_account_that_is_not_there_reads_as_none(storage: Storage) -> None:
    assert await storage.accounts.account(UserId(an_id())) is None
