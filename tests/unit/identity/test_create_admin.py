"""Creating an administrator."""

import pytest

from application.identity.create_admin import CreateAdminCommand
from domain.identity.errors import EmailTaken, UsernameTaken
from domain.identity.values import EmailAddress, Password, PersonName, Username
from domain.shared.actor import Role
from domain.shared.errors import Invalid
from tests.unit.world import PASSWORD, World


def command(email: str = "root@example.org", username: str = "root", password: str = PASSWORD) -> CreateAdminCommand:
    return CreateAdminCommand(
        EmailAddress.parse(email), Password.new(password), Username.parse(username), PersonName.parse("Root")
    )


async def test_an_administrator_signs_in_as_one(world: World) -> None:
    view = await world.identity.create_admin.execute(command())

    assert (view.role, view.username, view.name) == (Role.ADMIN, "root", "Root")
    assert world.actor(await world.logged_in("root")).role is Role.ADMIN


async def test_nobody_is_signed_in_by_it(world: World) -> None:
    await world.identity.create_admin.execute(command())

    found = await world.storage.credentials.by_email("root@example.org")
    assert found is not None
    async with world.storage.identity_units() as uow:
        assert await uow.sessions.list_live(found.user_id, at=world.clock.now()) == []


async def test_names_are_unique_for_administrators_too(world: World) -> None:
    await world.identity.create_admin.execute(command())

    with pytest.raises(EmailTaken):
        await world.identity.create_admin.execute(command(username="another"))
    with pytest.raises(UsernameTaken):
        await world.identity.create_admin.execute(command(email="another@example.org"))


@pytest.mark.parametrize("password", ["password1234", "root@example.org"])
async def test_a_password_that_everybody_guesses_is_refused(world: World, password: str) -> None:
    with pytest.raises(Invalid):
        await world.identity.create_admin.execute(command(password=password))


def test_a_command_does_not_print_its_password() -> None:
    assert PASSWORD not in repr(command())
