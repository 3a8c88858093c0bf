"""Refreshing a session."""

from datetime import timedelta

import pytest

from application.identity.refresh_session import RefreshSessionCommand
from application.identity.views import TokenPairView
from domain.identity.errors import InvalidToken, TokenReused
from domain.identity.values import UserStatus
from domain.shared.actor import Role
from tests.unit.world import World

GRACE = timedelta(seconds=10)
TICK = timedelta(microseconds=1)


async def test_a_refresh_token_is_exchanged_for_a_new_pair(world: World) -> None:
    first = await world.signed_up("alice")
    world.clock.advance(timedelta(minutes=30))

    second = await world.refreshed(first)

    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    with pytest.raises(InvalidToken):
        world.actor(first)
    assert world.actor(second).role is Role.USER


async def test_pairs_follow_each_other_for_thirty_days_and_no_longer(world: World) -> None:
    pair: TokenPairView = await world.signed_up("alice")
    for _ in range(29):
        world.clock.advance(timedelta(days=1))
        pair = await world.refreshed(pair)
    world.clock.advance(timedelta(days=1) - TICK)
    pair = await world.refreshed(pair)

    world.clock.advance(TICK)

    with pytest.raises(InvalidToken):
        await world.refreshed(pair)


async def test_replayed_within_ten_seconds_it_yields_the_very_same_pair(world: World) -> None:
    first = await world.signed_up("alice")
    world.clock.advance(timedelta(minutes=1))
    second = await world.refreshed(first)

    world.clock.advance(GRACE)

    assert await world.refreshed(first) == second


async def test_any_generation_yields_the_newest_pair_within_its_grace(world: World) -> None:
    pairs: list[TokenPairView] = [await world.signed_up("alice")]
    for _ in range(5):
        world.clock.advance(timedelta(seconds=1))
        pairs.append(await world.refreshed(pairs[-1]))

    world.clock.advance(timedelta(seconds=5))

    assert [await world.refreshed(pair) for pair in pairs[:-1]] == [pairs[-1]] * 5


async def test_a_phone_that_lost_its_answer_gets_the_same_pair_after_eleven_seconds(world: World) -> None:
    first = await world.signed_up("alice")
    lost = await world.refreshed(first)
    world.clock.advance(timedelta(seconds=11))

    again = await world.refreshed(first)

    assert again == lost
    assert (await world.refreshed(again)).refresh_token != lost.refresh_token


async def test_after_a_week_it_gets_the_same_refresh_token_with_an_access_token_that_holds(world: World) -> None:
    first = await world.signed_up("alice")
    lost = await world.refreshed(first)
    world.clock.advance(timedelta(days=7))

    again = await world.refreshed(first)

    assert again.refresh_token == lost.refresh_token
    assert world.actor(again) is not None


async def test_what_was_yielded_to_a_token_is_in_use_when_its_access_token_is(world: World) -> None:
    first = await world.signed_up("alice")
    second = await world.refreshed(first)
    await world.used(second)
    world.clock.advance(GRACE)
    assert await world.refreshed(first) == second

    world.clock.advance(TICK)

    with pytest.raises(TokenReused):
        await world.refreshed(first)


async def test_a_thief_who_stays_one_generation_behind_is_found_out(world: World) -> None:
    stolen = await world.signed_up("alice")
    honest: TokenPairView = await world.refreshed(stolen)
    await world.used(honest)
    world.clock.advance(timedelta(minutes=1))

    with pytest.raises(TokenReused):
        await world.refreshed(stolen)


async def test_use_of_an_older_pair_says_nothing_of_the_newest(world: World) -> None:
    first = await world.signed_up("alice")
    second = await world.refreshed(first)
    third = await world.refreshed(second)
    await world.used(second)
    world.clock.advance(timedelta(minutes=1))

    assert (await world.refreshed(second)).refresh_token == third.refresh_token


async def test_a_replay_within_the_grace_does_not_extend_it(world: World) -> None:
    first = await world.signed_up("alice")
    await world.used(await world.refreshed(first))
    world.clock.advance(GRACE)
    await world.refreshed(first)

    world.clock.advance(TICK)

    with pytest.raises(TokenReused):
        await world.refreshed(first)


async def test_a_spent_refresh_token_kills_its_session(world: World) -> None:
    first = await world.signed_up("alice")
    second = await world.refreshed(await world.refreshed(first))
    world.clock.advance(GRACE + TICK)

    with pytest.raises(TokenReused):
        await world.refreshed(first)

    with pytest.raises(InvalidToken):
        await world.refreshed(second)
    with pytest.raises(InvalidToken):
        await world.refreshed(first)


async def test_a_token_many_generations_old_kills_its_session(world: World) -> None:
    pair: TokenPairView = await world.signed_up("alice")
    first = pair
    for _ in range(50):
        world.clock.advance(timedelta(minutes=30))
        pair = await world.refreshed(pair)

    with pytest.raises(TokenReused):
        await world.refreshed(first)

    with pytest.raises(InvalidToken):
        await world.refreshed(pair)


async def test_reuse_leaves_the_other_sessions_alone(world: World) -> None:
    first = await world.signed_up("alice")
    other = await world.logged_in("alice")
    await world.refreshed(await world.refreshed(first))
    world.clock.advance(GRACE + TICK)
    with pytest.raises(TokenReused):
        await world.refreshed(first)

    assert (await world.refreshed(other)).token_type == "bearer"


async def test_a_forged_token_is_invalid_and_harms_nobody(world: World) -> None:
    first = await world.signed_up("alice")
    second = await world.refreshed(first)
    world.clock.advance(timedelta(minutes=1))
    session_id, generation, secret = first.refresh_token.split(".")
    forged = f"{session_id}.{generation}.{'00' * (len(secret) // 2)}"

    with pytest.raises(InvalidToken):
        await world.identity.refresh_session.execute(RefreshSessionCommand(forged))

    assert (await world.refreshed(second)).token_type == "bearer"


@pytest.mark.parametrize("raw", ["", "nonsense", "a.b.c", "0" * 32 + ".0." + "00" * 32])
async def test_what_is_no_token_of_ours_is_invalid(world: World, raw: str) -> None:
    with pytest.raises(InvalidToken):
        await world.identity.refresh_session.execute(RefreshSessionCommand(raw))


async def test_a_suspended_account_cannot_refresh(world: World) -> None:
    pair = await world.signed_up("alice")
    await world.suspend(world.actor(pair).user_id)

    with pytest.raises(InvalidToken):
        await world.refreshed(pair)


async def test_a_new_role_shows_in_the_next_access_token(world: World) -> None:
    pair = await world.signed_up("alice")
    async with world.storage.identity_units() as uow:
        user = await uow.users.get(world.actor(pair).user_id)
        user.role, user.status = Role.MODERATOR, UserStatus.ACTIVE
        await uow.users.save(user)
        await uow.commit()

    assert world.actor(await world.refreshed(pair)).role is Role.MODERATOR


def test_a_command_does_not_print_its_token() -> None:
    assert "secret" not in repr(RefreshSessionCommand("secret"))
