"""Changing one's password."""

import pytest

from application.identity.change_password import ChangePasswordCommand
from application.identity.edit_profile import EditProfileCommand
from application.shared.errors import VersionConflict
from domain.identity.errors import AccountChanged, InvalidCredentials, InvalidToken, WrongPassword
from domain.identity.values import Password, PersonName
from domain.shared.actor import Actor
from domain.shared.errors import Invalid
from tests.builders import a_user, an_actor
from tests.unit.world import PASSWORD, Interrupted, World

NEW = "an even better one"


def command(
    actor: Actor, *, current: str = PASSWORD, new: str = NEW, if_version: int | None = None
) -> ChangePasswordCommand:
    return ChangePasswordCommand(
        actor, Password.attempt(current), Password.new(new, field_name="new_password"), if_version=if_version
    )


async def test_the_new_password_lets_in_and_the_old_one_no_longer(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))

    await world.identity.change_password.execute(command(actor))

    assert world.actor(await world.logged_in("alice", password=NEW)).user_id == actor.user_id
    with pytest.raises(InvalidCredentials):
        await world.logged_in("alice")


async def test_the_other_sessions_are_closed_and_this_one_is_not(world: World) -> None:
    here = await world.signed_up("alice")
    elsewhere = [await world.logged_in("alice") for _ in range(2)]
    somebody_else = await world.signed_up("bob")

    await world.identity.change_password.execute(command(world.actor(here)))

    for pair in elsewhere:
        with pytest.raises(InvalidToken):
            await world.refreshed(pair)
    assert (await world.refreshed(here)).token_type == "bearer"
    assert (await world.refreshed(somebody_else)).token_type == "bearer"


async def test_a_wrong_current_password_changes_nothing(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))

    with pytest.raises(WrongPassword):
        await world.identity.change_password.execute(command(actor, current="wrong password"))

    assert (await world.logged_in("alice")).token_type == "bearer"


@pytest.mark.parametrize(("new", "code"), [("password1234", "common"), ("alice@example.org", "personal")])
async def test_a_new_password_that_everybody_guesses_is_refused(world: World, new: str, code: str) -> None:
    actor = world.actor(await world.signed_up("alice"))

    with pytest.raises(Invalid) as caught:
        await world.identity.change_password.execute(command(actor, new=new))

    assert [(error.field, error.code) for error in caught.value.errors] == [("new_password", code)]
    assert (await world.logged_in("alice")).token_type == "bearer"


async def test_whether_a_new_password_is_bad_is_told_only_to_who_knows_the_current_one(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))

    with pytest.raises(WrongPassword):
        await world.identity.change_password.execute(command(actor, current="wrong password", new="password1234"))


async def test_whoever_saw_an_earlier_version_changes_nothing(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))
    await world.identity.edit_profile.execute(EditProfileCommand(actor, name=PersonName.parse("Alice")))

    with pytest.raises(AccountChanged):
        await world.identity.change_password.execute(command(actor, if_version=1))
    await world.identity.change_password.execute(command(actor, if_version=2))

    assert (await world.logged_in("alice", password=NEW)).token_type == "bearer"


async def test_a_token_of_an_account_that_is_gone_is_invalid(world: World) -> None:
    with pytest.raises(InvalidToken):
        await world.identity.change_password.execute(command(an_actor(a_user())))


async def test_an_account_that_goes_meanwhile_leaves_an_invalid_token(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))
    world.hasher = Interrupted(world.hasher, world.storage.close)

    with pytest.raises(InvalidToken):
        await world.identity.change_password.execute(command(actor))


async def test_of_two_changes_at_once_the_second_decides_anew(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))
    plain = world.hasher

    async def change_first() -> None:
        world.hasher = plain
        await world.identity.change_password.execute(command(actor, new="the one that was first"))

    world.hasher = Interrupted(plain, change_first)
    with pytest.raises(VersionConflict):
        await world.identity.change_password.execute(command(actor))

    assert (await world.logged_in("alice", password="the one that was first")).token_type == "bearer"


def test_a_command_does_not_print_its_passwords() -> None:
    text = repr(command(an_actor(a_user())))

    assert PASSWORD not in text
    assert NEW not in text
