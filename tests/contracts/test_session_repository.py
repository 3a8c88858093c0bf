"""What every `SessionRepository` promises."""

import asyncio
from datetime import timedelta

import pytest

from application.shared.errors import VersionConflict
from domain.identity.errors import SessionNotFound, UserNotFound
from domain.identity.session import MAX_EARLIER_EXCHANGES, RevocationReason, SpentToken
from domain.shared.ids import SessionId
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_hash, a_session, a_user, an_id
from tests.contracts.scenarios import given, load_session

LATER = NOW + timedelta(minutes=5, microseconds=7)


async def test_every_field_of_a_session_survives_the_round_trip(storage: Storage) -> None:
    user = a_user()
    session = a_session(
        user,
        user_agent="Mozilla/5.0 (Ünïcode; 😀)",
        address="2001:db8::7",
        current=a_hash("current"),
        generation=41,
        spent=SpentToken(a_hash("spent"), NOW + timedelta(microseconds=3)),
        earlier_exchanges=(NOW, NOW + timedelta(microseconds=1)),
        newest_used=True,
        created_at=NOW,
        last_used_at=NOW + timedelta(microseconds=5),
        expires_at=NOW + timedelta(days=29, microseconds=1),
        revoked_at=NOW + timedelta(hours=1, microseconds=9),
    )
    await given(storage, user, session)

    assert fields_of(await load_session(storage, session.id)) == fields_of(session)


async def test_a_session_that_never_rotated_has_no_spent_token(storage: Storage) -> None:
    user = a_user()
    session = a_session(user)
    await given(storage, user, session)

    stored = await load_session(storage, session.id)

    assert (stored.spent, stored.revoked_at) == (None, None)


async def test_rotation_and_revocation_are_saved(storage: Storage) -> None:
    user = a_user()
    session = a_session(user)
    await given(storage, user, session)

    async with storage.identity_units() as uow:
        loaded = await uow.sessions.get(session.id)
        loaded.rotate(a_hash("next"), at=LATER)
        loaded.revoke(RevocationReason.LOGGED_OUT, at=LATER)
        await uow.sessions.save(loaded)
        await uow.commit()

    stored = await load_session(storage, session.id)
    assert fields_of(stored) == fields_of(loaded)
    assert stored.spent == SpentToken(session.current, LATER)
    assert (stored.generation, stored.revoked_at, stored.version) == (1, LATER, 2)


async def test_the_oldest_live_sessions_are_beyond_the_newest(storage: Storage) -> None:
    alice, bob = a_user("alice"), a_user("robert")
    live = [a_session(alice, created_at=NOW + timedelta(minutes=minute)) for minute in range(5)]
    closed = a_session(alice, created_at=NOW - timedelta(days=1), revoked_at=NOW)
    expired = a_session(alice, created_at=NOW - timedelta(days=40))
    await given(storage, alice, bob, *live, closed, expired, a_session(bob))

    async with storage.identity_units() as uow:
        beyond = {session.id for session in await uow.sessions.oldest_beyond(alice.id, keep=3, at=NOW)}
        none = await uow.sessions.oldest_beyond(alice.id, keep=5, at=NOW)

    assert (beyond, none) == ({live[0].id, live[1].id}, [])


async def test_as_many_exchanges_as_are_remembered_are_stored(storage: Storage) -> None:
    user = a_user()
    exchanges = tuple(NOW + timedelta(microseconds=count) for count in range(MAX_EARLIER_EXCHANGES))
    session = a_session(user, spent=SpentToken(a_hash("spent"), LATER), earlier_exchanges=exchanges)
    await given(storage, user, session)

    assert (await load_session(storage, session.id)).earlier_exchanges == exchanges


@pytest.mark.parametrize("generation", [2, 3, 4])
async def test_the_use_of_a_pair_is_noted_if_it_is_the_newest(storage: Storage, generation: int) -> None:
    user = a_user()
    session = a_session(user, generation=3)
    await given(storage, user, session)

    for _ in range(2):
        async with storage.identity_units() as uow:
            await uow.sessions.note_use(session.id, generation)
            await uow.commit()

    stored = await load_session(storage, session.id)
    assert stored.newest_used is (generation == 3)
    assert stored.version == session.version


