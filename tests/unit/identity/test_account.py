"""Reading and editing one's own account, and logging out."""

from datetime import timedelta

import pytest

from application.identity.edit_profile import EditProfileCommand
from application.identity.get_account import GetAccountQuery
from application.identity.log_out import LogOutCommand
from application.shared.views import timestamp
from domain.identity.errors import AccountChanged, InvalidToken, UsernameTaken
from domain.identity.values import PersonName, PhoneNumber, Username
from tests.builders import NOW, a_user, an_actor
from tests.unit.world import World


async def test_the_account_is_the_one_that_signed_up(world: World) -> None:
    signed_up = await world.signed_up("alice")

    account = await world.identity.get_account.execute(GetAccountQuery(world.actor(signed_up)))

    assert (account.view, account.version) == (signed_up.user, 1)


async def test_a_token_of_an_account_that_is_gone_is_invalid(world: World) -> None:
    ghost = an_actor(a_user())

    with pytest.raises(InvalidToken):
        await world.identity.get_account.execute(GetAccountQuery(ghost))
    with pytest.raises(InvalidToken):
        await world.identity.edit_profile.execute(EditProfileCommand(ghost, name=None))


async def test_an_edit_changes_what_is_given_and_answers_with_the_whole(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))
    world.clock.advance(timedelta(minutes=1))

    edited = await world.identity.edit_profile.execute(
        EditProfileCommand(actor, name=PersonName.parse("Alice"), phone=PhoneNumber.parse("+4915112345678"))
    )

    assert (edited.view.username, edited.view.name, edited.view.phone) == ("alice", "Alice", "+4915112345678")
    assert edited.view.updated_at == timestamp(NOW + timedelta(minutes=1))
    assert edited.version == 2
    assert await world.identity.get_account.execute(GetAccountQuery(actor)) == edited


async def test_null_takes_a_value_away(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))
    await world.identity.edit_profile.execute(EditProfileCommand(actor, name=PersonName.parse("Alice")))

    assert (await world.identity.edit_profile.execute(EditProfileCommand(actor, name=None))).view.name is None


async def test_a_username_of_somebody_else_is_refused(world: World) -> None:
    await world.signed_up("alice")
    actor = world.actor(await world.signed_up("bob"))

    with pytest.raises(UsernameTaken):
        await world.identity.edit_profile.execute(EditProfileCommand(actor, username=Username.parse("ALICE")))


async def test_an_edit_of_the_version_that_was_seen_passes(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))

    edited = await world.identity.edit_profile.execute(
        EditProfileCommand(actor, name=PersonName.parse("A"), if_version=1)
    )

    assert edited.version == 2


async def test_an_edit_of_an_earlier_version_changes_nothing(world: World) -> None:
    actor = world.actor(await world.signed_up("alice"))
    first = await world.identity.edit_profile.execute(
        EditProfileCommand(actor, name=PersonName.parse("First"), if_version=1)
    )

    with pytest.raises(AccountChanged):
        await world.identity.edit_profile.execute(
            EditProfileCommand(actor, name=PersonName.parse("Second"), if_version=1)
        )

    assert await world.identity.get_account.execute(GetAccountQuery(actor)) == first


async def test_logging_out_makes_the_refresh_token_worthless(world: World) -> None:
    pair = await world.signed_up("alice")

    await world.identity.log_out.execute(LogOutCommand(world.actor(pair)))

    with pytest.raises(InvalidToken):
        await world.refreshed(pair)


async def test_logging_out_leaves_other_sessions_alone(world: World) -> None:
    first = await world.signed_up("alice")
    second = await world.logged_in("alice")

    await world.identity.log_out.execute(LogOutCommand(world.actor(first)))

    assert (await world.refreshed(second)).token_type == "bearer"


async def test_logging_out_twice_is_logging_out_once(world: World) -> None:
    pair = await world.signed_up("alice")
    command = LogOutCommand(world.actor(pair))
    await world.identity.log_out.execute(command)
    at = world.clock.now()
    world.clock.advance(timedelta(minutes=1))

    await world.identity.log_out.execute(command)

    async with world.storage.identity_units() as uow:
        assert (await uow.sessions.get(command.actor.session_id)).revoked_at == at


async def test_logging_out_of_a_session_that_is_gone_is_done_already(world: World) -> None:
    await world.identity.log_out.execute(LogOutCommand(an_actor(a_user())))
