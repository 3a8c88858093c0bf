"""Signing up."""

import pytest

from application.identity.sign_up import SignUpCommand
from application.shared.views import timestamp
from domain.identity.errors import EmailTaken, UsernameTaken
from domain.identity.values import EmailAddress, Password, PersonName, Username
from domain.shared.actor import Role
from domain.shared.errors import Invalid
from tests.builders import NOW
from tests.unit.world import DEVICE, PASSWORD, World


def command(
    email: str = "alice@example.org",
    *,
    password: str = PASSWORD,
    username: str | None = "alice",
    name: str | None = None,
) -> SignUpCommand:
    return SignUpCommand(
        email=EmailAddress.parse(email),
        password=Password.new(password),
        username=Username.parse(username) if username else None,
        name=PersonName.parse(name) if name else None,
        device=DEVICE,
    )


async def test_who_signs_up_has_an_account_and_is_signed_in(world: World) -> None:
    answer = await world.identity.sign_up.execute(command("Alice@Example.org", username="Alice", name="Alice A."))

    user = answer.user
    assert (user.email, user.username, user.name, user.phone) == ("Alice@Example.org", "Alice", "Alice A.", None)
    assert (user.role, user.email_verified) == (Role.USER, False)
    assert user.created_at == user.updated_at == timestamp(NOW)
    assert (answer.token_type, answer.expires_in) == ("bearer", 1800)
    assert str(world.actor(answer).user_id) == user.id
    account = await world.storage.accounts.account(world.actor(answer).user_id)
    assert account is not None
    assert account.view == user


async def test_the_first_refresh_token_works(world: World) -> None:
    answer = await world.identity.sign_up.execute(command())

    assert (await world.refreshed(answer)).refresh_token != answer.refresh_token


async def test_only_a_hash_of_the_password_is_stored(world: World) -> None:
    await world.identity.sign_up.execute(command())

    found = await world.storage.credentials.by_email("alice@example.org")

    assert found is not None
    assert PASSWORD not in found.password_hash
    assert (await world.hasher.verify(found.password_hash, Password.attempt(PASSWORD))).matches


async def test_a_taken_address_is_refused_in_any_spelling(world: World) -> None:
    await world.identity.sign_up.execute(command())

    with pytest.raises(EmailTaken):
        await world.identity.sign_up.execute(command("ALICE@EXAMPLE.ORG", username="another"))


async def test_a_taken_username_is_refused_in_any_spelling(world: World) -> None:
    await world.identity.sign_up.execute(command())

    with pytest.raises(UsernameTaken):
        await world.identity.sign_up.execute(command("another@example.org", username="ALICE"))


async def test_without_a_username_one_is_generated() -> None:
    world = World("generated")

    assert (await world.identity.sign_up.execute(command(username=None))).user.username == "generated"


async def test_a_generated_username_that_is_taken_is_replaced_by_another() -> None:
    world = World("alice", "Alice", "lucky")
    await world.signed_up("alice")

    assert (await world.identity.sign_up.execute(command("b@example.org", username=None))).user.username == "lucky"


async def test_a_generated_username_that_is_reserved_is_passed_over() -> None:
    world = World(*["admin", "walrus.king", "r00t"] * 3, "lucky")

    assert (await world.identity.sign_up.execute(command(username=None))).user.username == "lucky"


async def test_a_reserved_username_is_refused_before_anything_is_hashed(world: World) -> None:
    with pytest.raises(Invalid) as caught:
        await world.identity.sign_up.execute(command(username="Walrus-King"))

    assert [(error.field, error.code) for error in caught.value.errors] == [("username", "reserved")]
    assert await world.storage.credentials.by_email("alice@example.org") is None


async def test_after_five_suggestions_it_gives_up() -> None:
    world = World(*["alice"] * 5, "lucky")
    await world.signed_up("alice")

    with pytest.raises(UsernameTaken):
        await world.identity.sign_up.execute(command("b@example.org", username=None))
    assert await world.storage.credentials.by_email("b@example.org") is None


async def test_a_taken_address_is_not_tried_under_other_usernames() -> None:
    world = World("first", "second")
    await world.signed_up("alice")

    with pytest.raises(EmailTaken):
        await world.identity.sign_up.execute(command(username=None))
    assert world.usernames.suggest() == "second"


@pytest.mark.parametrize(
    ("password", "code"),
    [("password1234", "common"), ("alice@example.org", "personal"), ("PASSWORD1234", "common")],
)
async def test_a_password_that_everybody_guesses_is_refused(world: World, password: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        await world.identity.sign_up.execute(command(password=password))

    assert [(error.field, error.code) for error in caught.value.errors] == [("password", code)]
    assert await world.storage.credentials.by_email("alice@example.org") is None


def test_a_command_does_not_print_its_password() -> None:
    assert PASSWORD not in repr(command())
