"""Logging in."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from application.identity.log_in import LogIn, LogInCommand
from application.identity.open_session import OpenSession, OpenSessionCommand
from application.identity.views import TokenPairView
from application.shared.errors import TransientFailure
from application.shared.use_case import UseCase
from domain.identity.errors import InvalidCredentials
from domain.identity.values import Password
from domain.shared.ids import UserId
from tests.contracts.scenarios import retried
from tests.fakes import FastPasswordHasher
from tests.unit.world import DEVICE, PASSWORD, Interrupted, World


async def user_id_of(world: World, username: str) -> UserId:
    found = await world.storage.credentials.by_email(f"{username}@example.org")
    assert found is not None
    return found.user_id


def log_in_while(world: World, meanwhile: Callable[[], Awaitable[None]]) -> UseCase[LogInCommand, TokenPairView]:
    world.hasher = Interrupted(world.hasher, meanwhile)
    return world.identity.log_in


COMMAND = LogInCommand("alice@example.org", Password.attempt(PASSWORD), DEVICE)


async def test_the_right_password_opens_a_session_of_its_own(world: World) -> None:
    first = await world.signed_up("alice")

    second = await world.logged_in("Alice")

    assert world.actor(second).user_id == world.actor(first).user_id
    assert world.actor(second).session_id != world.actor(first).session_id
    assert (await world.refreshed(second)).expires_in == 1800


async def test_a_session_remembers_the_device(world: World) -> None:
    await world.signed_up("alice")
    pair = await world.logged_in("alice")

    async with world.storage.identity_units() as uow:
        session = await uow.sessions.get(world.actor(pair).session_id)

    assert session.device == DEVICE
    assert session.expires_at == world.clock.now() + timedelta(days=30)


@pytest.mark.parametrize(("username", "password"), [("alice", "wrong password"), ("nobody", PASSWORD)])
async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer_after_the_same_work(
    world: World, username: str, password: str
) -> None:
    await world.signed_up("alice")

    with pytest.raises(InvalidCredentials) as caught:
        await world.logged_in(username, password=password)

    assert (caught.value.detail, caught.value.slug) == (InvalidCredentials.title, "invalid-credentials")
    assert world.fast_hasher.verified == 1


async def test_a_suspended_account_gets_the_same_answer_after_the_same_work(world: World) -> None:
    await world.signed_up("alice")
    await world.suspend(await user_id_of(world, "alice"))

    with pytest.raises(InvalidCredentials) as caught:
        await world.logged_in("alice")

    assert (caught.value.detail, caught.value.slug) == (InvalidCredentials.title, "invalid-credentials")
    assert world.fast_hasher.verified == 1


async def test_a_failed_log_in_opens_no_session(world: World) -> None:
    pair = await world.signed_up("alice")
    with pytest.raises(InvalidCredentials):
        await world.logged_in("alice", password="wrong password")

    async with world.storage.identity_units() as uow:
        live = await uow.sessions.list_live(world.actor(pair).user_id, at=world.clock.now())

    assert [session.id for session in live] == [world.actor(pair).session_id]


async def test_a_password_changed_while_it_is_verified_does_not_let_in(world: World) -> None:
    await world.signed_up("alice")
    user_id = await user_id_of(world, "alice")

    async def change() -> None:
        async with world.storage.identity_units() as uow:
            user = await uow.users.get(user_id)
            user.change_password("another", at=world.clock.now())
            await uow.users.save(user)
            await uow.commit()

    with pytest.raises(InvalidCredentials):
        await log_in_while(world, change).execute(COMMAND)


async def test_an_account_suspended_while_its_password_is_verified_is_not_let_in(world: World) -> None:
    await world.signed_up("alice")
    user_id = await user_id_of(world, "alice")

    with pytest.raises(InvalidCredentials):
        await log_in_while(world, lambda: world.suspend(user_id)).execute(COMMAND)


async def test_an_account_that_goes_while_its_password_is_verified_is_not_let_in(world: World) -> None:
    await world.signed_up("alice")

    with pytest.raises(InvalidCredentials):
        await log_in_while(world, world.storage.close).execute(COMMAND)


async def test_a_race_that_is_lost_costs_no_second_hash(world: World) -> None:
    await world.signed_up("alice")
    hashes: list[None] = []
    lost = [TransientFailure(), TransientFailure()]

    async def count() -> None:
        hashes.append(None)

    open_session = OpenSession(
        uow=world.storage.identity_units, issuer=world.issuer, second_factor=world.second_factor, clock=world.clock
    )

    class Losing:
        async def execute(self, command: OpenSessionCommand, /) -> TokenPairView:
            if lost:
                raise lost.pop()
            return await open_session.execute(command)

    log_in = LogIn(
        uow=world.storage.identity_units,
        credentials=world.storage.credentials,
        hasher=Interrupted(world.hasher, count),
        open_session=retried(Losing()),
    )

    pair = await log_in.execute(COMMAND)

    assert (len(hashes), lost) == (1, [])
    assert (await world.refreshed(pair)).expires_in == 1800


async def test_a_password_under_weak_parameters_is_rehashed_on_the_way(world: World) -> None:
    await world.signed_up("alice")
    before = await world.storage.credentials.by_email("alice@example.org")
    world.hasher = FastPasswordHasher(strength=2)

    await world.logged_in("alice")

    after = await world.storage.credentials.by_email("alice@example.org")
    assert before is not None
    assert after is not None
    assert after.password_hash != before.password_hash
    verdict = await world.hasher.verify(after.password_hash, Password.attempt(PASSWORD))
    assert (verdict.matches, verdict.outdated) == (True, False)


async def test_a_password_under_todays_parameters_stays_as_it_is(world: World) -> None:
    pair = await world.signed_up("alice")
    before = await world.storage.accounts.account(world.actor(pair).user_id)

    await world.logged_in("alice")

    assert await world.storage.accounts.account(world.actor(pair).user_id) == before


def test_a_command_does_not_print_its_password() -> None:
    assert PASSWORD not in repr(COMMAND)