async def test_a_session_that_is_not_there_is_not_found(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(SessionNotFound):
            await uow.sessions.get(SessionId(an_id()))


async def test_a_session_of_nobody_is_refused(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        with pytest.raises(UserNotFound):
            await uow.sessions.add(a_session(a_user()))
            await uow.commit()


async def test_a_session_kept_from_an_earlier_unit_of_work_is_not_saved(storage: Storage) -> None:
    user = a_user()
    session = a_session(user)
    await given(storage, user, session)
    kept = await load_session(storage, session.id)
    async with storage.identity_units() as uow:
        loaded = await uow.sessions.get(session.id)
        loaded.revoke(RevocationReason.TOKEN_REUSED, at=NOW)
        await uow.sessions.save(loaded)
        await uow.commit()

    kept.rotate(a_hash("never"), at=LATER)
    async with storage.identity_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.sessions.save(kept)

    assert fields_of(await load_session(storage, session.id)) == fields_of(loaded)


async def test_live_sessions_are_listed_oldest_first(storage: Storage) -> None:
    user = a_user()
    youngest = a_session(user, created_at=NOW + timedelta(seconds=2))
    oldest = a_session(user, created_at=NOW)
    between = a_session(user, created_at=NOW + timedelta(seconds=1))
    await given(storage, user, youngest, oldest, between)

    async with storage.identity_units() as uow:
        listed = await uow.sessions.list_live(user.id, at=NOW + timedelta(minutes=1))

    assert [fields_of(session) for session in listed] == [fields_of(s) for s in (oldest, between, youngest)]


async def test_sessions_that_are_closed_expired_or_somebody_elses_are_not_listed(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    live = a_session(alice, expires_at=LATER + timedelta(microseconds=1))
    expired = a_session(alice, expires_at=LATER)
    closed = a_session(alice, revoked_at=NOW)
    await given(storage, alice, bob, live, expired, closed, a_session(bob))

    async with storage.identity_units() as uow:
        listed = await uow.sessions.list_live(alice.id, at=LATER)

    assert [session.id for session in listed] == [live.id]


async def test_a_unit_of_work_lists_what_it_changed_itself(storage: Storage) -> None:
    user = a_user()
    closing, staying = a_session(user), a_session(user)
    await given(storage, user, closing, staying)
    opened = a_session(user, created_at=NOW + timedelta(seconds=1))

    async with storage.identity_units() as uow:
        loaded = await uow.sessions.get(closing.id)
        loaded.revoke(RevocationReason.REVOKED, at=NOW)
        await uow.sessions.save(loaded)
        await uow.sessions.add(opened)
        listed = await uow.sessions.list_live(user.id, at=LATER)

    assert [session.id for session in listed] == [staying.id, opened.id]


async def test_listed_sessions_can_be_closed(storage: Storage) -> None:
    user = a_user()
    sessions = [a_session(user) for _ in range(3)]
    await given(storage, user, *sessions)

    async with storage.identity_units() as uow:
        for session in await uow.sessions.list_live(user.id, at=LATER):
            session.revoke(RevocationReason.PASSWORD_CHANGED, at=LATER)
            await uow.sessions.save(session)
        await uow.commit()

    assert [(await load_session(storage, session.id)).revoked_at for session in sessions] == [LATER] * 3


@pytest.mark.parametrize("listed", [False, True], ids=["loaded", "listed"])
async def test_a_session_in_hand_is_locked_until_its_unit_of_work_ends(storage: Storage, listed: bool) -> None:
    user = a_user()
    session = a_session(user)
    await given(storage, user, session)

    async with storage.identity_units() as uow:
        if listed:
            (loaded,) = await uow.sessions.list_live(user.id, at=NOW)
        else:
            loaded = await uow.sessions.get(session.id)
        second = asyncio.create_task(load_session(storage, session.id))
        _, waiting = await asyncio.wait([second], timeout=0.1)
        assert waiting == {second}, "two units of work held one session"
        loaded.revoke(RevocationReason.LOGGED_OUT, at=LATER)
        await uow.sessions.save(loaded)
        await uow.commit()

    assert (await asyncio.wait_for(second, 10)).revoked_at == LATER
