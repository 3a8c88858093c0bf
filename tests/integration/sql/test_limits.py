"""The largest of everything that the domain lets through fits its column, on every database."""

import pytest

from domain.identity.values import EMAIL_MAX_LENGTH, USERNAME_MAX_LENGTH, EmailAddress, PersonName, Username
from domain.shared.errors import Invalid
from entrypoints.storage import sql_storage
from tests.aggregates import fields_of
from tests.builders import a_session, a_user
from tests.contracts.scenarios import given, load_session, load_user
from tests.integration.sql.conftest import OpenDatabase


@pytest.mark.parametrize(
    "letter",
    [
        pytest.param("\u0149", id="one that folds to two"),
        pytest.param("\U00010400", id="four bytes each"),
        pytest.param("\u1fb7", id="one that folds to three"),
    ],
)
async def test_the_longest_address_of_any_letter_is_stored(open_with: OpenDatabase, letter: str) -> None:
    storage = sql_storage(open_with())
    user = a_user()
    local = letter * (64 // len(letter.encode()))  # RFC 5321, section 4.5.3.1.1: 64 bytes
    with pytest.raises(Invalid, match="64 bytes"):
        EmailAddress.parse(f"{local}{letter}@example.org")
    labels = ("d." * EMAIL_MAX_LENGTH)[: EMAIL_MAX_LENGTH - len(f"{local}@example.org")]
    user.email = EmailAddress.parse(f"{local}@{labels}example.org")

    await given(storage, user)

    assert (await load_user(storage, user.id)).email == user.email
    found = await storage.credentials.by_email(user.email.key)
    assert found is not None
    assert found.user_id == user.id


async def test_the_longest_names_and_devices_are_stored(open_with: OpenDatabase) -> None:
    storage = sql_storage(open_with())
    user = a_user("\U00020bb7" * USERNAME_MAX_LENGTH, email="alice@example.org")
    user.name = PersonName.parse("\U0001f600" * 100)
    user.password_hash = "x" * 255
    session = a_session(user, user_agent="\U0001f600" * 400, address="0" * 60)

    await given(storage, user, session)

    assert fields_of(await load_user(storage, user.id)) == fields_of(user)
    assert fields_of(await load_session(storage, session.id)) == fields_of(session)


async def test_the_longest_username_that_folds_longer_is_stored(open_with: OpenDatabase) -> None:
    storage = sql_storage(open_with())
    user = a_user("straße", email="alice@example.org")
    user.username = Username.parse("ß" * 32)

    await given(storage, user)

    assert (await load_user(storage, user.id)).username.key == "ss" * 32
